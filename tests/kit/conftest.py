"""A log, who follows it, and the databases of both; tests of something else have their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.database import Database
from tests.kit.clock import ManualClock
from tests.kit.feeds import Feeds, Log, new_database


@pytest.fixture
async def database(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    made = await new_database(engine_name, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def own(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The database of whoever follows."""
    made = await new_database(engine_name, tmp_path)
    yield made
    await made.close()


@pytest.fixture
def log(database: Database, clock: ManualClock) -> Log:
    return Log(database, clock=clock)


@pytest.fixture
async def feeds(authority: DevelopmentAuthority, clock: ManualClock) -> AsyncIterator[Feeds]:
    made = Feeds(authority, clock)
    yield made
    await made.close()
