"""The Game service with all that is around it, and short ways to call it."""

from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from croupier.event.v1 import feed_service_pb2_grpc
from croupier.game.v1 import (
    game_pb2,
    game_service_pb2,
    game_service_pb2_grpc,
    launch_service_pb2_grpc,
    provider_service_pb2_grpc,
)
from croupier.player.v1 import player_service_pb2_grpc
from croupier.security.v1 import security_service_pb2_grpc
from croupier.wallet.v1 import wallet_service_pb2_grpc
from sqlalchemy import select

from scripts.mesh.pki import DevelopmentAuthority
from services.game.__main__ import build
from services.game.settings import Settings
from services.game.tables import FEED_CURSOR
from services.kit.database import Database
from services.kit.feed import FeedServicer
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from tests.conftest import Connect
from tests.factories import game as factory
from tests.game.doubles import LaunchDouble, PlayerDouble, SecurityDouble, WalletDouble
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until

Metadata = tuple[tuple[str, str], ...]
ACME: Metadata = (("x-api-key", "acme-key"),)
BOLT: Metadata = (("x-api-key", "bolt-key"),)
LOGIN_ID = "0198c0de-0000-7000-8000-00000000aaaa"


class House:
    """Everything that a test of the Game service needs."""

    def __init__(
        self,
        *,
        authority: DevelopmentAuthority,
        tokens: TokenIssuer,
        clock: ManualClock,
        database_url: str,
        connect: Connect,
        stack: AsyncExitStack,
    ) -> None:
        self.authority = authority
        self.tokens = tokens
        self.clock = clock
        self.database_url = database_url
        # For looks behind the front door, where the contract shows nothing.
        self.database = Database(database_url, schema="game")
        stack.push_async_callback(self.database.close)
        self.connect = connect
        self.stack = stack
        # What a double does not implement is never called.
        self.player = PlayerDouble()  # type: ignore[abstract]
        self.security = SecurityDouble(tokens)  # type: ignore[abstract]
        self.wallet = WalletDouble(clock)  # type: ignore[abstract]
        self.acme = LaunchDouble()
        self.bolt = LaunchDouble()
        self.addresses: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self.games: Any = None
        self.providers: Any = None

    # The servers.

    async def open(self, **changes: Any) -> None:
        """Starts everybody, and Game last."""
        await self.start_neighbours()
        await self.start_game(**changes)

    async def start_neighbours(self) -> None:
        launches = launch_service_pb2_grpc.add_LaunchServiceServicer_to_server
        await self.start(
            "player", (player_service_pb2_grpc.add_PlayerServiceServicer_to_server, self.player)
        )
        await self.start(
            "security",
            (security_service_pb2_grpc.add_SecurityServiceServicer_to_server, self.security),
        )
        await self.start_wallet()
        await self.start("acme", (launches, self.acme))
        await self.start("bolt", (launches, self.bolt))

    async def start_wallet(self, *, port: int = 0) -> None:
        await self.start(
            "wallet",
            (wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, self.wallet),
            (
                feed_service_pb2_grpc.add_FeedServiceServicer_to_server,
                FeedServicer(self.wallet.log, heartbeat=timedelta(seconds=1)),
            ),
            port=port,
        )

    async def start(self, name: str, *services: tuple[Any, object], port: int = 0) -> None:
        identity = self.authority.identity(name)
        server = Server(
            ServerSettings(
                listen=f"127.0.0.1:{port}",
                tls_certificate=identity.certificate,
                tls_key=identity.key,
                tls_authority=identity.authority,
                drain_grace=timedelta(0),
            ),
            authenticators=token_authenticators(self.tokens.fetch_keys),
        )
        for add, servicer in services:
            server.add(add, servicer)
            if isinstance(servicer, FeedServicer):
                server.on_drain(servicer.drain)
        self.addresses[name] = f"127.0.0.1:{await server.start()}"
        self.servers[name] = server
        self.stack.push_async_callback(server.stop)

    def settings(self, **changes: Any) -> Settings:
        identity = self.authority.identity("game")
        return Settings(
            **{
                "tls_certificate": identity.certificate,
                "tls_key": identity.key,
                "tls_authority": identity.authority,
                "database_url": self.database_url,
                "security_address": self.addresses["security"],
                "player_address": self.addresses["player"],
                "wallet_address": self.addresses["wallet"],
                "drain_grace": timedelta(seconds=5),
                **changes,
            }
        )

    async def start_game(self, **changes: Any) -> AsyncExitStack:
        """Starts Game; leaving the stack that this returns ends it."""
        own = AsyncExitStack()
        server = await build(self.settings(**changes), own, clock=self.clock)
        port = await server.start()
        own.push_async_callback(server.stop)
        self.stack.push_async_callback(own.aclose)
        edge = self.connect(port, to="game", as_service="edge")
        self.port = port
        self.games = game_service_pb2_grpc.GameServiceStub(edge)
        self.providers = provider_service_pb2_grpc.ProviderServiceStub(edge)
        self.from_security: Any = game_service_pb2_grpc.GameServiceStub(
            self.connect(port, to="game", as_service="security")
        )
        return own

    def provider_stub(self, *, as_service: str) -> Any:
        """Returns the providers' methods as another service than the edge would call them."""
        return provider_service_pb2_grpc.ProviderServiceStub(
            self.connect(self.port, to="game", as_service=as_service)
        )

    # Callers.

    def operator(self, *roles: str) -> Metadata:
        return self.tokens.operator(*(roles or ("catalogue",)))

    def login(self, player_id: str = factory.PLAYER_ID, login_id: str = LOGIN_ID) -> Metadata:
        return self.tokens.player(player_id, sid=login_id)

    # Short ways.

    async def stock(self, **changes: Any) -> None:
        """Adds both providers, and a game of Acme's."""
        for name in ("acme", "bolt"):
            await self.games.CreateProvider(
                factory.provider(provider_id=name, launch_address=self.addresses[name]),
                metadata=self.operator(),
            )
        await self.games.CreateGame(factory.game(**changes), metadata=self.operator())

    async def launch(
        self,
        *,
        player_id: str = factory.PLAYER_ID,
        login_id: str = LOGIN_ID,
        **changes: Any,
    ) -> str:
        """Launches a game of Acme's and returns the session token."""
        await self.games.LaunchGame(
            factory.launch(**changes), metadata=self.login(player_id, login_id)
        )
        return self.acme.session_token

    async def log_out(self, *login_ids: str, token_expire_time: datetime | None = None) -> int:
        request = game_service_pb2.EndGameSessionsRequest(login_session_ids=login_ids or [LOGIN_ID])
        request.token_expire_time.FromDatetime(
            token_expire_time or self.clock.now() + timedelta(minutes=15)
        )
        return int((await self.from_security.EndGameSessions(request)).ended_count)

    async def place_bet(self, token: str, **changes: Any) -> game_pb2.Movement:
        request = factory.bet(token, **changes)
        movement: game_pb2.Movement = (
            await self.providers.PlaceBet(request, metadata=ACME)
        ).movement
        return movement

    async def rounds(self, player_id: str = factory.PLAYER_ID) -> list[game_pb2.Round]:
        response = await self.games.ListRounds(
            game_service_pb2.ListRoundsRequest(), metadata=self.login(player_id)
        )
        return list(response.rounds)

    async def followed(self, player_id: str = factory.PLAYER_ID) -> list[game_pb2.Round]:
        """Returns the player's rounds once Game has followed the ledger to its end."""
        last = self.wallet.log.last_seq

        async def there() -> bool:
            async with self.database.snapshot() as connection:
                return (await connection.scalar(select(FEED_CURSOR.c.seq))) == last

        await until(there)
        return await self.rounds(player_id)


def new_uuid() -> str:
    return str(uuid4())
