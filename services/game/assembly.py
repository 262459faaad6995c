"""The parts of a running Game service, made from its settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from croupier.event.v1.event_pb2 import Event

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
from services.game.tables import FEED_CURSOR, OUTBOX
from services.kit import migrations
from services.kit.background import run_in_background
from services.kit.clock import Clock
from services.kit.contract import Level
from services.kit.database import Database, Transaction
from services.kit.feed import FeedServicer, Follower, Outbox, prune_in_background
from services.kit.interceptors.authentication import Authenticators
from services.kit.keys import SecurityKeys
from services.kit.tokens import token_authenticators


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves, and what it depends on."""

    database: Database
    authenticators: Authenticators
    games: GameServicer
    providers: ProviderServicer
    feed: FeedServicer
    followers: tuple[Follower, ...]


async def assemble(settings: Settings, stack: AsyncExitStack, *, clock: Clock) -> Parts:
    """Opens what the service needs, and starts to follow the Wallet; the stack closes all of it.

    Raises:
        NotMigratedError: The database must be migrated first.
    """
    database = await migrations.open_database(
        settings.database_url, "services.game", stack, migrate=settings.migrate
    )
    identity = settings.identity
    keys = SecurityKeys(settings.security_address, identity=identity)
    security = SecurityClient(
        settings.security_address, identity=identity, timeout=settings.security_timeout
    )
    players = PlayerClient(
        settings.player_address, identity=identity, timeout=settings.player_timeout
    )
    wallet = WalletClient(
        settings.wallet_address, identity=identity, timeout=settings.wallet_timeout
    )
    providers = ProviderClient(identity=identity, timeout=settings.provider_timeout)
    for client in (keys, security, players, wallet, providers):
        stack.push_async_callback(client.close)

    cache = SessionCache(settings.sessions_cached_max)
    rounds = Rounds(database)
    outbox = Outbox(database, OUTBOX, clock=clock)
    prune_in_background(outbox, settings, stack)
    launches = Launches(
        database=database,
        cache=cache,
        outbox=outbox,
        players=players,
        providers=providers,
        clock=clock,
        session_life=settings.session_life,
    )
    movements = Movements(database=database, cache=cache, wallet=wallet, clock=clock)
    return Parts(
        database=database,
        authenticators={
            **token_authenticators(keys.fetch),
            Level.PROVIDER: ApiKeyAuthenticator(security, clock=clock),
        },
        games=GameServicer(
            catalogue=Catalogue(database, cache),
            launches=launches,
            rounds=rounds,
            clock=clock,
        ),
        providers=ProviderServicer(movements),
        feed=FeedServicer(outbox),
        followers=tuple(
            _follow(wallet, database, rounds, stack, clock=clock, shard=shard)
            for shard in range(settings.wallet_shards)
        ),
    )


def _follow(
    wallet: WalletClient,
    database: Database,
    rounds: Rounds,
    stack: AsyncExitStack,
    *,
    clock: Clock,
    shard: int,
) -> Follower:
    async def derive(connection: Transaction, events: Sequence[Event]) -> None:
        await rounds.apply(connection, steps_of(events))

    follower = Follower(wallet.peer, database, FEED_CURSOR, derive, clock=clock, shard=shard)
    run_in_background(follower.run(), stack, name=f"follow wallet/{shard}")
    return follower
