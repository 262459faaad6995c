"""The parts of a running Analytics service, made from its settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from croupier.analytics.v1 import analytics_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event

from services.analytics.clients import LedgerFeed, facts_of
from services.analytics.service import AnalyticsService
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.store import ActivityStore, Connection
from services.kit import migrations
from services.kit.background import run_in_background
from services.kit.clock import Clock, SystemClock
from services.kit.keys import SecurityKeys
from services.kit.server import Server
from services.kit.tokens import token_authenticators


async def build(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Server:
    """Puts the service together; what must be closed at the end goes on the stack.

    Raises:
        NotMigratedError: The database must be migrated first.
    """
    database = await migrations.open_database(
        settings.database_url, "services.analytics", stack, migrate=settings.migrate
    )
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
        run_in_background(follower.run(), stack, name=f"follow wallet/{shard}")
    return server
