import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.kit.database import Database, retry_on_race
from services.kit.errors import UnavailableError, status_of
from tests.kit.postgres import shared_server


@pytest.fixture
async def database(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    if engine_name == "sqlite":
        opened = Database(f"sqlite+aiosqlite:///{tmp_path}/dummy.db", schema="dummy")
    else:
        opened = Database(shared_server().create_database(f"races_{uuid4().hex}"), schema="public")
    async with opened.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (id BIGINT PRIMARY KEY CHECK (id < 100))"))
        await connection.execute(text("INSERT INTO t VALUES (1), (2)"))
    yield opened
    await opened.close()


class UseCase:
    """Inserts a row, and counts how often it was tried."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.tries = 0

    @retry_on_race
    async def insert(self, number: int, *, free_after: int = 99) -> None:
        self.tries += 1
        async with self._database.transaction() as connection:
            if self.tries > free_after:
                await connection.execute(text("DELETE FROM t WHERE id = :id"), {"id": number})
            await connection.execute(text("INSERT INTO t VALUES (:id)"), {"id": number})


async def test_race_that_was_lost_is_tried_again(database: Database) -> None:
    use_case = UseCase(database)
    await use_case.insert(1, free_after=2)
    assert use_case.tries == 3


async def test_race_that_stays_lost_is_unavailable_and_says_when_to_come_back(
    database: Database,
) -> None:
    use_case = UseCase(database)
    with pytest.raises(UnavailableError) as raised:
        await use_case.insert(1)
    assert use_case.tries == 3
    assert isinstance(raised.value.__cause__, IntegrityError)
    status = status_of(raised.value)
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert raised.value.metadata == {"dependency": "database"}
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 250


async def test_what_is_no_race_is_raised_at_once(database: Database) -> None:
    use_case = UseCase(database)
    with pytest.raises(DBAPIError):
        await use_case.insert(100)
    assert use_case.tries == 1


async def test_loser_of_a_deadlock_is_tried_again(database: Database) -> None:
    """Two lock the same rows in opposite orders; with one writer at a time nobody has to lose."""
    barrier = asyncio.Barrier(1 if database.is_sqlite else 2)
    tries = 0

    @retry_on_race
    async def lock(first: int, second: int) -> None:
        nonlocal tries
        tries += 1
        meets = tries <= 2
        statement = text("UPDATE t SET id = id WHERE id = :id")
        async with database.transaction() as connection:
            await connection.execute(statement, {"id": first})
            if meets:
                async with asyncio.timeout(20):
                    await barrier.wait()
            await connection.execute(statement, {"id": second})

    await asyncio.gather(lock(1, 2), lock(2, 1))
    assert tries == (2 if database.is_sqlite else 3)
