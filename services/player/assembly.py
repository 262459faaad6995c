"""The parts of a running Player service, made from its settings."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.kit import migrations
from services.kit.background import repeat_in_background
from services.kit.clients import Peer
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.feed import FeedServicer, Outbox, prune_in_background
from services.kit.interceptors.authentication import Authenticators
from services.kit.keys import SecurityKeys
from services.kit.tokens import token_authenticators
from services.player.clients import SECURITY_SERVICE, WALLET_SERVICE, SecurityClient, WalletClient
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
    security, wallet = (
        _peer(name, address, service, settings, stack)
        for name, address, service in (
            ("security", settings.security_address, SECURITY_SERVICE),
            ("wallet", settings.wallet_address, WALLET_SERVICE),
        )
    )
    keys = SecurityKeys(settings.security_address, identity=settings.identity)
    stack.push_async_callback(keys.close)
    countries = CountryPolicy(
        allowed=settings.countries_allowed, blocked=settings.countries_blocked
    )
    security_client = SecurityClient(security)
    follow_up = FollowUp(records, security=security_client, wallet=WalletClient(wallet))
    service = PlayerService(
        records,
        registration=Registration(
            records,
            security=security_client,
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


def _peer(name: str, address: str, service: str, settings: Settings, stack: AsyncExitStack) -> Peer:
    peer = Peer(
        name,
        address,
        identity=settings.identity,
        services=(service,),
        timeout=settings.peer_timeout,
    )
    stack.push_async_callback(peer.close)
    return peer
