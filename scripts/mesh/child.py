"""One program under supervision: how it is started, where it logs, when it is ready."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_TAIL_BYTES = 16_384

Ready = Callable[[], Awaitable[bool]]
Drain = Callable[[], Awaitable[None]]


async def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, with all that its process gets to know."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment: nothing is inherited."""
    stage: int = 0
    """Programs of one stage are stopped together, and lower stages before higher ones."""
    is_ready: Ready = _at_once
    """Asks the running program whether it serves."""
    drain: Drain | None = None
    """What is done before any program is asked to stop."""
    stop_s_max: float = 15.0
    """How long it may take to stop before it is killed."""


class Child:
    """One run of a program."""

    def __init__(
        self, program: Program, process: asyncio.subprocess.Process, *, log: Path, log_begin: int
    ) -> None:
        """Takes a process that has just been started; see `start`."""
        self.program = program
        self.pid = process.pid
        self._log = log
        self._log_begin = log_begin
        self._process = process

    @classmethod
    async def start(cls, program: Program, log: Path) -> "Child":
        """Starts the program; what it prints is appended to the log.

        It is the leader of a session of its own, so that Ctrl-C reaches only the supervisor.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        log_begin = os.fstat(descriptor).st_size
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(_GUARD),
                str(os.getpid()),
                *program.command,
                env=dict(program.environment),
                # Held open for the guard, which on some systems watches it for our death.
                stdin=asyncio.subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        return cls(program, process, log=log, log_begin=log_begin)

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits for its end."""
        return await self._process.wait()

    async def stop(self) -> bool:
        """Asks it to stop, and kills it when it takes too long. Tells whether it stopped itself."""
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.program.stop_s_max):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
            return False
        return True

    def kill(self) -> None:
        """Ends it at once, with whatever it has started."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)

    def last_lines(self, count: int) -> list[str]:
        """Returns the end of what this run, and none before it, has printed."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A log that has become shorter was begun anew meanwhile.
            begin = self._log_begin if self._log_begin <= size else 0
            file.seek(max(begin, size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)


def ending(code: int) -> str:
    """Says how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
