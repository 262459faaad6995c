"""The parts of a running Analytics service, made from its settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from croupier.event.v1.event_pb2 import Event

from services.analytics.clients import LedgerFeed, facts_of
from services.analytics.service import AnalyticsService
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.tables import FEED_CURSOR
from services.kit import migrations
from services.kit.background import run_in_background
from services.kit.clock import Clock
from services.kit.database import Database, Transaction
from services.kit.feed import Follower
from services.kit.interceptors.authentication import Authenticators
from services.kit.keys import SecurityKeys
from services.kit.tokens import token_authenticators


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves, and what it depends on."""

    database: Database
    authenticators: Authenticators
    analytics: AnalyticsServicer
    followers: tuple[Follower, ...]


async def assemble(settings: Settings, stack: AsyncExitStack, *, clock: Clock) -> Parts:
    """Opens what the service needs, and starts to follow the Wallet; the stack closes all of it.

    Raises:
        NotMigratedError: The database must be migrated first.
    """
    database = await migrations.open_database(
        settings.database_url, "services.analytics", stack, migrate=settings.migrate
    )
    keys = SecurityKeys(settings.security_address, identity=settings.identity)
    ledger = LedgerFeed(settings.wallet_address, identity=settings.identity)
    for client in (keys, ledger):
        stack.push_async_callback(client.close)
    service = AnalyticsService(database)
    return Parts(
        database=database,
        authenticators=token_authenticators(keys.fetch),
        analytics=AnalyticsServicer(service),
        followers=tuple(
            _follow(ledger, database, service, stack, clock=clock, shard=shard)
            for shard in range(settings.wallet_shards)
        ),
    )


def _follow(
    ledger: LedgerFeed,
    database: Database,
    service: AnalyticsService,
    stack: AsyncExitStack,
    *,
    clock: Clock,
    shard: int,
) -> Follower:
    async def record(connection: Transaction, events: Sequence[Event]) -> None:
        await service.record(connection, facts_of(events))

    follower = Follower(ledger.peer, database, FEED_CURSOR, record, clock=clock, shard=shard)
    run_in_background(follower.run(), stack, name=f"follow wallet/{shard}")
    return follower
