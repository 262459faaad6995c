from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from scripts.mesh.pki import DevelopmentAuthority
from tests.conftest import Connect
from tests.game.house import House
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer


@pytest.fixture
def game_url(database_url: Callable[[str], str]) -> str:
    """The address of a fresh, migrated database of the Game service."""
    return database_url("services.game")


@pytest.fixture
async def closed_house(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    clock: ManualClock,
    game_url: str,
    connect: Connect,
) -> AsyncIterator[House]:
    """A house in which nothing runs yet."""
    async with AsyncExitStack() as stack:
        yield House(
            authority=authority,
            tokens=tokens,
            clock=clock,
            database_url=game_url,
            connect=connect,
            stack=stack,
        )


@pytest.fixture
async def house(closed_house: House) -> House:
    """The Game service with its neighbours, and an empty catalogue."""
    await closed_house.open()
    return closed_house


@pytest.fixture
async def stocked(house: House) -> House:
    """The same with two providers and a game of the first."""
    await house.stock()
    return house
