"""A writer's session that fails at planned moments, for real: what it loses is rolled back."""

import random
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Any

from services.wallet.store import (
    CommitUnknownError,
    ConnectionLostError,
    RaceLostError,
    Session,
    open_session,
)
from services.wallet.store.session import Recorder, Row
from services.wallet.store.statements import SetStatement

_STATEMENTS_MAX = 12


class Fault(Enum):
    """What goes wrong, and when."""

    BEFORE_BATCH = "before the batch"
    BETWEEN_STATEMENTS = "between statements"
    RACE_LOST = "a race that was lost"
    STATEMENT_FAILED = "a statement that the database refused"
    COMMIT_LOST = "at COMMIT, before it reached the disk"
    ANSWER_LOST = "after COMMIT, before the answer"


_AT_STATEMENTS: dict[Fault, type[Exception]] = {
    Fault.BETWEEN_STATEMENTS: ConnectionLostError,
    Fault.RACE_LOST: RaceLostError,
    Fault.STATEMENT_FAILED: ValueError,
}


class FaultySession:
    """The real session, until a fault is due.

    Attributes:
        recorder: As the real one's.
        struck: How often each fault has struck.
    """

    def __init__(self, url: str, chance: random.Random) -> None:
        self._session: Session = open_session(url)
        self._random = chance
        self._planned: list[tuple[Fault, int]] = []
        self._locking = False
        self.struck: Counter[Fault] = Counter()

    @property
    def recorder(self) -> Recorder | None:
        """Notes the timings of a batch that somebody traces."""
        return self._session.recorder

    @recorder.setter
    def recorder(self, recorder: Recorder | None) -> None:
        self._session.recorder = recorder

    def plan(self) -> None:
        """Makes the next batch fail, and perhaps its second try as well."""
        for _ in range(self._random.choice([1, 1, 1, 2])):
            fault = self._random.choice(list(Fault))
            self._planned.append((fault, self._random.randrange(_STATEMENTS_MAX)))

    def calm(self) -> None:
        """Lets nothing fail any more."""
        self._planned.clear()

    async def open(self, *, shard: int) -> None:
        """Connects."""
        await self._session.open(shard=shard)

    async def close(self) -> None:
        """Disconnects."""
        await self._session.close()

    async def begin(self) -> None:
        """Begins, unless the connection is lost first."""
        if self._due(Fault.BEFORE_BATCH):
            await self._strike()
            raise ConnectionLostError(Fault.BEFORE_BATCH.value)
        self._locking = False
        await self._session.begin()

    async def commit(self) -> None:
        """Commits, unless the connection is lost before; or loses it afterwards."""
        if self._due(Fault.COMMIT_LOST):
            await self._strike()
            raise CommitUnknownError(Fault.COMMIT_LOST.value)
        await self._session.commit()
        if self._due(Fault.ANSWER_LOST):
            await self._strike()
            raise CommitUnknownError(Fault.ANSWER_LOST.value)

    async def rollback(self) -> None:
        """Drops the transaction."""
        await self._session.rollback()

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        """Reads, unless the connection is lost first."""
        await self._count_statement()
        return await self._session.select(statement, rows)

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        """Writes, unless the connection is lost first."""
        await self._count_statement()
        return await self._session.execute(statement, rows)

    async def lock_shard(self, shard: int) -> Any:
        """Begins with the shard's row. What reads it is no statement that could be at fault."""
        self._locking = True
        return await self._session.lock_shard(shard)

    def _due(self, fault: Fault) -> bool:
        return bool(self._planned) and self._planned[0][0] is fault

    async def _count_statement(self) -> None:
        if not self._planned or self._planned[0][0] not in _AT_STATEMENTS:
            return
        fault, left = self._planned[0]
        if self._locking and fault is Fault.STATEMENT_FAILED:
            return
        if left:
            self._planned[0] = (fault, left - 1)
        elif fault is Fault.BETWEEN_STATEMENTS:
            await self._strike()
            raise ConnectionLostError(fault.value)
        else:
            # The connection lives on, with a transaction that must be rolled back.
            self.struck[self._planned.pop(0)[0]] += 1
            raise _AT_STATEMENTS[fault](fault.value)

    async def _strike(self) -> None:
        """Cuts the connection under the session, as a failing disk or network does."""
        self.struck[self._planned.pop(0)[0]] += 1
        session: Any = self._session
        if hasattr(session, "_disconnect"):
            session._disconnect()  # noqa: SLF001 (the session offers no way to fail)
        else:
            session._connection.terminate()  # noqa: SLF001 (the same)
            session._connection = None  # noqa: SLF001 (the same)
            session._in_transaction = False  # noqa: SLF001 (the same)
