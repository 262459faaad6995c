"""A log that a test writes and a real server serves, and what a follower derives from it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic.migration import MigrationContext
from alembic.operations import Operations
from croupier.event.v1 import feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.clients import Peer
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.feed import (
    FEED_SERVICE,
    EventSource,
    FeedServicer,
    Follower,
    Handle,
    Outbox,
    create_cursors,
    create_outbox,
    create_outbox_consumers,
    cursor_table,
    outbox_tables,
)
from services.kit.server import Server
from services.kit.settings import ServerSettings
from tests.kit.postgres import shared_server

METADATA = MetaData()
TABLES = outbox_tables(METADATA)
CURSORS = cursor_table(METADATA)
HANDLED = Table(
    "handled", METADATA, Column("seq", BigInteger, primary_key=True, autoincrement=False)
)


async def new_database(engine_name: str, folder: Path) -> Database:
    """Makes a database with an outbox, cursors and the table of what was handled."""
    name = f"feed_{uuid4().hex}"
    if engine_name == "sqlite":
        database = Database(f"sqlite+aiosqlite:///{folder}/{name}.db", schema="feed")
    else:
        database = Database(shared_server().create_database(name), schema="feed", pool_size=10)

    def create(connection: Connection) -> None:
        if not database.is_sqlite:
            connection.execute(CreateSchema("feed"))
        operations = Operations(MigrationContext.configure(connection))
        create_outbox(operations)
        create_outbox_consumers(operations)
        create_cursors(operations)
        HANDLED.create(connection)

    async with database.transaction() as connection:
        await connection.run_sync(create)
    return database


class Log:
    """An outbox that a test appends to."""

    def __init__(self, database: Database, *, clock: Clock, **options: Any) -> None:
        self.database = database
        self.outbox = Outbox(database, TABLES, clock=clock, **options)

    async def append(self, count: int = 1, *, padding: int = 0) -> None:
        """Commits events in transactions of at most 100."""
        for begin in range(0, count, 100):
            async with self.database.transaction() as connection:
                for _ in range(begin, min(begin + 100, count)):
                    await self.outbox.append(
                        connection, player_blocked={"player_id": "p", "reason": "x" * padding}
                    )


async def record_handled(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Writes down each event; a second time would break the primary key."""
    await connection.execute(insert(HANDLED), [{"seq": event.seq} for event in events])


async def handled(database: Database) -> list[int]:
    async with database.snapshot() as connection:
        return list(await connection.scalars(select(HANDLED.c.seq).order_by(HANDLED.c.seq)))


class Feeds:
    """Starts servers and followers, and ends what is left of them."""

    def __init__(self, authority: DevelopmentAuthority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock
        self._servers: list[Server] = []
        self._peers: list[Peer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(
        self, *sources: EventSource, name: str = "player", port: int = 0, **options: Any
    ) -> tuple[Server, int]:
        identity = self._authority.identity(name)
        server = Server(
            ServerSettings(
                traces_endpoint="",
                listen=f"127.0.0.1:{port}",
                tls_certificate=identity.certificate,
                tls_key=identity.key,
                tls_authority=identity.authority,
                drain_grace=timedelta(seconds=10),
            )
        )
        servicer = FeedServicer(*sources, **options)
        server.add(feed_service_pb2_grpc.add_FeedServiceServicer_to_server, servicer)
        server.on_drain(servicer.drain)
        self._servers.append(server)
        return server, await server.start()

    def peer(self, port: int, *, name: str = "player") -> Peer:
        peer = Peer(
            name,
            f"127.0.0.1:{port}",
            identity=self._authority.identity("analytics"),
            services=(FEED_SERVICE,),
            timeout=timedelta(seconds=5),
        )
        self._peers.append(peer)
        return peer

    def follower(
        self, port: int, database: Database, handle: Handle = record_handled, **options: Any
    ) -> Follower:
        return Follower(
            self.peer(port),
            database,
            CURSORS,
            handle,
            clock=self._clock,
            **{"pause_max": timedelta(milliseconds=200), **options},
        )

    def start(self, follower: Follower) -> asyncio.Task[None]:
        task = asyncio.create_task(follower.run())
        self._tasks.append(task)
        return task

    async def close(self) -> None:
        await cancelled(*self._tasks)
        for peer in self._peers:
            await peer.close()
        for server in self._servers:
            await server.stop()


async def cancelled(*tasks: "asyncio.Task[None]") -> None:
    """Cancels tasks and waits for their end."""
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def crash(server: Server) -> None:
    """Ends a server as a crash does: its connections break."""
    await server._server.stop(None)


@asynccontextmanager
async def running(feeds: Feeds, follower: Follower) -> AsyncIterator["asyncio.Task[None]"]:
    """Follows for as long as the block runs."""
    task = feeds.start(follower)
    try:
        yield task
    finally:
        await cancelled(task)
