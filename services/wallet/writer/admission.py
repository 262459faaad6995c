"""Admission: what waits for the writer, and how much of it there may be."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from services.kit.errors import InvalidRequestError, OverloadedError
from services.wallet.domain.planner import Unit, renewed
from services.wallet.domain.policy import Policies
from services.wallet.domain.result import Answer, Reused
from services.wallet.domain.validation import InvalidOperationError
from services.wallet.domain.values import Kind

# What adds to the house's and the player's risk waits outside first; what settles may still enter.
_DEFERRABLE = frozenset({Kind.BET, Kind.HOLD_DEPOSIT, Kind.WITHDRAW})
_RETRY_JITTER = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """The bounds of a writer.

    Attributes:
        queue_max: How many operations may wait.
        queue_time_max: How much work may wait, at the rate that was measured last.
        reserve: The share of the queue that is kept for what settles.
        batch_max: How many operations one commit may hold.
        slice_max: How long the loop may be kept from its other tasks.
        quarantine: For how long the key of an operation that cannot be written is turned away.
        lease_wait: How long to wait for another process to give the shard up.
        clock_ahead_max: How far the machine's clock may run ahead of the time that has passed.
        sweep_every: How often idle players with due holds and bonuses are looked for.
    """

    queue_max: int = 4_096
    queue_time_max: timedelta = timedelta(seconds=2)
    reserve: float = 0.25
    batch_max: int = 512
    slice_max: timedelta = timedelta(milliseconds=5)
    quarantine: timedelta = timedelta(seconds=60)
    lease_wait: timedelta = timedelta(seconds=30)
    clock_ahead_max: timedelta = timedelta(hours=1)
    sweep_every: timedelta = timedelta(seconds=1)


@dataclass(slots=True, eq=False)
class Waiting:
    """A unit in the queue, and whom to answer.

    Attributes:
        deadline: By the loop's clock; None is as long as it takes.
        size: How many operations it counts for.
    """

    unit: Unit
    answer: asyncio.Future[list[Answer | Reused]]
    deadline: float | None
    size: int


class Queue:
    """The one queue of a writer: operations leave it in the order in which they came."""

    def __init__(self, options: WriterOptions) -> None:
        self._options = options
        self._waiting: deque[Waiting] = deque()
        self._depth = 0
        self._rate = float(options.queue_max)
        self._filled = asyncio.Event()

    @property
    def depth(self) -> int:
        """How many operations wait."""
        return self._depth

    @property
    def rate(self) -> float:
        """How many operations a second the writer does, smoothed."""
        return self._rate

    def admit(self, units: list[Waiting]) -> None:
        """Takes units in, or turns all of them away.

        Raises:
            OverloadedError: With the time after which the queue will have room.
        """
        size = sum(each.size for each in units)
        if self._depth and self._depth + size > self._room_for(units):
            seconds = self._depth / self._rate
            seconds *= random.uniform(1, 1 + _RETRY_JITTER)  # noqa: S311 (spreads retries)
            raise OverloadedError(retry_after=timedelta(seconds=seconds))
        self._waiting.extend(units)
        self._depth += size
        self._filled.set()

    def _room_for(self, units: list[Waiting]) -> float:
        options = self._options
        by_time = max(self._rate * options.queue_time_max.total_seconds(), options.batch_max)
        most = min(options.queue_max, by_time)
        deferrable = any(
            submission.operation.KIND in _DEFERRABLE
            for each in units
            for submission in each.unit.submissions
        )
        return most * (1 - options.reserve) if deferrable else most

    async def wait(self) -> None:
        """Returns when something waits, or when `wake` is called."""
        await self._filled.wait()

    def wake(self) -> None:
        """Lets the writer look again although nothing came."""
        self._filled.set()

    def take(self) -> list[Waiting]:
        """Takes the next batch: what waits, up to the bound or to what makes a batch by itself.

        A unit is never split.
        """
        taken: list[Waiting] = []
        size = 0
        while self._waiting:
            following = self._waiting[0]
            if taken and (following.unit.alone or size + following.size > self._options.batch_max):
                break
            taken.append(self._waiting.popleft())
            size += following.size
            if following.unit.alone:
                break
        self._depth -= size
        if not self._waiting:
            self._filled.clear()
        return taken

    def renew(self, policies: Policies, sources: set[tuple[str, str]]) -> None:
        """Works out anew what waits of some sources: their policies have changed.

        What the new ones do not admit is answered as it would be if it came now.
        """
        for waiting in self._waiting:
            if waiting.answer.done() or not waiting.unit.concerns(sources):
                continue
            try:
                waiting.unit = renewed(waiting.unit, policies)
            except InvalidOperationError as error:
                waiting.answer.set_exception(InvalidRequestError({error.field: error.rule}))

    def measure(self, operations: int, seconds: float) -> None:
        """Learns the rate from a batch that was done."""
        if seconds > 0 and operations:
            # A batch counts for as much as it holds, so that single calls do not drown a load.
            weight = min(operations / self._options.batch_max, 1.0) * 0.5
            self._rate += weight * (operations / seconds - self._rate)
