"""`scripts/bench ledger`: how fast the ledger is, beside what its parts cost without it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from scripts.benchmarks import engine_load, workload
from scripts.benchmarks.cases import (
    BATCH,
    CALLERS,
    EMPTY_BARE,
    EMPTY_CHAIN,
    ENGINES,
    ENTRIES_FEW,
    FEW,
    MANY,
    PGBENCH,
    SERVED,
    EngineCases,
    Plan,
    RpcCases,
    engine_row,
    entries_row,
    run_program,
)
from scripts.benchmarks.ledgers import (
    POSTGRESQL,
    SQLITE,
    Ledgers,
    PostgresLedgers,
    SqliteLedgers,
)
from scripts.benchmarks.postgres import Postgres, running_postgres
from scripts.benchmarks.results import Aim, Case, Row, Sample, row_of
from scripts.benchmarks.servers import empty_server, wallet_server
from scripts.mesh.pki import DevelopmentAuthority

# What ledgers of this kind take; watched, and no aim.
_BYTES_EXPECTED = {SQLITE: 400, POSTGRESQL: 600}
_FILL_TIMEOUT_S = 4 * 3_600


def aims(entries: int) -> list[Aim]:
    """Returns what the ratios should be."""
    return [
        *(Aim(row=f"unary bet, {engine}", at_least=0.70) for engine in ENGINES),
        *(Aim(row=f"PostBatch of {BATCH}, {engine}", at_least=8) for engine in ENGINES),
        Aim(row=engine_row(SQLITE), at_least=3),
        Aim(row=engine_row(POSTGRESQL), at_least=8),
        *(Aim(row=engine_row(engine, variant="one hot player"), at_least=0.85)
          for engine in ENGINES),
        *(Aim(row=entries_row(engine, entries), at_least=0.90) for engine in ENGINES),
    ]  # fmt: skip


def disk() -> str:
    """Tells on which disk the databases of both engines lie."""
    folder = Path(tempfile.gettempdir()).resolve()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    device, place, kind, *_ = max(
        (mount for mount in mounts if folder.is_relative_to(mount[1])),
        key=lambda each: len(each[1]),
    )
    warning = ", where fsync costs nothing" if kind in {"tmpfs", "ramfs"} else ""
    return f"{kind} on {device} at {place}{warning}"


def measure(plan: Plan) -> list[Row]:
    """Runs every row in turn, `rounds` times over, and sums up.

    The rows alternate, so that a slow minute of the machine falls on all of them.
    """
    with _prepared(plan) as (cases, sizes):
        samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
        for number in range(1, plan.rounds + 1):
            for case in cases:
                _tell(f"round {number} of {plan.rounds}: {case.name}")
                samples[case.name].append(case.measure())
    rows = [row_of(case, samples[case.name], samples[case.baseline]) for case in cases]
    return [*rows, *(_bytes_row(engine, size) for engine, size in sizes.items())]


@contextmanager
def _prepared(plan: Plan) -> Iterator[tuple[list[Case], Mapping[str, float]]]:
    """Starts and fills what the rows need; stops and removes it when the block ends."""
    with ExitStack() as stack:
        # Both engines' files lie in folders that `tempfile` makes, and so on one disk.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="croupier-bench-")))
        server = stack.enter_context(running_postgres())
        _tell(f"pgbench: filling, scale {plan.pgbench_scale}")
        server.make_pgbench(scale=plan.pgbench_scale)
        authority = DevelopmentAuthority(folder / "pki")
        bare = stack.enter_context(empty_server("bare", authority))
        chain = stack.enter_context(empty_server("chain", authority))
        rpc = RpcCases(plan, authority)
        cases = [
            _pgbench(server, plan),
            rpc.unary(EMPTY_BARE, bare, EMPTY_BARE, source="empty"),
            rpc.unary(EMPTY_CHAIN, chain, EMPTY_BARE, source="empty"),
        ]
        sizes = {}
        kinds: list[Ledgers] = [SqliteLedgers(folder), PostgresLedgers(server)]
        for ledgers in kinds:
            sizes[ledgers.engine] = _fill(ledgers, plan)
            engine = EngineCases(plan, ledgers)
            cases += engine.cases()
            served = stack.enter_context(
                wallet_server(
                    authority,
                    database_url=ledgers.copy(FEW, SERVED),
                    payments_url=ledgers.payments_url(SERVED),
                    folder=folder / f"wallet-{ledgers.engine}",
                )
            )
            cases += rpc.cases(ledgers, served)
        yield cases, sizes


def _fill(ledgers: Ledgers, plan: Plan) -> float:
    """Fills the small and the large ledger. Returns the bytes that each posting takes."""
    posted = {}
    for name, entries in ((FEW, ENTRIES_FEW), (MANY, plan.entries)):
        _tell(f"{ledgers.engine}: filling {entries:,} entries")
        job = engine_load.Job(
            url=ledgers.url(name), players=workload.players_for(entries), fill_entries=entries
        )
        posted[name] = int(run_program("engine_load", asdict(job), seconds=_FILL_TIMEOUT_S))
        ledgers.settle(name)
    return (ledgers.size(MANY) - ledgers.size(FEW)) / (posted[MANY] - posted[FEW])


def _bytes_row(engine: str, size: float) -> Row:
    return Row(
        name=f"bytes per posting, {engine}",
        rps=None,
        p50_ms=None,
        p95_ms=None,
        p99_ms=None,
        ratio=round(size / _BYTES_EXPECTED[engine], 3),
        unit="bytes",
        client="",
        baseline=f"{_BYTES_EXPECTED[engine]} bytes",
        bytes_per_posting=round(size, 1),
    )


def _pgbench(server: Postgres, plan: Plan) -> Case:
    def run() -> Sample:
        return Sample(load=server.run_pgbench(clients=CALLERS, seconds=plan.seconds))

    return Case(name=PGBENCH, unit="transactions", client="pgbench", baseline=PGBENCH, measure=run)


def _tell(line: str) -> None:
    Console(stderr=True).print(line, style="dim", highlight=False)
