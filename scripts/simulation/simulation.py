"""One simulation: callers, faults, clock jumps and restarts, step after step from one seed."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from scripts.simulation.auditor import Auditor, DivergenceError
from scripts.simulation.faults import FaultySession
from scripts.simulation.workload import Unit, Workload, operations_of
from services.kit.clock import to_micros
from services.kit.errors import ServiceError
from services.wallet.domain import Answer, Group, Key, Micros
from services.wallet.errors import TransferNotFoundError
from services.wallet.service import WalletService
from services.wallet.writer import WriterOptions, WriterState
from tests.simulation.world import first_policies

_PLAYERS = 40
_CALLERS_MAX = 24
_YIELDS_MAX = 6
_CHECK_EVERY = 40
_SWEEPS_PER_STEP = 0.05
_FAULTS_PER_STEP = 0.15
_RESTARTS_PER_STEP = 0.02
_CANCELLED = 0.03
_JUMPS = (1, 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000, -3_600_000_000)
_JUMP_WEIGHTS = (30, 30, 20, 10, 4, 1, 2)


@dataclass(slots=True)
class SteppingClock:
    """A clock that the simulation moves, at times back."""

    time: datetime = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
    passed: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Tells the simulated time."""
        return self.time

    def elapsed(self) -> timedelta:
        """Tells how much time has passed, however the clock was set back."""
        return self.passed

    def move(self, jump: timedelta) -> None:
        """Lets time pass, or sets the clock back."""
        self.time += jump
        self.passed += max(jump, timedelta(0))


@dataclass(slots=True)
class Report:
    """What a simulation came to."""

    seed: int
    engine: str
    steps: int = 0
    sent: int = 0
    answers: int = 0
    transfers: int = 0
    restarts: int = 0
    doubtful: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Renders it for people."""
        rate = self.sent / self.seconds if self.seconds else 0
        first = (
            f"seed {self.seed} on {self.engine}: sound after {self.steps} steps,"
            f" {self.seconds:.1f} s"
        )
        second = (
            f"{self.sent} operations sent ({rate:.0f}/s), {self.answers} answered,"
            f" {self.transfers} transfers, {self.restarts} restarts,"
            f" {self.doubtful} keys without an answer looked up at the end"
        )
        lines = [first, second]
        for name, counted in (
            ("outcomes", self.outcomes),
            ("errors", self.errors),
            ("faults", self.faults),
        ):
            listed = ", ".join(f"{each} {count}" for each, count in counted.most_common())
            lines.append(f"{name}: {listed or 'none'}")
        return "\n".join(lines)


class Simulation:
    """Drives a ledger that is its own."""

    def __init__(self, url: str, *, seed: int, engine: str) -> None:
        """Prepares everything from the seed.

        Args:
            url: A migrated wallet database that nobody else uses.
            seed: Makes traffic, faults and cuts. What threads and servers do beside the event
                loop is not in its power, so two runs may cut a history into other batches.
            engine: For the report.
        """
        self._url = url
        self._random = random.Random(seed)  # noqa: S311 (a seed repeats the traffic)
        self._clock = SteppingClock()
        self._workload = Workload(random.Random(seed + 1), players=_PLAYERS)  # noqa: S311 (as above)
        self._faults = random.Random(seed + 2)  # noqa: S311 (as above)
        self._auditor = Auditor()
        self._session: FaultySession
        self._service: WalletService
        self.report = Report(seed, engine)

    async def run(self, *, until: Callable[[Report], bool], tell: Callable[[str], None]) -> Report:
        """Runs steps until told to stop, and checks everything at the end.

        Raises:
            DivergenceError: With the step at which it showed.
        """
        began = time.monotonic()
        await self._prepare()
        try:
            await self._open()
            while not until(self.report):
                await self._step()
                self.report.seconds = time.monotonic() - began
                if self.report.steps % _CHECK_EVERY == 0:
                    await self._check(whole=self.report.steps % (_CHECK_EVERY * 25) == 0)
                    tell(
                        f"step {self.report.steps}: {self.report.sent} sent,"
                        f" {self._auditor.checked} transfers, {self.report.seconds:.0f} s"
                    )
            await self._finish()
        except DivergenceError as error:
            step = self.report.steps
            message = f"seed {self.report.seed}, {self.report.engine}, step {step}: {error}"
            raise AssertionError(message) from error
        finally:
            self._session.calm()
            with contextlib.suppress(ServiceError):
                await self._service.stop()
        self.report.seconds = time.monotonic() - began
        return self.report

    # Steps.

    async def _open(self) -> None:
        """Sets policies and opens all wallets, piece by piece, so that no queue is too short."""
        policies: list[Unit] = [*first_policies()]
        await self._open_some(policies)
        # What keys name depends on it, and so the model must know before more is sent.
        await self._check(whole=False)
        openings = self._workload.openings()
        for start in range(0, len(openings), _CALLERS_MAX):
            await self._open_some(openings[start : start + _CALLERS_MAX])

    async def _open_some(self, units: list[Unit]) -> None:
        for unit in units:
            self._auditor.sends(unit)
        await self._caller(units)

    async def _step(self) -> None:
        self.report.steps += 1
        [jump] = self._random.choices(_JUMPS, _JUMP_WEIGHTS)
        self._clock.move(timedelta(microseconds=jump))
        if self._faults.random() < _FAULTS_PER_STEP:
            self._session.plan()
        if self._random.random() < _SWEEPS_PER_STEP:
            with contextlib.suppress(ServiceError):
                await self._service._sweep()  # noqa: SLF001 (the timer is the simulation's)
        callers = self._random.randint(1, _CALLERS_MAX)
        now = self._now()
        units = [self._workload.next(now) for _ in range(callers)]
        ending = self._random.random() < _RESTARTS_PER_STEP
        if ending and self._random.random() < 0.5:  # noqa: PLR2004 (half of the restarts)
            # In the midst of it: whoever waits does not learn what became of the operation.
            grace = timedelta(milliseconds=self._random.choice([0, 0, 1, 5]))
            await asyncio.gather(self._all(units), self._restart(grace))
            return
        await self._all(units)
        if ending or self._service.state is not WriterState.SERVING:
            await self._restart(timedelta(seconds=10))

    async def _all(self, units: list[Unit]) -> None:
        """Sends units: one by one from callers of their own, or as a batch."""
        for unit in units:
            self._auditor.sends(unit)
            self.report.sent += len(operations_of(unit))
        if self._random.random() < 0.2:  # noqa: PLR2004 (the share of batches)
            await self._caller(units)
            return
        tasks = []
        for unit in units:
            call = self._caller([unit], yields=self._random.randrange(_YIELDS_MAX))
            tasks.append(asyncio.create_task(call))
        if self._random.random() < _CANCELLED * len(tasks):
            for _ in range(self._random.randrange(20)):
                await asyncio.sleep(0)
            # The caller goes away; the operation may be done all the same.
            self._random.choice(tasks).cancel()
            self.report.errors["caller gone"] += 1
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for each in ended:
            if isinstance(each, BaseException) and not isinstance(each, asyncio.CancelledError):
                raise each

    async def _caller(self, units: list[Unit], *, yields: int = 0) -> None:
        for _ in range(yields):
            await asyncio.sleep(0)
        try:
            answers = await self._send(units)
        except ServiceError as error:
            self.report.errors[type(error).__name__] += 1
            if len(units) == 1 and not isinstance(units[0], Group):
                self._auditor.answered(units[0], error)
            return
        operations = [each for unit in units for each in operations_of(unit)]
        for operation, answer in zip(operations, answers, strict=True):
            if isinstance(answer, ServiceError):
                self.report.errors[type(answer).__name__] += 1
            else:
                self.report.answers += 1
                self._workload.learn(operation.player_id, answer)
            self._auditor.answered(operation, answer)

    async def _send(self, units: list[Unit]) -> list[Answer | ServiceError]:
        unit = units[0]
        if len(units) > 1 or isinstance(unit, Group):
            return await self._service.submit_batch(units)
        timeout_s = self._random.choice([None, None, None, 5.0, 0.0])
        return [await self._service.submit(unit, timeout_s=timeout_s)]

    # Beginning, restarting, ending.

    async def _prepare(self) -> None:
        await self._start()

    async def _start(self) -> None:
        self._session = FaultySession(self._url, self._faults)
        options = WriterOptions(
            sweep_every=timedelta(days=1),
            queue_max=self._random.choice([24, 4_096]),
            batch_max=self._random.choice([1, 3, 16, 512]),
        )
        self._service = WalletService(
            self._url, self._clock, options=options, session=self._session
        )
        await self._service.start()

    async def _restart(self, grace: timedelta) -> None:
        self.report.restarts += 1
        old = self._service
        await old.stop(grace)
        self._end_session()
        if old.state in {WriterState.HALTED, WriterState.DEPOSED}:
            raise DivergenceError("the writer", expected="serves", got=old.state)
        await self._start()

    def _end_session(self) -> None:
        for fault, count in self._session.struck.items():
            self.report.faults[fault.value] += count
        self._session.struck.clear()

    async def _check(self, *, whole: bool) -> None:
        await self._auditor.check(self._service, whole=whole)
        self.report.transfers = self._auditor.checked
        self.report.outcomes = self._auditor.outcomes

    async def _finish(self) -> None:
        """Calms everything, looks up what is in doubt, and adds the whole ledger up anew."""
        self._session.calm()
        await self._check(whole=True)
        self.report.doubtful = await self._auditor.final_read(self._service)
        await self._restart(timedelta(seconds=10))
        await self._check(whole=True)
        with contextlib.suppress(TransferNotFoundError):
            await self._service.get_transfer(Key("t", "nobody", "nothing"))

    def _now(self) -> Micros:
        return Micros(to_micros(self._clock.now()))
