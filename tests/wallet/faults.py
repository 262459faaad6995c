"""A session that fails where a test says, and otherwise is the real one.

A fault is the name of a statement, which then loses the connection, or one of:

- `commit lost`: the connection is lost before COMMIT arrives;
- `answer lost`: COMMIT is done, and the connection is lost before the answer;
- `race at lock`: the shard's row cannot be had, though the transaction has begun;
- `nonsense at lock`: an error that nobody expects, at the same place;
- `refuse <statement>`: the statement is refused, and the connection stands;
- `lease taken`: the server has not noticed yet that the connection before is gone.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.wallet.store import (
    CommitUnknownError,
    ConnectionLostError,
    LeaseTakenError,
    RaceLostError,
    Session,
    open_session,
)
from services.wallet.store.session import Recorder, Row
from services.wallet.store.statements import SetStatement


class FaultySession:
    """Fails at planned moments, for real: what it loses is rolled back.

    Attributes:
        faults: What is still to go wrong, in order.
        opened: How often it has connected and got the lease.
        meanwhile: Called when the connection is lost, before the writer knows.
        rolled_back: Called after each rollback.
    """

    def __init__(self, url: str) -> None:
        self._session: Session = open_session(url)
        self.recorder: Recorder | None = None
        self.faults: list[str] = []
        self.opened = 0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.rolled_back: Callable[[], Awaitable[None]] | None = None

    async def open(self, *, shard: int) -> None:
        if self._is_due("lease taken"):
            message = "lease taken"
            raise LeaseTakenError(message)
        await self._session.open(shard=shard)
        # Counted once it has worked: a server may need a moment to notice that the connection
        # before is gone, and keeps its lease until then.
        self.opened += 1

    async def close(self) -> None:
        await self._session.close()

    async def begin(self) -> None:
        await self._session.begin()

    async def commit(self) -> None:
        if self._is_due("commit lost"):
            await self._lose()
            message = "commit lost"
            raise CommitUnknownError(message)
        await self._session.commit()
        if self._is_due("answer lost"):
            await self._cut()
            message = "answer lost"
            raise CommitUnknownError(message)

    async def rollback(self) -> None:
        await self._session.rollback()
        if self.rolled_back is not None:
            await self.rolled_back()

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        return await self._session.select(statement, rows)

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        if self._is_due(statement.name):
            await self._lose()
            raise ConnectionLostError(statement.name)
        if self._is_due(f"refuse {statement.name}"):
            message = f"{statement.name} is refused"
            raise ValueError(message)
        return await self._session.execute(statement, rows)

    async def lock_shard(self, shard: int) -> Any:
        row = await self._session.lock_shard(shard)
        if self._is_due("race at lock"):
            message = "race at lock"
            raise RaceLostError(message)
        if self._is_due("nonsense at lock"):
            message = "nonsense at lock"
            raise ArithmeticError(message)
        return row

    def _is_due(self, fault: str) -> bool:
        if self.faults and self.faults[0] == fault:
            del self.faults[0]
            return True
        return False

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
