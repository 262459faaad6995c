"""A session that fails where a test says, and otherwise is the real one."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.wallet.store import CommitUnknownError, ConnectionLostError, Session, open_session
from services.wallet.store.session import Recorder, Row
from services.wallet.store.statements import SetStatement


class FaultySession:
    """Loses its connection at planned moments, for real: what it loses is rolled back."""

    def __init__(self, url: str) -> None:
        self._session: Session = open_session(url)
        self.recorder: Recorder | None = None
        self.faults: list[str] = []
        self.opened = 0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def open(self, *, shard: int) -> None:
        self.opened += 1
        await self._session.open(shard=shard)

    async def close(self) -> None:
        await self._session.close()

    async def begin(self) -> None:
        await self._session.begin()

    async def commit(self) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "commit lost":
            await self._lose()
            raise CommitUnknownError(fault)
        await self._session.commit()
        if fault == "answer lost":
            await self._cut()
            raise CommitUnknownError(fault)

    async def rollback(self) -> None:
        await self._session.rollback()

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        return await self._session.select(statement, rows)

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        if self.faults and self.faults[0] == statement.name:
            self.faults.pop(0)
            await self._lose()
            raise ConnectionLostError(statement.name)
        return await self._session.execute(statement, rows)

    async def lock_shard(self, shard: int) -> Any:
        return await self._session.lock_shard(shard)

    async def _lose(self) -> None:
        await self._cut()
        if self.meanwhile is not None:
            await release_lease(self._session)
            await self.meanwhile()

    async def _cut(self) -> None:
        inner: Any = self._session
        if hasattr(inner, "_disconnect"):
            inner._disconnect()
        else:
            inner._connection.terminate()
            inner._connection = None


async def release_lease(session: Any) -> None:
    """Takes the lease from a session that goes on believing in it, as a lost lock does."""
    if hasattr(session, "_lock_file"):
        if session._lock_file is not None:
            os.close(session._lock_file)
            session._lock_file = None
    elif session._connection is not None:
        await session._connection.execute("SELECT pg_advisory_unlock_all()")
