"""A client of PostingService in a process of its own: `… posting_load < job.json`.

k6 spends more on turning JSON into fifty messages than the server spends on booking them, so these
rows have a client in Python. It prints what it measured as JSON.
"""

import asyncio
import json
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import (
    posting_service_pb2,
    posting_service_pb2_grpc,
    wallet_service_pb2,
)

from scripts.benchmarks import workload
from scripts.benchmarks.load import cpu_seconds

_TIMEOUT_S = 10.0
_APPLIED = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, and how.

    Attributes:
        batch: How many postings a call holds; 0 is one posting a message on a stream.
        callers: How many calls are under way at once, or how many streams are open.
        window: How many postings may be under way on a stream.
        process: The server, whose CPU time is counted.
    """

    address: str
    certificate: str
    key: str
    authority: str
    process: int
    players: int
    batch: int = 0
    callers: int = 1
    window: int = 1
    warm_up_s: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was measured: postings per second, and the times of calls or of stream messages."""

    posted: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_us: float


class RefusedError(Exception):
    """The wallet refused what it should take."""


class _Bets:
    """Makes bets, each with a key of its own."""

    def __init__(self, job: Job, run: str, caller: int) -> None:
        self._choice = random.Random(caller)  # noqa: S311 (not a secret)
        self._players = [workload.player(number) for number in range(min(job.players, 1_000))]
        self._stake = money_pb2.Money(currency_code=workload.CURRENCY, minor_units=workload.STAKE)
        self._name = f"{run}-{caller}"
        self.made = 0

    def unit(self) -> posting_service_pb2.Unit:
        name = f"{self._name}-{self.made}"
        self.made += 1
        bet = wallet_service_pb2.BetRequest(
            source=workload.SOURCE,
            transaction_id=f"t-{name}",
            player_id=self._choice.choice(self._players),
            amount=self._stake,
            round_id=f"r-{name}",
            game_id=workload.GAME,
        )
        return posting_service_pb2.Unit(operations=[posting_service_pb2.Operation(bet=bet)])


async def _batches(job: Job, stub: Any, bets: _Bets, ends: float) -> list[float]:
    """Sends one batch after the other, and returns the time of each."""
    times: list[float] = []
    while (began := time.perf_counter()) < ends:
        request = posting_service_pb2.PostBatchRequest(
            units=[bets.unit() for _ in range(job.batch)]
        )
        response = await stub.PostBatch(request, timeout=_TIMEOUT_S)
        _check(response.outcomes)
        times.append((time.perf_counter() - began) * 1_000)
    return times


async def _stream(job: Job, stub: Any, bets: _Bets, ends: float) -> list[float]:
    """Keeps a window of bets under way on one stream, and returns the time of each."""
    call = stub.PostStream(timeout=job.warm_up_s + job.seconds + _TIMEOUT_S)
    room = asyncio.Semaphore(job.window)
    sent: deque[float] = deque()
    times: list[float] = []

    async def send() -> None:
        while time.perf_counter() < ends:
            await room.acquire()
            sent.append(time.perf_counter())
            unit = bets.unit()
            await call.write(posting_service_pb2.PostStreamRequest(tag=bets.made, unit=unit))
        await call.done_writing()

    sending = asyncio.create_task(send())
    async for response in call:
        # Answers come in the order of the requests.
        times.append((time.perf_counter() - sent.popleft()) * 1_000)
        room.release()
        _check(response.outcomes)
    await sending
    return times


def _check(outcomes: Any) -> None:
    for outcome in outcomes:
        if outcome.WhichOneof("outcome") != _APPLIED or outcome.replayed:
            raise RefusedError(str(outcome))


_Work = Callable[[Job, Any, _Bets, float], Awaitable[list[float]]]


async def post(job: Job) -> Done:
    """Posts for as long as asked."""
    work: _Work = _batches if job.batch else _stream
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(job.authority),
        private_key=_read(job.key),
        certificate_chain=_read(job.certificate),
    )
    options = [("grpc.ssl_target_name_override", "wallet")]
    async with grpc.aio.secure_channel(job.address, credentials, options=options) as channel:
        stub = posting_service_pb2_grpc.PostingServiceStub(channel)

        async def run(name: str, seconds: float) -> list[float]:
            ends = time.perf_counter() + seconds
            works = [work(job, stub, _Bets(job, name, at), ends) for at in range(job.callers)]
            return list(chain.from_iterable(await asyncio.gather(*works)))

        workload.spare_collections()
        name = uuid4().hex[:12]
        await run(f"{name}-w", job.warm_up_s)
        cpu, began = cpu_seconds(job.process), time.perf_counter()
        times = await run(name, job.seconds)
        took, spent = time.perf_counter() - began, cpu_seconds(job.process) - cpu
    posted = len(times) * max(job.batch, 1)
    found = workload.quantiles(times)
    return Done(
        posted=posted,
        rps=posted / took,
        p50_ms=found.p50_ms,
        p95_ms=found.p95_ms,
        p99_ms=found.p99_ms,
        server_cpu_us=spent / max(posted, 1) * 1_000_000,
    )


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(post(Job(**json.load(sys.stdin)))))))
