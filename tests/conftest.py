"""Servers, databases, certificates and clocks; nothing that knows a service."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import grpc
import pytest
import structlog

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import migrations
from services.kit.database import Database
from services.kit.server import Server
from services.kit.settings import ServerSettings
from tests.contract.refusals import held_to_its_reasons
from tests.kit.clock import ManualClock
from tests.kit.postgres import shared_server
from tests.kit.tokens import TokenIssuer

SettingsT = TypeVar("SettingsT", bound=ServerSettings)
Build = Callable[[SettingsT, AsyncExitStack], Awaitable[Server]]
Connect = Callable[..., grpc.aio.Channel]

# A test that fails shows its logs. By default they would show the local variables of each frame of
# an exception too: seconds of work, where a whole batch of the ledger is among them.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Holds each test to the error reasons that it is named for."""
    with held_to_its_reasons(item.nodeid):
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tokens() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Templates:
    """One migrated database a service and engine, from which each test gets a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, str], str] = {}

    def copy(self, service_package: str, engine_name: str) -> str:
        template = self._template(service_package, engine_name)
        if engine_name == "sqlite":
            path = self._folder / f"{uuid4().hex}.db"
            shutil.copyfile(template, path)
            return f"sqlite+aiosqlite:///{path}"
        return shared_server().create_database(f"t{uuid4().hex}", template=template)

    def _template(self, service_package: str, engine_name: str) -> str:
        wanted = (service_package, engine_name)
        if wanted not in self._made:
            # In a thread of its own: the test that asks may be running in a loop already.
            with ThreadPoolExecutor(max_workers=1) as pool:
                made = pool.submit(asyncio.run, self._make(service_package, engine_name))
                self._made[wanted] = made.result()
        return self._made[wanted]

    async def _make(self, service_package: str, engine_name: str) -> str:
        name = f"template_{service_package.replace('.', '_')}_{uuid4().hex[:8]}"
        if engine_name == "postgresql":
            await migrations.upgrade(shared_server().create_database(name), service_package)
            return name
        path = self._folder / f"{name}.db"
        url = f"sqlite+aiosqlite:///{path}"
        await migrations.upgrade(url, service_package)
        # What is still in the write-ahead log goes into the file that is copied.
        database = Database(url, schema=name)
        async with database.engine.connect() as connection:
            await connection.exec_driver_sql("ROLLBACK")
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            await connection.exec_driver_sql("BEGIN")
        await database.close()
        return str(path)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("databases"))


@pytest.fixture
def database_url(engine_name: str, templates: Templates) -> Callable[[str], str]:
    """Gives a fresh, migrated database of a service, as in `database_url("services.player")`."""
    return lambda service_package: templates.copy(service_package, engine_name)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Build[SettingsT], SettingsT], Awaitable[int]]]:
    """Builds a service as its `__main__` does, starts it and returns its port."""
    async with AsyncExitStack() as stack:

        async def start(build: Build[SettingsT], settings: SettingsT) -> int:
            server = await build(settings, stack)
            port = await server.start()
            stack.push_async_callback(server.stop)
            return port

        yield start


@pytest.fixture
async def connect(authority: DevelopmentAuthority) -> AsyncIterator[Connect]:
    """Opens a channel: `connect(port, to="wallet", as_service="game")`."""
    channels: list[grpc.aio.Channel] = []

    def open_channel(port: int, *, to: str, as_service: str) -> grpc.aio.Channel:
        channel = grpc.aio.secure_channel(
            f"127.0.0.1:{port}",
            authority.identity(as_service).channel_credentials(),
            options=[("grpc.ssl_target_name_override", to)],
        )
        channels.append(channel)
        return channel

    yield open_channel
    for channel in channels:
        await channel.close(grace=None)
