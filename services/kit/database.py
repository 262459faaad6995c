"""The engine, transactions and what SQLite and PostgreSQL need to behave alike.

Only this module commits. A use case opens one `transaction()`: leaving it commits, raising rolls
back. No call to another process may happen inside; `kit.clients` refuses it.
"""

import asyncio
import functools
import random
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

import aiosqlite
import structlog
from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.kit.errors import UnavailableError

Transaction = AsyncConnection
"""An open transaction, by the name that use cases have for it: only stores send SQL through it."""

_RACE_TRIES_MAX = 3
_RACE_PAUSE_S = 0.02
# For the caller, once all tries are lost.
_RACE_RETRY_AFTER = timedelta(milliseconds=250)
_SQLITE_BUSY_TIMEOUT_MS = 5_000
_SQLITE_STOP_S = 5.0
_POSTGRES_LOCK_TIMEOUT_MS = 5_000
# PostgreSQL's default shows each statement a state of its own.
_POSTGRES_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
# Serialization failure, deadlock, lock not available, unique violation.
_POSTGRES_RACES = frozenset({"40001", "40P01", "55P03", "23505"})

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger()
_inside_transaction: ContextVar[bool] = ContextVar("inside_transaction", default=False)


def inside_transaction() -> bool:
    """Tells whether the running task holds a transaction open."""
    return _inside_transaction.get()


class Database:
    """One service's store: an SQLite file, or a schema in PostgreSQL."""

    def __init__(self, url: str, *, schema: str, pool_size: int = 5) -> None:
        """Prepares the engine; nothing connects yet.

        Args:
            url: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`.
            schema: The service's name. PostgreSQL keeps its tables in a schema of that name;
                an SQLite file belongs to one service anyway.
            pool_size: The most connections that are open at once.
        """
        self.schema = schema
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._sqlite_threads: WeakSet[Thread] = WeakSet()
        self.engine = _create_engine(
            self.url, schema=schema, pool_size=pool_size, sqlite_threads=self._sqlite_threads
        )
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Opens a write transaction; commits when the block ends, rolls back when it raises.

        On SQLite it is BEGIN IMMEDIATE: a deferred transaction that reads first and writes later
        can fail half-way, or decide on what another writer has just changed.
        """
        token = _inside_transaction.set(True)
        try:
            async with self.engine.begin() as connection:
                yield connection
        finally:
            _inside_transaction.reset(token)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Opens a read-only transaction: all its statements see one state of the database."""
        token = _inside_transaction.set(True)
        try:
            async with self.engine.connect() as connection:
                await connection.execution_options(
                    croupier_read_only=True,
                    **({} if self.is_sqlite else _POSTGRES_SNAPSHOT),
                )
                async with connection.begin():
                    yield connection
        finally:
            _inside_transaction.reset(token)

    async def ping(self) -> None:
        """Raises if the store does not answer."""
        async with self.snapshot() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()
        # Those whose statement was cancelled are no longer the engine's; their threads still end
        # the statement, and then speak to the event loop, which must be there.
        for thread in list(self._sqlite_threads):
            await asyncio.to_thread(thread.join, _SQLITE_STOP_S)


def _create_engine(
    url: URL, *, schema: str, pool_size: int, sqlite_threads: "WeakSet[Thread]"
) -> AsyncEngine:
    # Parameters stay out of exceptions, whose text is logged: some are secrets or personal data.
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # isolation_level None: the driver never begins by itself, `_begin_sqlite` does.
        return create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            connect_args={
                "isolation_level": None,
                "async_creator_fn": functools.partial(_open_sqlite, sqlite_threads),
            },
        )
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "server_settings": {
                "search_path": schema,
                "lock_timeout": str(_POSTGRES_LOCK_TIMEOUT_MS),
                "application_name": f"croupier-{schema}",
            }
        },
    )


class _SqliteHandle(sqlite3.Connection):
    """Ends its transaction when it is closed.

    SQLite defers a close, and with it the end of the transaction and of its locks, while a cursor
    is alive. A task that is cancelled during a statement leaves one in its traceback, and all
    writers would wait for the garbage collector.
    """

    def close(self) -> None:
        # It may be closed a second time, and has nothing to roll back then.
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


class _SqliteConnection(aiosqlite.Connection):
    """A connection whose thread may be told to stop twice.

    A task that is cancelled during a statement closes its connection, and one that is cancelled
    again during that stops the thread. The close then stops it too, and would wait for ever on a
    thread that has ended: for each such task, something that keeps the process from ending.
    """

    def stop(self) -> "asyncio.Future[Any] | None":
        if not self._running:
            return None
        if self._connection is not None:
            # By itself, since the close that is under way may forget the connection.
            self._tx.put_nowait((None, self._connection.close))
        return super().stop()


def _open_sqlite(threads: "WeakSet[Thread]", path: str, **options: Any) -> _SqliteConnection:
    connection = _SqliteConnection(
        lambda: sqlite3.connect(path, factory=_SqliteHandle, **options), iter_chunk_size=64
    )
    connection._thread.daemon = True  # noqa: SLF001 (as SQLAlchemy does it)
    threads.add(connection._thread)  # noqa: SLF001 (aiosqlite has no other way to wait for it)
    return connection


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_SQLITE_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "fullfsync=ON",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("croupier_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def upsert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Returns the engine's own INSERT: only those know ON CONFLICT, and in the same words."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def is_race(error: DBAPIError) -> bool:
    """Tells whether a second try may succeed: the loser of a race between transactions."""
    if isinstance(error, OperationalError) and "database is locked" in str(error.orig):
        return True
    if isinstance(error, IntegrityError) and re.search(r"UNIQUE constraint", str(error.orig)):
        return True
    return getattr(error.orig, "sqlstate", None) in _POSTGRES_RACES


def retry_on_race(
    use_case: Callable[P, Awaitable[R]],
) -> Callable[P, Awaitable[R]]:
    """Runs a use case again when it lost a race, at most 3 times in all.

    The use case must hold exactly one transaction, since that is what is repeated. A unique
    violation counts: two equal requests met, and the second try finds what the first one wrote.

    Raises:
        UnavailableError: It lost all tries, and nothing was recorded; the caller may repeat it.
    """

    @functools.wraps(use_case)
    async def repeat(*args: P.args, **kwargs: P.kwargs) -> R:
        for tried in range(1, _RACE_TRIES_MAX + 1):
            try:
                return await use_case(*args, **kwargs)
            except DBAPIError as error:
                if not is_race(error):
                    raise
                if tried == _RACE_TRIES_MAX:
                    # An error all the same: use cases take locks in an order in which nobody
                    # should lose that often, and a unique violation may be a fault of ours.
                    _log.exception("race lost", use_case=use_case.__qualname__, tries=tried)
                    raise UnavailableError(
                        dependency="database", retry_after=_RACE_RETRY_AFTER
                    ) from error
            await asyncio.sleep(random.uniform(0, _RACE_PAUSE_S * tried))  # noqa: S311 (jitter)
        raise AssertionError

    return repeat
