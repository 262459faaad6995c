"""The parts of a running Analytics service, made from its settings."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from croupier.analytics.v1 import analytics_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event

from services.analytics.clients import LedgerFeed, facts_of
from services.analytics.service import AnalyticsService
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.store import ActivityStore, Connection
from services.kit import migrations, telemetry
from services.kit.clock import Clock, SystemClock
from services.kit.database import Database
from services.kit.feed import Follower
from services.kit.keys import SecurityKeys
from services.kit.server import Server
from services.kit.tokens import token_authenticators

_PACKAGE = "services.analytics"
_SCHEMA = "analytics"


class NotMigratedError(Exception):
    """The database is not at the version of this code; the service does not start."""


async def build(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Server:
    """Puts the service together; what must be closed at the end goes on the stack.

    Raises:
        NotMigratedError: The database must be migrated first.
    """
    database = await _database(settings, stack)
    keys = SecurityKeys(settings.security_address, identity=settings.identity)
    stack.push_async_callback(keys.close)
    ledger = LedgerFeed(settings.wallet_address, identity=settings.identity)
    stack.push_async_callback(ledger.close)
    service = AnalyticsService(database, ActivityStore())
    server = Server(settings, authenticators=token_authenticators(keys.fetch))
    server.add(
        analytics_service_pb2_grpc.add_AnalyticsServiceServicer_to_server,
        AnalyticsServicer(service),
    )
    server.require(database.ping)

    async def record(connection: Connection, events: Sequence[Event]) -> None:
        await service.record(connection, facts_of(events))

    for shard in range(settings.wallet_shards):
        follower = ledger.follower(
            record, database=database, clock=clock or SystemClock(), shard=shard
        )
        server.require(follower.check)
        _run(follower, stack)
    return server


async def _database(settings: Settings, stack: AsyncExitStack) -> Database:
    database = Database(settings.database_url, schema=_SCHEMA)
    stack.push_async_callback(database.close)
    if database.is_sqlite or settings.migrate:
        await migrations.upgrade(settings.database_url, _PACKAGE)
    elif not await migrations.is_current(database, _PACKAGE):
        raise NotMigratedError("the database of Analytics must be migrated before it starts")
    telemetry.instrument(database.engine.sync_engine)
    return database


def _run(follower: Follower, stack: AsyncExitStack) -> None:
    task = asyncio.create_task(follower.run(), name="follow wallet")

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
