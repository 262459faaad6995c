import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.kit.database import Database
from tests.kit.postgres import shared_server
from tests.kit.waiting import until

SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " SELECT count(*) FROM n"
)


@pytest.fixture
async def database(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    if engine_name == "sqlite":
        opened = Database(f"sqlite+aiosqlite:///{tmp_path}/dummy.db", schema="dummy")
    else:
        opened = Database(
            shared_server().create_database(f"cancellation_{uuid4().hex}"), schema="public"
        )
    async with opened.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (id BIGINT)"))
    yield opened
    await opened.close()


async def test_task_that_is_cancelled_in_a_transaction_leaves_no_lock(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute(
                text("INSERT INTO t VALUES (:id)"), [{"id": n} for n in range(5)]
            )
            await connection.execute(text("UPDATE t SET id = id + 1"))

    held: list[object] = []
    for _ in range(100):
        task = asyncio.create_task(write())
        await asyncio.sleep(random.random() * 0.004)  # noqa: S311 (anywhere in the transaction)
        task.cancel()
        # Kept, as a log or a debugger keeps it: the traceback refers to what the task used.
        held += await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(3):
            await write()


async def test_task_that_is_cancelled_twice_leaves_nothing_running(database: Database) -> None:
    async def read() -> None:
        async with database.snapshot() as connection:
            await connection.execute(text(SLOW))

    before = asyncio.all_tasks()
    for turn in range(10):
        task = asyncio.create_task(read())
        await asyncio.sleep(0.008 + 0.001 * (turn % 3))
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await until(lambda: asyncio.all_tasks() <= before)
    await database.ping()
