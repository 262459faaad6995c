"""The writer's session on PostgreSQL: one connection, straight to the server."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
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
from services.wallet.store.statements import SetStatement

_SCHEMA = "wallet"
_LOCK_TIMEOUT_MS = 5_000
# A writer that was paused in a transaction must let go of the shard's row.
_IDLE_TIMEOUT_MS = 5_000
_CONNECT_TIMEOUT_S = 10
_COMMAND_TIMEOUT_S = 30
_CLOSE_TIMEOUT_S = 2
# The first number of the advisory locks that are leases; the second is the shard.
_LEASE_CLASS = 1_464_616_019

_RACES = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What the driver says when it is used while the server hangs up.
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)

_DIALECT: Any = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap

R = TypeVar("R")


class PostgresSession:
    """One connection that holds the shard's advisory lock."""

    def __init__(self, url: URL) -> None:
        self.recorder: Recorder | None = None
        self._arguments: dict[str, Any] = _DIALECT.create_connect_args(url)[1]
        self._connection: Any = None
        self._in_transaction = False

    async def open(self, *, shard: int) -> None:
        """Connects, checks that the server is durable, and takes the lease."""
        await self._drop()
        self._connection = await self._guard(
            asyncpg.connect(
                **self._arguments,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=_COMMAND_TIMEOUT_S,
                server_settings={
                    "search_path": _SCHEMA,
                    "application_name": "croupier-wallet-writer",
                    "lock_timeout": str(_LOCK_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(_IDLE_TIMEOUT_MS),
                    # Statements are small and always the same: compiling them costs more.
                    "jit": "off",
                },
            )
        )
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            value = await self._guard(self._connection.fetchval(f"SHOW {setting}"))
            if value == "off":
                await self._drop()
                message = f"{setting} is off"
                raise UnsafeSettingsError(message)
        taken = await self._guard(
            self._connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LEASE_CLASS, shard)
        )
        if not taken:
            await self._drop()
            message = f"another process writes shard {shard}"
            raise LeaseTakenError(message)

    async def close(self) -> None:
        """Disconnects, which gives the lease back."""
        await self._drop()

    async def begin(self) -> None:
        """Begins a transaction; READ COMMITTED, since the fence orders the writers."""
        await self._guard(self._connected().execute("BEGIN"))
        self._in_transaction = True

    async def commit(self) -> None:
        """Waits until the server has it on disk."""
        started = time.time_ns() if self.recorder is not None else 0
        connection = self._connected()
        try:
            await connection.execute("COMMIT")
        except Exception as error:
            self._in_transaction = False
            if isinstance(error, _RACES):
                raise RaceLostError(str(error)) from error
            if _is_verdict(error, connection):
                raise
            await self._drop()
            raise CommitUnknownError(str(error)) from error
        self._in_transaction = False
        self._record("commit", "COMMIT", started, 0)

    async def rollback(self) -> None:
        """Drops the transaction; a connection that cannot is dropped with it."""
        if self._connection is None or not self._in_transaction:
            return
        self._in_transaction = False
        try:
            await self._connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, *_LOST):
            await self._drop()

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        """Reads with one statement."""
        if not rows:
            return []
        sql = statement.for_arrays(_DIALECT)
        started = time.time_ns() if self.recorder is not None else 0
        found: list[Any] = await self._guard(self._connected().fetch(sql, *_columns(rows)))
        self._record(statement.name, sql, started, len(found))
        return found

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        """Writes with one statement."""
        if not rows:
            return 0
        sql = statement.for_arrays(_DIALECT)
        started = time.time_ns() if self.recorder is not None else 0
        done = await self._guard(self._connected().execute(sql, *_columns(rows)))
        changed = int(done.rpartition(" ")[2])
        self._record(statement.name, sql, started, changed)
        return changed

    async def lock_shard(self, shard: int) -> Any:
        """Waits for the row: who gets it knows that the transaction before has ended."""
        await self.begin()
        return await self._guard(
            self._connected().fetchrow(
                "SELECT shard, epoch, incarnation, last_seq, last_batch, head_hash"
                " FROM shard WHERE shard = $1 FOR UPDATE",
                shard,
            )
        )

    async def _guard(self, work: Awaitable[R]) -> R:
        try:
            return await work
        except asyncpg.UniqueViolationError as error:
            raise RowExistsError(str(error)) from error
        except Exception as error:
            if isinstance(error, _RACES):
                raise RaceLostError(str(error)) from error
            if _is_verdict(error, self._connection):
                raise
            await self._drop()
            raise ConnectionLostError(str(error)) from error

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._in_transaction = False
        if connection is None:
            return
        try:
            await connection.close(timeout=_CLOSE_TIMEOUT_S)
        except (asyncpg.PostgresError, *_LOST):
            connection.terminate()

    def _connected(self) -> Any:
        if self._connection is None:
            message = "not connected"
            raise ConnectionLostError(message)
        return self._connection

    def _record(self, name: str, sql: str, started: int, rows: int) -> None:
        if self.recorder is not None:
            self.recorder.timings.append(StatementTiming(name, sql, started, time.time_ns(), rows))


def _is_verdict(error: Exception, connection: Any) -> bool:
    """Tells whether the server itself has said no, over a connection that still stands."""
    if connection is None or connection.is_closed() or isinstance(error, _LOST):
        return False
    return isinstance(error, asyncpg.PostgresError | ValueError | TypeError)


def _columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))
