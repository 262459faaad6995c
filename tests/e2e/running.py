"""A mesh that `./scripts/up` runs, as its user would start it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.mesh.description import Description

ROOT = Path(__file__).parents[2]
READY_S_MAX = 120
STOP_S_MAX = 60


class RunningMesh:
    """The process of `up`, what it printed, and what it says where everything is."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._output = folder.with_name(f"{folder.name}.out")
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 (our own command)
                [str(ROOT / "scripts" / "up"), "--data", str(folder), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal that runs the tests is not meant for it.
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """Everything that it has printed so far."""
        return self._output.read_text()

    def wait_ready(self) -> Description:
        """Waits until everything serves."""
        file = self.folder / "mesh.json"
        deadline = time.monotonic() + READY_S_MAX
        while not file.exists():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)
        return Description.read(file)

    def wait_printed(self, text: str) -> None:
        """Waits until it has printed something."""
        deadline = time.monotonic() + READY_S_MAX
        while text not in self.printed:
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S_MAX)

    def end(self) -> None:
        """Ends it, whatever state it is in."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S_MAX)
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[RunningMesh]:
    """Runs a mesh while the block lasts."""
    mesh = RunningMesh(folder, *options)
    try:
        yield mesh
    finally:
        mesh.end()


def is_alive(pid: int) -> bool:
    """Tells whether a process runs; one that nobody has buried yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def wait_gone(pids: dict[str, int]) -> None:
    """Waits until none of the processes runs."""
    deadline = time.monotonic() + STOP_S_MAX
    while alive := {name: pid for name, pid in pids.items() if is_alive(pid)}:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)
