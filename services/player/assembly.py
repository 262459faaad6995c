"""The parts of a running Player service, made from its settings."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.kit import migrations
from services.kit.background import repeat_in_background
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.feed import FeedServicer, Outbox, prune_in_background
from services.kit.interceptors.authentication import Authenticators
from services.kit.keys import SecurityKeys
from services.kit.tokens import token_authenticators
from services.player.clients import SecurityClient, WalletClient
from services.player.domain import CountryPolicy
from services.player.identity import PROVIDERS, Deadline
from services.player.service import (
    FollowUp,
    LimitService,
    PlayerService,
    Records,
    Registration,
    Upkeep,
)
from services.player.servicer import PlayerServicer
from services.player.settings import Settings
from services.player.tables import OUTBOX


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves."""

    database: Database
    authenticators: Authenticators
    players: PlayerServicer
    feed: FeedServicer


async def assemble(settings: Settings, stack: AsyncExitStack, *, clock: Clock) -> Parts:
    """Opens what the service needs, and starts its upkeep; the stack closes all of it.

    Raises:
        NotMigratedError: The database must be migrated first.
    """
    database = await migrations.open_database(
        settings.database_url, "services.player", stack, migrate=settings.migrate
    )
    records = Records(database, Outbox(database, OUTBOX, clock=clock), clock)
    identity = settings.identity
    keys = SecurityKeys(settings.security_address, identity=identity)
    security = SecurityClient(
        settings.security_address, identity=identity, timeout=settings.security_timeout
    )
    wallet = WalletClient(
        settings.wallet_address, identity=identity, timeout=settings.wallet_timeout
    )
    for client in (keys, security, wallet):
        stack.push_async_callback(client.close)
    countries = CountryPolicy(
        allowed=settings.countries_allowed, blocked=settings.countries_blocked
    )
    follow_up = FollowUp(records, security=security, wallet=wallet)
    service = PlayerService(
        records,
        registration=Registration(
            records,
            security=security,
            follow_up=follow_up,
            countries=countries,
            hold=settings.registration_hold,
        ),
        follow_up=follow_up,
        identity=Deadline(
            PROVIDERS[settings.identity_provider](), timeout=settings.identity_timeout
        ),
        countries=countries,
    )
    repeat_in_background(
        {"finish what calls could not": Upkeep(records, follow_up).sweep},
        stack,
        every=settings.upkeep_every,
    )
    prune_in_background(records.outbox, settings, stack)
    return Parts(
        database=database,
        authenticators=token_authenticators(keys.fetch),
        players=PlayerServicer(service, LimitService(records, follow_up=follow_up), clock),
        feed=FeedServicer(records.outbox),
    )
