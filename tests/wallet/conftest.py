from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.database import Database
from services.wallet.service import WalletService
from tests.conftest import Connect, Templates
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.wallet.running import RunningWallet, running_wallet, shared_wallet
from tests.wallet.teller import Teller


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--load",
        type=int,
        default=1,
        help="How many times as much the ledger's load tests send (and as long they may take).",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    times = _load(config)
    for item in items:
        if times > 1 and "load" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(120 * times), append=False)


def _load(config: pytest.Config) -> int:
    # The option is known only to runs that name this folder.
    return int(config.getoption("--load", default=1))


@pytest.fixture
def load(pytestconfig: pytest.Config) -> int:
    """How many times as much a load test shall send; it may take as many times as long."""
    return _load(pytestconfig)


@pytest.fixture
def wallet_url(database_url: Callable[[str], str]) -> str:
    """The address of a fresh, migrated wallet database."""
    return database_url("services.wallet")


@pytest.fixture
async def ledger(wallet_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    """The database of a ledger in which everything has happened once, and that is at rest."""
    service = WalletService(wallet_url, clock)
    await service.start()
    await Teller(service, clock).write()
    await service.stop()
    database = Database(wallet_url, schema="wallet")
    yield database
    await database.close()


@pytest.fixture
async def wallet(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
) -> AsyncIterator[RunningWallet]:
    """The whole service, for one test."""
    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=database_url,
        folder=tmp_path,
    ) as running:
        yield running


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
async def module_wallet(
    request: pytest.FixtureRequest,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningWallet]:
    """The whole service, for all tests of a module: each makes players of its own."""
    async with shared_wallet(
        engine_name=request.param,
        authority=authority,
        tokens=tokens,
        templates=templates,
        folder=tmp_path_factory.mktemp("wallet"),
    ) as running:
        yield running
