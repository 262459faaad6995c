from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from scripts.mesh.pki import DevelopmentAuthority
from tests.analytics.house import House
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer


@pytest.fixture
async def closed_house(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    clock: ManualClock,
    database_url: Callable[[str], str],
    connect: Connect,
) -> AsyncIterator[House]:
    """A house in which only the neighbours run."""
    async with AsyncExitStack() as stack:
        house = House(
            authority=authority,
            tokens=tokens,
            clock=clock,
            database_url=database_url("services.analytics"),
            connect=connect,
            stack=stack,
        )
        await house.open_neighbours()
        yield house


@pytest.fixture
async def house(closed_house: House) -> House:
    """Analytics, which follows an empty ledger."""
    await closed_house.open_analytics(closed_house.stack)
    return closed_house
