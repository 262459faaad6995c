"""Keeps programs running: starts them, starts them again when they die, stops them in order."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.mesh.child import Child, Program, ending
from scripts.mesh.journal import readable

_POLL_S = 0.05
_READY_S_MAX = 60.0
_PAUSE_S = 0.25
_PAUSE_S_MAX = 15.0
# After running this long a program counts as healthy: its next death is its first.
_STEADY_S = 30.0
# A program that dies this often before it was ever ready will not get there.
_FIRST_STARTS_MAX = 3
_TAIL_LINES = 12
_DRAIN_S_MAX = 10.0

Report = Callable[[str, str], None]
"""Takes the name of a program and a sentence about it."""


class StartFailedError(Exception):
    """A program did not become ready."""

    def __init__(self, name: str, why: str, *, said: str, log: Path) -> None:
        """Names the program and shows what it said last."""
        super().__init__(f"{name} {why}{said}\n  The whole log: {log}")
        self.name = name


class _Keeper:
    """Runs one program over and over until it is told to stop."""

    def __init__(self, program: Program, log: Path, report: Report) -> None:
        self.program = program
        self.log = log
        self.ready_s: float | None = None
        self._report = report
        self._ready = asyncio.Event()
        self._stopping = False
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None between two runs."""
        running = self._child is not None and self._child.exit_code is None
        return self._child.pid if self._child is not None and running else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"keep {self.program.name}")

    async def wait_ready(self) -> None:
        """Waits until the program is ready for the first time.

        Raises:
            StartFailedError: It takes too long, or dies again and again.
        """
        assert self._task is not None  # noqa: S101 (`start` comes first)
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._task}, timeout=_READY_S_MAX, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()
        if not self._ready.is_set():
            why = f"is not ready after {_READY_S_MAX:.0f} s"
            raise self._failed(why, self._child)

    async def drain(self) -> None:
        """Lets the program end what is under way, where it has a way to."""
        if self.program.drain is None or self.pid is None or not self._ready.is_set():
            return
        try:
            async with asyncio.timeout(_DRAIN_S_MAX):
                await self.program.drain()
        except Exception as error:  # noqa: BLE001 (whatever it is, stopping goes on)
            self._report(self.program.name, f"could not be drained: {error!r}")

    async def stop(self) -> None:
        """Asks the program to stop, and ends this keeper."""
        self._stopping = True
        child = self._child
        if child is not None and child.exit_code is None and not await child.stop():
            why = f"did not stop within {self.program.stop_s_max:.0f} s and was killed"
            self._report(self.program.name, why)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def kill(self) -> None:
        """Ends the program at once."""
        self._stopping = True
        if self._child is not None:
            self._child.kill()

    async def _run(self) -> None:
        deaths = 0
        while True:
            began = time.monotonic()
            child = self._child = await Child.start(self.program, self.log)
            watching = asyncio.create_task(self._watch_ready(child))
            try:
                code = await child.wait()
            finally:
                watching.cancel()
            if self._stopping:
                return
            deaths = 1 if time.monotonic() - began > _STEADY_S else deaths + 1
            if not self._ready.is_set() and deaths >= _FIRST_STARTS_MAX:
                why = f"ended with {ending(code)} {deaths} times before it was ready"
                raise self._failed(why, child)
            await self._back_off(deaths, code, child)

    def _failed(self, why: str, child: Child | None) -> StartFailedError:
        return StartFailedError(self.program.name, why, said=_last_words(child), log=self.log)

    async def _back_off(self, deaths: int, code: int, child: Child) -> None:
        pause_s = min(_PAUSE_S_MAX, _PAUSE_S * 2 ** min(deaths - 1, 10))
        pause_s *= random.uniform(0.8, 1.2)  # noqa: S311 (jitter)
        said = f"ended with {ending(code)}; starts again in {pause_s:.1f} s"
        if deaths == _FIRST_STARTS_MAX:
            words = _last_words(child)
            said += f". It keeps failing; its log is {self.log}, and this time it said"
            said += words or " nothing"
        self._report(self.program.name, said)
        await asyncio.sleep(pause_s)

    async def _watch_ready(self, child: Child) -> None:
        began = time.monotonic()
        while not await self.program.is_ready():  # noqa: ASYNC110 (another process tells nothing)
            await asyncio.sleep(_POLL_S)
        took_s = time.monotonic() - began
        if child.exit_code is not None:
            return
        if self._ready.is_set():
            self._report(self.program.name, f"serves again, after {took_s:.1f} s")
        else:
            self.ready_s = took_s
        self._ready.set()


def _last_words(child: Child | None) -> str:
    lines = child.last_lines(_TAIL_LINES) if child is not None else []
    return "".join(f"\n    {readable(line)}" for line in lines)


class Supervisor:
    """All programs together."""

    def __init__(self, programs: Sequence[Program], *, logs: Path, report: Report) -> None:
        """Takes what to run; nothing runs yet.

        Args:
            programs: In the order in which they are started.
            logs: The folder in which each gets a log of its own.
            report: Takes what an operator should know.
        """
        self._keepers = [
            _Keeper(program, logs / f"{program.name}.log", report) for program in programs
        ]

    @property
    def names(self) -> list[str]:
        """The names of all programs."""
        return [keeper.program.name for keeper in self._keepers]

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run now."""
        return {keeper.program.name: pid for keeper in self._keepers if (pid := keeper.pid)}

    async def start(self, on_ready: Report) -> None:
        """Starts all programs at once, and returns when all are ready.

        Args:
            on_ready: Takes the name of each program as it becomes ready, and how long it took.

        Raises:
            StartFailedError: One did not become ready. The others still run.
        """
        for keeper in self._keepers:
            keeper.start()

        async def wait(keeper: _Keeper) -> None:
            await keeper.wait_ready()
            on_ready(keeper.program.name, f"{keeper.ready_s or 0.0:.1f} s")

        waiting = [asyncio.create_task(wait(keeper)) for keeper in self._keepers]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def stop(self) -> None:
        """Drains those that can be drained, then stops all programs, stage by stage."""
        await asyncio.gather(*(keeper.drain() for keeper in self._keepers))
        stages = sorted({keeper.program.stage for keeper in self._keepers})
        for stage in stages:
            await asyncio.gather(
                *(keeper.stop() for keeper in self._keepers if keeper.program.stage == stage)
            )

    def kill(self) -> None:
        """Ends all programs at once."""
        for keeper in self._keepers:
            keeper.kill()
