"""Puts the Game service together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from croupier.event.v1 import feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from croupier.game.v1 import game_service_pb2_grpc, provider_service_pb2_grpc

from services.game.authentication import ApiKeyAuthenticator
from services.game.clients import (
    PlayerClient,
    ProviderClient,
    SecurityClient,
    WalletClient,
    steps_of,
)
from services.game.service import Catalogue, Launches, Movements, Rounds
from services.game.servicer import GameServicer, ProviderServicer
from services.game.session_cache import SessionCache
from services.game.settings import Settings
from services.game.store import CatalogueStore, Connection, RoundStore, SessionStore
from services.game.tables import FEED_CURSOR, OUTBOX
from services.kit import migrations, telemetry
from services.kit.clock import Clock, SystemClock
from services.kit.contract import Level
from services.kit.database import Database
from services.kit.feed import FeedServicer, Follower, Outbox
from services.kit.keys import SecurityKeys
from services.kit.server import Server
from services.kit.tokens import token_authenticators

_PACKAGE = "services.game"
_SCHEMA = "game"


class NotMigratedError(Exception):
    """The database is not at the revision that this code needs."""


async def build(settings: Settings, stack: AsyncExitStack, *, clock: Clock | None = None) -> Server:
    """Builds the server; what must be closed goes on the stack.

    Args:
        settings: What differs between installations.
        stack: Closes, at the end, what was opened here.
        clock: Tells the time; the machine's own unless a test says otherwise.

    Raises:
        NotMigratedError: The database is not up to date, and settings forbid to change that.
    """
    clock = clock or SystemClock()
    database = await _open_database(settings)
    stack.push_async_callback(database.close)
    identity = settings.identity
    keys = SecurityKeys(settings.security_address, identity=identity)
    security = SecurityClient(settings.security_address, identity=identity)
    players = PlayerClient(settings.player_address, identity=identity)
    wallet = WalletClient(settings.wallet_address, identity=identity)
    providers = ProviderClient(identity=identity)
    for client in (keys, security, players, wallet, providers):
        stack.push_async_callback(client.close)

    cache = SessionCache(settings.sessions_cached_max)
    catalogue_store, session_store = CatalogueStore(), SessionStore()
    outbox = Outbox(database, OUTBOX, clock=clock)
    rounds = Rounds(database, RoundStore())
    server = Server(
        settings,
        authenticators={
            **token_authenticators(keys.fetch),
            Level.PROVIDER: ApiKeyAuthenticator(security, clock=clock),
        },
    )
    server.require(database.ping)
    server.add(
        game_service_pb2_grpc.add_GameServiceServicer_to_server,
        GameServicer(
            catalogue=Catalogue(database, catalogue_store, cache),
            launches=Launches(
                database=database,
                sessions=session_store,
                catalogue=catalogue_store,
                cache=cache,
                outbox=outbox,
                players=players,
                providers=providers,
                clock=clock,
                session_life=settings.session_life,
            ),
            rounds=rounds,
            clock=clock,
        ),
    )
    server.add(
        provider_service_pb2_grpc.add_ProviderServiceServicer_to_server,
        ProviderServicer(
            Movements(
                database=database,
                sessions=session_store,
                cache=cache,
                wallet=wallet,
                clock=clock,
            )
        ),
    )
    feed = FeedServicer(outbox)
    server.add(feed_service_pb2_grpc.add_FeedServiceServicer_to_server, feed)
    server.on_drain(feed.drain)
    for shard in range(settings.wallet_shards):
        follower = _follower(wallet, database, rounds, clock=clock, shard=shard)
        server.require(follower.check)
        stack.push_async_callback(_ended, asyncio.create_task(follower.run(), name="follow wallet"))
    return server


async def _open_database(settings: Settings) -> Database:
    database = Database(settings.database_url, schema=_SCHEMA)
    if database.is_sqlite or settings.migrate:
        await migrations.upgrade(settings.database_url, _PACKAGE)
    elif not await migrations.is_current(database, _PACKAGE):
        await database.close()
        raise NotMigratedError("run the migrations of services.game, or set CROUPIER_MIGRATE")
    telemetry.instrument(database.engine.sync_engine)
    return database


def _follower(
    wallet: WalletClient, database: Database, rounds: Rounds, *, clock: Clock, shard: int
) -> Follower:
    async def derive(connection: Connection, events: Sequence[Event]) -> None:
        await rounds.apply(connection, steps_of(events))

    return Follower(wallet.peer, database, FEED_CURSOR, derive, clock=clock, shard=shard)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
