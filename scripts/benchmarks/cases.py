"""The rows that measure the ledger itself: its engine in process, and a wallet over gRPC."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from scripts.benchmarks import engine_load, load, posting_load, workload
from scripts.benchmarks.ledgers import POSTGRESQL, SQLITE, Ledgers
from scripts.benchmarks.load import LoadError, Round, Target
from scripts.benchmarks.results import Case, Sample
from scripts.benchmarks.servers import Served
from scripts.mesh.pki import DevelopmentAuthority

ENGINES = (SQLITE, POSTGRESQL)
CONCURRENCIES = (1, 16, 64, 256)
TYPICAL = 64
"""How many callers the rows have that are compared with each other."""
CALLERS = 16
"""How many clients the baselines and unary calls have."""
PGBENCH = f"pgbench TPC-B, {CALLERS} clients"
EMPTY_BARE = "empty call, no interceptors"
EMPTY_CHAIN = "empty call, all interceptors"
BATCH = 50
ENTRIES_FEW = 10_000
# The ledgers by name: a small one to copy, a large one, and the one that a wallet serves.
FEW, MANY, SERVED = "few", "many", "served"

_BET = "croupier.wallet.v1.WalletService/Bet"
_BATCH_CALLERS = 4
_STREAMS = 2
_WINDOW = 128
_WARM_UP_S = 1.0
_GRACE_S = 60
_IN_PROCESS = "in process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    entries: int
    pgbench_scale: int

    @property
    def warm_up_s(self) -> float:
        """How long each run is warmed up for."""
        return min(_WARM_UP_S, self.seconds)


def engine_row(engine: str, callers: int = TYPICAL, variant: str = "") -> str:
    """Names a row of the engine in process."""
    many = "callers" if callers > 1 else "caller"
    return ", ".join(filter(None, ("engine", engine, f"{callers} {many}", variant)))


def entries_row(engine: str, entries: int) -> str:
    """Names the row of the large ledger."""
    return engine_row(engine, variant=f"{entries:,} entries")


class EngineCases:
    """The rows of the engine in process, without gRPC."""

    def __init__(self, plan: Plan, ledgers: Ledgers) -> None:
        self._plan = plan
        self._ledgers = ledgers
        self._numbers = count()

    def cases(self) -> list[Case]:
        """Returns the rows of an engine."""
        engine = self._ledgers.engine
        typical = engine_row(engine)
        few = workload.players_for(ENTRIES_FEW)
        many = workload.players_for(self._plan.entries)
        return [
            *(
                Case(
                    name=engine_row(engine, callers),
                    unit="postings",
                    client=_IN_PROCESS,
                    baseline=PGBENCH,
                    measure=lambda callers=callers: self._on_copy(callers=callers, players=few),  # type: ignore[misc]  # the default binds the loop's value
                )
                for callers in CONCURRENCIES
            ),
            Case(
                name=engine_row(engine, variant="one hot player"),
                unit="postings",
                client=_IN_PROCESS,
                baseline=typical,
                measure=lambda: self._on_copy(callers=TYPICAL, players=few, hot=True),
            ),
            Case(
                name=entries_row(engine, self._plan.entries),
                unit="postings",
                client=_IN_PROCESS,
                baseline=typical,
                measure=lambda: self._on(MANY, callers=TYPICAL, players=many),
            ),
        ]

    def _on_copy(self, *, callers: int, players: int, hot: bool = False) -> Sample:
        """Bets on a fresh copy, since each run makes its ledger larger."""
        name = f"run-{next(self._numbers)}"
        self._ledgers.copy(FEW, name)
        try:
            return self._on(name, callers=callers, players=players, hot=hot)
        finally:
            self._ledgers.drop(name)

    def _on(self, name: str, *, callers: int, players: int, hot: bool = False) -> Sample:
        job = engine_load.Job(
            url=self._ledgers.url(name),
            players=players,
            callers=callers,
            warm_up_s=self._plan.warm_up_s,
            seconds=self._plan.seconds,
            hot=hot,
        )
        limit = self._plan.warm_up_s + self._plan.seconds + _GRACE_S
        done = engine_load.Done(**run_program("engine_load", asdict(job), seconds=limit))
        return Sample(
            load=Round(
                rps=done.rps,
                p50_ms=done.p50_ms,
                p95_ms=done.p95_ms,
                p99_ms=done.p99_ms,
                cpu_us_per_call=done.cpu_us_per_call,
            ),
            batches=self._ledgers.batches(name, done.first_seq, done.last_seq),
        )


class RpcCases:
    """The rows that call a server."""

    def __init__(self, plan: Plan, authority: DevelopmentAuthority) -> None:
        self._plan = plan
        self._game = authority.identity("game")

    def cases(self, ledgers: Ledgers, served: Served) -> list[Case]:
        """Returns the rows of a wallet."""
        engine = ledgers.engine
        unary = f"unary bet, {engine}"
        batches = {"batch": BATCH, "callers": _BATCH_CALLERS}
        streams = {"callers": _STREAMS, "window": _WINDOW}
        return [
            self.unary(unary, served, EMPTY_CHAIN, source=workload.SOURCE, ledgers=ledgers),
            self.posting(f"PostBatch of {BATCH}, {engine}", served, unary, batches, ledgers),
            self.posting(f"PostStream, {engine}", served, unary, streams, ledgers),
        ]

    def unary(
        self,
        name: str,
        served: Served,
        baseline: str,
        *,
        source: str,
        ledgers: Ledgers | None = None,
    ) -> Case:
        """Returns a row of single calls by k6, which is warmed up once."""
        amount = {"currencyCode": workload.CURRENCY, "minorUnits": str(workload.STAKE)}
        target = Target(
            kind="grpc",
            address=served.address,
            method=_BET,
            bodies=[
                {
                    "source": source,
                    "playerId": workload.player(number),
                    "amount": amount,
                    "gameId": workload.GAME,
                }
                for number in range(CALLERS)
            ],
            processes=[served.process],
            identity=self._game,
        )

        def run(seconds: float = self._plan.seconds) -> Round:
            return load.run(target, callers=CALLERS, seconds=seconds, sampled_percent=0.0)

        # Where less than a warm-up is asked for, nobody is after figures.
        if self._plan.seconds >= _WARM_UP_S:
            run(_WARM_UP_S)
        return Case(
            name=name,
            unit="calls",
            client="k6",
            baseline=baseline,
            measure=lambda: _watched(run, ledgers),
        )

    def posting(
        self,
        name: str,
        served: Served,
        baseline: str,
        form: Mapping[str, int],
        ledgers: Ledgers,
    ) -> Case:
        """Returns a row of calls by a client in Python, which warms each run up by itself."""
        job = posting_load.Job(
            address=served.address,
            certificate=str(self._game.certificate),
            key=str(self._game.key),
            authority=str(self._game.authority),
            process=served.process,
            players=workload.players_for(ENTRIES_FEW),
            warm_up_s=self._plan.warm_up_s,
            seconds=self._plan.seconds,
            **form,
        )
        limit = self._plan.warm_up_s + self._plan.seconds + _GRACE_S

        def run() -> Round:
            done = posting_load.Done(**run_program("posting_load", asdict(job), seconds=limit))
            return Round(
                rps=done.rps,
                p50_ms=done.p50_ms,
                p95_ms=done.p95_ms,
                p99_ms=done.p99_ms,
                cpu_us_per_call=done.server_cpu_us,
            )

        return Case(
            name=name,
            unit="postings",
            client="Python",
            baseline=baseline,
            measure=lambda: _watched(run, ledgers),
        )


def _watched(run: Callable[[], Round], ledgers: Ledgers | None) -> Sample:
    """Runs a load on a wallet, and reads from its ledger what each commit held."""
    if ledgers is None:
        return Sample(load=run())
    before = ledgers.last_seq(SERVED)
    done = run()
    return Sample(load=done, batches=ledgers.batches(SERVED, before + 1, ledgers.last_seq(SERVED)))


def run_program(module: str, job: Mapping[str, object], *, seconds: float) -> Any:
    """Runs one of the programs beside this one, and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.benchmarks.{module}"],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise LoadError(f"{module} failed: {done.returncode}")
    return json.loads(done.stdout)
