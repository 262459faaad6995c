import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scripts.mesh.guard
from scripts.mesh.child import Program
from scripts.mesh.supervisor import StartFailedError, Supervisor
from tests.kit.waiting import until

# Says that it runs, and on SIGTERM that it was asked to stop.
OBEDIENT = """
import os, signal, sys, time
def note(word):
    with open(sys.argv[1], "a") as journal:
        journal.write(f"{word}\\n")
def stop(number, frame):
    note(f"stopped {sys.argv[2]}")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note(f"started {sys.argv[2]}")
while True:
    time.sleep(60)
"""
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write("started stubborn\\n")
while True:
    time.sleep(60)
"""
FAILING = "import sys; print('there is no such database'); sys.exit(3)"


class Journal:
    """What the programs wrote and what the supervisor reported."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "journal"
        self.reports: list[tuple[str, str]] = []

    def report(self, name: str, said: str) -> None:
        self.reports.append((name, said))

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    def program(self, name: str, code: str = OBEDIENT, *, stage: int = 0) -> Program:
        async def is_ready() -> bool:
            return f"started {name}" in self.lines()

        return Program(
            name=name,
            command=(sys.executable, "-S", "-c", code, str(self.file), name),
            stage=stage,
            is_ready=is_ready,
            stop_s_max=0.5 if code == STUBBORN else 10.0,
        )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def ignore(name: str, said: str) -> None:
    del name, said


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that nobody has buried yet is dead all the same.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own command)
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def watched(program: Program) -> list[str]:
    guard = [sys.executable, "-I", "-S", scripts.mesh.guard.__file__, "--watch", str(os.getpid())]
    return [*guard, *program.command]


async def test_killed_program_is_started_again_and_reported(
    journal: Journal, tmp_path: Path
) -> None:
    supervisor = Supervisor([journal.program("a")], logs=tmp_path, report=journal.report)
    await supervisor.start(ignore)
    first = supervisor.pids["a"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: journal.lines() == ["started a", "started a"])
    await until(lambda: len(journal.reports) == 2)
    assert supervisor.pids["a"] != first
    await supervisor.stop()
    assert journal.lines() == ["started a", "started a", "stopped a"]
    assert journal.reports[0][1].startswith("ended with SIGKILL; starts again in 0.")
    assert journal.reports[1][1].startswith("serves again, after ")
    assert supervisor.pids == {}


async def test_programs_are_stopped_stage_by_stage(journal: Journal, tmp_path: Path) -> None:
    programs = [
        journal.program("store", stage=2),
        journal.program("edge", stage=0),
        journal.program("service", stage=1),
    ]
    supervisor = Supervisor(programs, logs=tmp_path, report=journal.report)
    await supervisor.start(ignore)
    await supervisor.stop()
    assert journal.lines()[-3:] == ["stopped edge", "stopped service", "stopped store"]
    assert journal.reports == []


async def test_program_is_drained_before_it_is_asked_to_stop(
    journal: Journal, tmp_path: Path
) -> None:
    async def drain() -> None:
        journal.file.write_text(journal.file.read_text() + "drained\n")

    program = journal.program("edge")
    program = Program(name="edge", command=program.command, is_ready=program.is_ready, drain=drain)
    supervisor = Supervisor([program], logs=tmp_path, report=journal.report)
    await supervisor.start(ignore)
    await supervisor.stop()
    assert journal.lines() == ["started edge", "drained", "stopped edge"]


async def test_program_that_ignores_the_request_to_stop_is_killed(
    journal: Journal, tmp_path: Path
) -> None:
    supervisor = Supervisor(
        [journal.program("stubborn", STUBBORN)], logs=tmp_path, report=journal.report
    )
    await supervisor.start(ignore)
    pid = supervisor.pids["stubborn"]
    await supervisor.stop()
    assert not is_alive(pid)
    assert [name for name, _ in journal.reports] == ["stubborn"]
    assert "was killed" in journal.reports[0][1]


async def test_program_that_never_gets_ready_is_named_with_the_end_of_its_log(
    journal: Journal, tmp_path: Path
) -> None:
    supervisor = Supervisor(
        [journal.program("a"), journal.program("b", FAILING)],
        logs=tmp_path,
        report=journal.report,
    )
    with pytest.raises(StartFailedError) as caught:
        await supervisor.start(ignore)
    await supervisor.stop()
    assert caught.value.name == "b"
    assert "ended with exit code 3 3 times before it was ready" in str(caught.value)
    assert "there is no such database" in str(caught.value)
    assert str(tmp_path / "b.log") in str(caught.value)
    assert supervisor.pids == {}


async def test_program_that_keeps_failing_is_shown_with_what_it_said_this_time(
    journal: Journal, tmp_path: Path
) -> None:
    flag = tmp_path / "broken"
    code = f"""
import os, sys, time
if os.path.exists({str(flag)!r}):
    print('{{"event": "no such database", "level": "error"}}'); sys.exit(3)
print("all is well", flush=True)
open(sys.argv[1], "a").write("started a\\n")
time.sleep(60)
"""
    supervisor = Supervisor([journal.program("a", code)], logs=tmp_path, report=journal.report)
    await supervisor.start(ignore)
    flag.touch()
    os.kill(supervisor.pids["a"], signal.SIGKILL)
    await until(lambda: any("It keeps failing" in said for _, said in journal.reports))
    await supervisor.stop()
    [said] = [said for _, said in journal.reports if "It keeps failing" in said]
    assert said.splitlines()[1:] == ["    error: no such database"]
    assert "all is well" in (tmp_path / "a.log").read_text()


async def test_program_sees_only_the_environment_that_is_meant_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_SOMEBODY_ELSE", "hunter2")
    program = Program(
        name="env",
        command=(sys.executable, "-S", "-c", "import os; print(sorted(os.environ)); input()"),
        environment={"MINE": "1"},
    )
    supervisor = Supervisor([program], logs=tmp_path, report=ignore)
    await supervisor.start(ignore)
    log = tmp_path / "env.log"
    await until(lambda: b"\n" in log.read_bytes())
    await supervisor.stop()
    seen = log.read_text().splitlines()[0]
    assert "'MINE'" in seen
    assert "SECRET_OF_SOMEBODY_ELSE" not in seen


async def test_program_dies_with_a_supervisor_that_is_killed(
    journal: Journal, tmp_path: Path
) -> None:
    supervisor = start(
        [
            sys.executable,
            "-c",
            f"""
import asyncio, sys
from pathlib import Path
from scripts.mesh.child import Child, Program
async def main():
    program = Program(
        name="a", command=(sys.executable, "-S", "-c", {OBEDIENT!r}, {str(journal.file)!r}, "a"))
    child = await Child.start(program, Path({str(tmp_path / "a.log")!r}))
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
""",
        ],
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    await until(lambda: journal.lines() == ["started a"])
    assert is_alive(pid)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdin.close()
    supervisor.stdout.close()
    await until(lambda: not is_alive(pid))
    assert journal.lines() == ["started a"]


async def test_program_dies_with_its_caller_where_the_kernel_does_not_help(
    journal: Journal,
) -> None:
    guard = start(watched(journal.program("a")))
    assert guard.stdin is not None
    assert guard.stdout is not None
    await until(lambda: journal.lines() == ["started a"])
    guard.stdin.close()
    guard.stdout.close()
    assert await asyncio.to_thread(guard.wait, 20) == 128 + signal.SIGKILL


async def test_guard_passes_the_request_to_stop_on(journal: Journal) -> None:
    guard = start(watched(journal.program("a")))
    assert guard.stdin is not None
    assert guard.stdout is not None
    await until(lambda: journal.lines() == ["started a"])
    guard.terminate()
    assert await asyncio.to_thread(guard.wait, 20) == 0
    guard.stdin.close()
    guard.stdout.close()
    assert journal.lines() == ["started a", "stopped a"]
