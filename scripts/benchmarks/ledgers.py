"""Filled ledgers on both engines: copies of a small one, and one large."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from scripts.benchmarks.postgres import Postgres

SQLITE = "SQLite"
POSTGRESQL = "PostgreSQL"
_SIZES_OF_BATCHES = (
    "SELECT last_seq - first_seq + 1 FROM {batch} WHERE first_seq >= {first} AND last_seq <= {last}"
)


class Ledgers(Protocol):
    """The ledgers of one engine, by name."""

    engine: str

    def url(self, name: str) -> str:
        """Returns the address of a ledger, and makes it, empty, if it is missing."""

    def payments_url(self, name: str) -> str:
        """Returns where the payments beside a ledger are stored."""

    def settle(self, name: str) -> None:
        """Tidies up after a fill, as time would."""

    def copy(self, name: str, to: str) -> str:
        """Copies a settled ledger that nobody uses, and returns the address of the copy."""

    def drop(self, name: str) -> None:
        """Removes a ledger that nobody uses."""

    def size(self, name: str) -> int:
        """Returns how many bytes a ledger takes."""

    def last_seq(self, name: str) -> int:
        """Returns how far a ledger has come."""

    def batches(self, name: str, first_seq: int, last_seq: int) -> list[int]:
        """Returns how many postings each commit between two seqs held."""


class SqliteLedgers:
    """Files in a folder."""

    engine = SQLITE

    def __init__(self, folder: Path) -> None:
        """Takes the folder."""
        self._folder = folder

    def url(self, name: str) -> str:
        """Returns the address of a file; SQLite makes it."""
        return f"sqlite+aiosqlite:///{self._path(name)}"

    def payments_url(self, name: str) -> str:
        """Payments have a file of their own."""
        return self.url(f"{name}-payments")

    def settle(self, name: str) -> None:
        """Moves the write-ahead log into the file."""
        with closing(sqlite3.connect(self._path(name))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self, name: str, to: str) -> str:
        """Copies the file."""
        shutil.copyfile(self._path(name), self._path(to))
        return self.url(to)

    def drop(self, name: str) -> None:
        """Removes the file, and what lies beside it."""
        for path in self._folder.glob(f"{name}.db*"):
            path.unlink()

    def size(self, name: str) -> int:
        """Returns the size of the file."""
        return self._path(name).stat().st_size

    def last_seq(self, name: str) -> int:
        """Reads the shard."""
        with closing(sqlite3.connect(self._path(name))) as connection:
            return int(connection.execute("SELECT last_seq FROM shard").fetchone()[0])

    def batches(self, name: str, first_seq: int, last_seq: int) -> list[int]:
        """Reads the batches."""
        query = _SIZES_OF_BATCHES.format(batch="batch", first=first_seq, last=last_seq)
        with closing(sqlite3.connect(self._path(name))) as connection:
            return [int(row[0]) for row in connection.execute(query)]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"


class PostgresLedgers:
    """Databases of a server."""

    engine = POSTGRESQL

    def __init__(self, server: Postgres) -> None:
        """Takes the server."""
        self._server = server

    def url(self, name: str) -> str:
        """Returns the address of a database."""
        query = f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"  # noqa: S608 (a name of ours)
        if self._server.execute(query) == "0":
            self._server.execute(f'CREATE DATABASE "{name}"')
        return self._server.url(name)

    def payments_url(self, name: str) -> str:
        """Payments are a schema of the same database."""
        return self.url(name)

    def settle(self, name: str) -> None:
        """Does what autovacuum would."""
        self._server.execute("VACUUM ANALYZE", database=name)

    def copy(self, name: str, to: str) -> str:
        """Copies the database."""
        self._server.execute(f'CREATE DATABASE "{to}" TEMPLATE "{name}"')
        return self._server.url(to)

    def drop(self, name: str) -> None:
        """Drops the database."""
        self._server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def size(self, name: str) -> int:
        """Returns the size of the database."""
        return int(self._server.execute(f"SELECT pg_database_size('{name}')"))

    def last_seq(self, name: str) -> int:
        """Reads the shard."""
        return int(self._server.execute("SELECT last_seq FROM wallet.shard", database=name))

    def batches(self, name: str, first_seq: int, last_seq: int) -> list[int]:
        """Reads the batches."""
        query = _SIZES_OF_BATCHES.format(batch="wallet.batch", first=first_seq, last=last_seq)
        return [int(line) for line in self._server.execute(query, database=name).split()]
