"""The writer's session on SQLite.

Statements run on the event loop: beside a busy loop, a statement on a thread waits for the
interpreter lock longer than it runs. Only COMMIT, which waits for the disk, goes to a thread. A
pause after each slice lets the loop serve its callers.
"""

import asyncio
import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.engine import URL

from services.wallet.store.session import (
    CommitUnknownError,
    ConnectionLostError,
    LeaseTakenError,
    RaceLostError,
    Recorder,
    Row,
    RowExistsError,
    StatementTiming,
    UnsafeSettingsError,
)
from services.wallet.store.statements import SHARD_STATE, SetStatement

# Fixed sizes, so that each statement is prepared once; any number is a sum of a few of them.
_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_STATEMENTS_CACHED = 512
# How long to wait for another connection's transaction, and how often to look. SQLite's own wait
# would hold up the loop, on which that very transaction may depend.
_BUSY_TIMEOUT_S = 5.0
_BUSY_PAUSE_S = 0.005
_CACHE_KIB = 65_536
_SLICE_S = 0.005
# How long the thread that commits waits for the interpreter while the loop is busy.
_SWITCH_INTERVAL_S = 0.0005

_DIALECT = aiosqlite.dialect()


class SqliteSession:
    """One connection to the file, and a lock file beside it."""

    def __init__(self, url: URL) -> None:
        if not url.database:
            message = "the ledger needs a file"
            raise ValueError(message)
        self.recorder: Recorder | None = None
        self._path = Path(url.database)
        self._connection: sqlite3.Connection | None = None
        self._lock_file: int | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-commit")
        self._slice_began = 0.0

    async def open(self, *, shard: int) -> None:
        """Locks the file beside the database and connects."""
        del shard  # one file is one shard
        if self._lock_file is None:
            self._take_lock_file()
        # One that is left, perhaps in a transaction, would keep the new one out.
        self._disconnect()
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            raise ConnectionLostError(str(error)) from error
        sys.setswitchinterval(_SWITCH_INTERVAL_S)

    async def close(self) -> None:
        """Disconnects and lets the lock file go, once a COMMIT under way has ended."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._disconnect()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def begin(self) -> None:
        """Takes SQLite's write lock."""
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            self._slice_began = time.perf_counter()
            try:
                self._run("BEGIN IMMEDIATE")
            except RaceLostError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(_BUSY_PAUSE_S)

    async def commit(self) -> None:
        """Waits for the disk on a thread."""
        connection = self._connected()
        started = time.time_ns() if self.recorder is not None else 0
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, connection.execute, "COMMIT"
            )
        except sqlite3.Error as error:
            self._disconnect()
            raise CommitUnknownError(str(error)) from error
        self._record("commit", "COMMIT", started, 0)

    async def rollback(self) -> None:
        """Drops the transaction; a connection that cannot is dropped with it."""
        if self._connection is None or not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        """Reads in pieces of a fixed size."""
        found: list[Any] = []
        for piece in _pieces(rows):
            cursor = await self._run_set(statement, piece)
            found += cursor.fetchall()
        return found

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        """Writes in pieces of a fixed size."""
        changed = 0
        for piece in _pieces(rows):
            cursor = await self._run_set(statement, piece)
            changed += cursor.rowcount
        return changed

    async def lock_shard(self, shard: int) -> Any:
        """Takes the write lock, which the transaction before must have let go."""
        await self.begin()
        return (await self.select(SHARD_STATE, [(shard,)]))[0]

    async def _run_set(self, statement: SetStatement, rows: Sequence[Row]) -> sqlite3.Cursor:
        if time.perf_counter() - self._slice_began > _SLICE_S:
            await asyncio.sleep(0)
            self._slice_began = time.perf_counter()
        sql = statement.for_values(_DIALECT, len(rows))
        started = time.time_ns() if self.recorder is not None else 0
        cursor = self._run(sql, list(chain.from_iterable(rows)))
        self._record(statement.name, sql, started, cursor.rowcount)
        return cursor

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connected().execute(sql, parameters)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in _EXISTS:
                raise RowExistsError(str(error)) from error
            raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise RaceLostError(str(error)) from error
            if error.sqlite_errorcode & 0xFF in _LOST:
                self._disconnect()
                raise ConnectionLostError(str(error)) from error
            raise

    def _record(self, name: str, sql: str, started: int, rows: int) -> None:
        if self.recorder is not None:
            self.recorder.timings.append(StatementTiming(name, sql, started, time.time_ns(), rows))

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            message = "not connected"
            raise ConnectionLostError(message)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        # The loop and the committing thread take turns and never overlap.
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_CACHED,
        )
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "fullfsync=ON",
            "foreign_keys=ON",
            f"cache_size=-{_CACHE_KIB}",
            "busy_timeout=0",
        ):
            connection.execute(f"PRAGMA {pragma}")
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            connection.close()
            message = f"journal_mode is {mode}"
            raise UnsafeSettingsError(message)
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take_lock_file(self) -> None:
        lock_file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_file)
            message = f"another process writes {self._path.name}"
            raise LeaseTakenError(message) from None
        self._lock_file = lock_file


_EXISTS = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_LOST = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start, left = 0, len(rows)
    for size in _SIZES:
        while left >= size:
            yield rows[start : start + size]
            start += size
            left -= size
