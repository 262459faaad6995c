"""The ledger's engine in a process of its own, without gRPC: `… engine_load < job.json`.

It reads a `Job` as JSON, fills a ledger or bets on it, and prints what it measured as JSON.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain, islice
from uuid import uuid4

import uvloop

from scripts.benchmarks import workload
from services.kit import migrations
from services.kit.clock import SystemClock
from services.wallet.domain import Bet, Deposit, OpenWallet
from services.wallet.domain.operations import Group, Operation
from services.wallet.domain.result import Answer
from services.wallet.domain.values import Key, PlayerId, pack_id
from services.wallet.service import WalletService
from services.wallet.sources import TENANT
from services.wallet.writer import WriterOptions

_FILLERS = 8
_FILL_BATCH = 1_000
# A fill is one client that may take all there is: large commits, and nothing is turned away.
_FILL_OPTIONS = WriterOptions(
    queue_max=65_536, queue_time_max=timedelta(minutes=5), batch_max=4_096
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do.

    Attributes:
        url: The ledger.
        players: How many it has.
        fill_entries: Fill it until it has so many entries, then end; 0 is to bet.
        callers: How many bet at once.
        warm_up_s: How long they bet before anything is counted.
        seconds: How long they bet then.
        hot: All bets are one player's.
    """

    url: str
    players: int
    fill_entries: int = 0
    callers: int = 1
    warm_up_s: float = 0.0
    seconds: float = 0.0
    hot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was measured; the seqs bound what was posted in the time that counts."""

    posted: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us_per_call: float
    first_seq: int
    last_seq: int


class FillError(Exception):
    """The ledger refused what it should take."""


async def fill(job: Job) -> int:
    """Opens and funds the players, then bets in large batches. Returns how many were posted."""
    await migrations.upgrade(job.url, "services.wallet")
    ledger = WalletService(job.url, SystemClock(), options=_FILL_OPTIONS)
    await ledger.start()
    try:
        ids = [PlayerId(pack_id(workload.player(number))) for number in range(job.players)]
        bets = max(job.fill_entries // workload.ENTRIES_PER_POSTING - job.players, 0)
        progress = _Progress(2 * job.players + bets)
        await _post(ledger, (_opening(each, at) for at, each in enumerate(ids)), progress)
        await _post(ledger, (_funding(each, at) for at, each in enumerate(ids)), progress)
        choice = random.Random(bets)  # noqa: S311 (not a secret)
        await _post(ledger, (_bet(choice.choice(ids), f"f{at}") for at in range(bets)), progress)
    finally:
        await ledger.stop()
    return job.players + bets


async def _post(
    ledger: WalletService, operations: Iterator[Operation], progress: "_Progress"
) -> None:
    async def work() -> None:
        while batch := list[Operation | Group](islice(operations, _FILL_BATCH)):
            for answer in await ledger.submit_batch(batch):
                if not isinstance(answer, Answer) or not answer.result.outcome.success:
                    raise FillError(repr(answer))
            progress.add(len(batch))

    async with asyncio.TaskGroup() as group:
        for _ in range(_FILLERS):
            group.create_task(work())


class _Progress:
    """A line on stderr now and then."""

    _EVERY_S = 5.0

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = self._told = time.perf_counter()

    def add(self, count: int) -> None:
        self._done += count
        now = time.perf_counter()
        if now - self._told >= self._EVERY_S:
            self._told = now
            rate = self._done / (now - self._began)
            left = (self._total - self._done) / rate
            print(
                f"  {self._done:,} of {self._total:,}, {rate:,.0f}/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )


async def bet(job: Job) -> Done:
    """Bets one after the other from each caller, and measures each call."""
    ledger = WalletService(job.url, SystemClock())
    await ledger.start()
    workload.spare_collections()
    try:
        players = 1 if job.hot else job.players
        ids = [PlayerId(pack_id(workload.player(number))) for number in range(players)]
        run = uuid4().hex[:12]
        await _calls(ledger, ids, f"{run}-w", callers=job.callers, seconds=job.warm_up_s)
        before = await ledger.get_log_head()
        cpu, began = time.process_time(), time.perf_counter()
        times = await _calls(ledger, ids, run, callers=job.callers, seconds=job.seconds)
        took, spent = time.perf_counter() - began, time.process_time() - cpu
        after = await ledger.get_log_head()
    finally:
        await ledger.stop()
    found = workload.quantiles(times)
    return Done(
        posted=len(times),
        rps=len(times) / took,
        p50_ms=found.p50_ms,
        p95_ms=found.p95_ms,
        p99_ms=found.p99_ms,
        cpu_us_per_call=spent / max(len(times), 1) * 1_000_000,
        first_seq=before.last_seq + 1 if before is not None else 1,
        last_seq=after.last_seq if after is not None else 0,
    )


async def _calls(
    ledger: WalletService, ids: list[PlayerId], run: str, *, callers: int, seconds: float
) -> list[float]:
    ends = time.perf_counter() + seconds

    async def call(caller: int) -> list[float]:
        choice = random.Random(caller)  # noqa: S311 (not a secret)
        times: list[float] = []
        began = time.perf_counter()
        while began < ends:
            answer = await ledger.submit(_bet(choice.choice(ids), f"{run}-{caller}-{len(times)}"))
            if not answer.result.outcome.success:
                raise FillError(repr(answer))
            now = time.perf_counter()
            times.append((now - began) * 1_000)
            began = now
        return times

    return list(chain.from_iterable(await asyncio.gather(*map(call, range(callers)))))


def _opening(player_id: PlayerId, at: int) -> OpenWallet:
    return OpenWallet(key=_key(f"o{at}"), player_id=player_id, currency_code=workload.CURRENCY)


def _funding(player_id: PlayerId, at: int) -> Deposit:
    return Deposit(
        key=_key(f"d{at}"),
        player_id=player_id,
        currency_code=workload.CURRENCY,
        amount=workload.FUNDS,
    )


def _bet(player_id: PlayerId, name: str) -> Bet:
    return Bet(
        key=_key(f"t-{name}"),
        player_id=player_id,
        currency_code=workload.CURRENCY,
        amount=workload.STAKE,
        round_key=f"r-{name}",
        game_id=workload.GAME,
    )


def _key(name: str) -> Key:
    return Key(TENANT, workload.SOURCE, name)


if __name__ == "__main__":
    given = Job(**json.load(sys.stdin))
    if given.fill_entries:
        print(json.dumps(uvloop.run(fill(given))))
    else:
        print(json.dumps(asdict(uvloop.run(bet(given)))))
