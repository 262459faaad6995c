"""Analytics and its neighbours, as real servers."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import grpc
from croupier.analytics.v1 import analytics_pb2, analytics_service_pb2, analytics_service_pb2_grpc
from croupier.event.v1 import feed_service_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.analytics.__main__ import build
from services.analytics.settings import Settings
from services.kit.feed import FeedServicer
from services.kit.server import Server
from services.kit.settings import ServerSettings
from tests.analytics.ledger import Ledger, Row
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.security import start_keys
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until

MINUTE = analytics_pb2.GRANULARITY_MINUTE
HOUR = analytics_pb2.GRANULARITY_HOUR
DAY = analytics_pb2.GRANULARITY_DAY
GAME = analytics_pb2.DIMENSION_GAME
PROVIDER = analytics_pb2.DIMENSION_PROVIDER


def request(start: datetime, end: datetime, **fields: Any) -> Any:
    made = analytics_service_pb2.QueryGameActivityRequest(**fields)
    made.start_time.FromDatetime(start)
    made.end_time.FromDatetime(end)
    return made


def row(activity: analytics_pb2.GameActivity) -> Row:
    """Reads figures, and checks the one that follows from the others."""
    figures = Row(
        bets=activity.bets_minor_units,
        wins=activity.wins_minor_units,
        bet_count=activity.bet_count,
        win_count=activity.win_count,
        rollback_count=activity.rollback_count,
        round_count=activity.round_count,
        players=activity.active_player_count,
    )
    assert activity.ggr_minor_units == figures.bets - figures.wins
    return figures


class House:
    """A mesh of a ledger, Security and Analytics."""

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
        self.connect = connect
        self.stack = stack
        self.ledger = Ledger(clock)
        self.security_address = ""
        self.ledger_port = 0
        self.channel: grpc.aio.Channel
        self.ledger_server: Server

    async def open_neighbours(self) -> None:
        self.security_address = await start_keys(self.authority, self.tokens, self.stack)
        await self.open_ledger()

    async def open_ledger(self) -> Server:
        wallet = Server(
            ServerSettings(**self._identity("wallet"), listen=f"127.0.0.1:{self.ledger_port}")
        )
        feed = FeedServicer(self.ledger)
        wallet.add(feed_service_pb2_grpc.add_FeedServiceServicer_to_server, feed)
        wallet.on_drain(feed.drain)
        self.ledger_port = await self._start(wallet)
        self.ledger_server = wallet
        return wallet

    async def open(self) -> None:
        await self.open_neighbours()
        await self.open_analytics(self.stack)

    async def open_analytics(self, stack: AsyncExitStack) -> Server:
        server = await build(self.settings(), stack, self.clock)
        port = await server.start()
        stack.push_async_callback(server.stop)
        self.channel = self.connect(port, to="analytics", as_service="edge")
        return server

    def settings(self) -> Settings:
        return Settings(
            **self._identity("analytics"),
            database_url=self.database_url,
            security_address=self.security_address,
            wallet_address=f"127.0.0.1:{self.ledger_port}",
        )

    async def ask(self, asked: Any, metadata: Any = None) -> Any:
        stub = analytics_service_pb2_grpc.AnalyticsServiceStub(self.channel)
        return await stub.QueryGameActivity(
            asked, metadata=metadata or self.tokens.operator("analyst"), timeout=30
        )

    async def activities(
        self, start: datetime, end: datetime, **fields: Any
    ) -> Sequence[analytics_pb2.GameActivity]:
        """Asks once all that the ledger has is counted."""
        await self.catch_up()
        found: Sequence[analytics_pb2.GameActivity] = (
            await self.ask(request(start, end, **fields))
        ).activities
        return found

    async def catch_up(self) -> None:
        """Waits until the newest event is counted; its time must differ from the one before."""
        last = self.ledger.events[-1].create_time

        async def is_counted() -> bool:
            now = self.clock.now()
            answer = await self.ask(request(now, now + timedelta(seconds=1)))
            return bool(answer.follow_time == last)

        await until(is_counted, seconds=60)

    async def _start(self, server: Server) -> int:
        port = await server.start()
        self.stack.push_async_callback(server.stop)
        return port

    def _identity(self, name: str) -> dict[str, Any]:
        identity = self.authority.identity(name)
        return {
            "tls_certificate": identity.certificate,
            "tls_key": identity.key,
            "tls_authority": identity.authority,
            "traces_endpoint": "",
        }
