"""A Player service between doubles, as its tests see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from croupier.event.v1 import event_pb2, feed_service_pb2, feed_service_pb2_grpc
from croupier.player.v1 import player_pb2, player_service_pb2, player_service_pb2_grpc
from croupier.wallet.v1 import back_office_pb2

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.ids import new_id
from services.player.settings import Settings
from tests.conftest import Connect
from tests.factories.player import registration
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.player.doubles import SecurityDouble, WalletDouble

Player = player_pb2.Player


@dataclass
class World:
    """The service under test, what stands around it, and who talks to it."""

    security: SecurityDouble
    wallet: WalletDouble
    clock: ManualClock
    tokens: TokenIssuer
    database_url: str
    connect: Connect
    start: Callable[..., Awaitable[int]]
    """Starts one more process on the same database and returns its port."""
    port: int

    def stub(self, as_service: str = "edge", port: int = 0) -> Any:
        channel = self.connect(port or self.port, to="player", as_service=as_service)
        return player_service_pb2_grpc.PlayerServiceStub(channel)

    async def register(self, **changes: Any) -> Any:
        answer = await self.stub().RegisterPlayer(registration(**changes))
        return answer.player

    async def verified(self, **changes: Any) -> Any:
        player = await self.register(**changes)
        return await self.verify(player.player_id)

    async def verify(self, player_id: str, document_number: str = "L01X00T47") -> Any:
        request = player_service_pb2.VerifyIdentityRequest(document_number=document_number)
        metadata = self.tokens.player(player_id)
        return (await self.stub().VerifyIdentity(request, metadata=metadata)).player

    async def get(self, player_id: str) -> Any:
        request = player_service_pb2.GetPlayerRequest()
        metadata = self.tokens.player(player_id)
        return (await self.stub().GetPlayer(request, metadata=metadata)).player

    async def exclude(self, player_id: str, lasting: timedelta | None, *, port: int = 0) -> Any:
        request = player_service_pb2.ExcludePlayerRequest()
        if lasting is not None:
            request.end_time.FromDatetime(self.clock.now() + lasting)
        metadata = self.tokens.player(player_id)
        return (await self.stub(port=port).ExcludePlayer(request, metadata=metadata)).player

    async def set_limit(
        self,
        player_id: str,
        max_minor_units: int | None,
        kind: str = "DEPOSIT",
        period: str = "DAY",
        *,
        port: int = 0,
        **fields: Any,
    ) -> Any:
        request = player_service_pb2.SetLimitRequest(
            **{
                "request_id": new_id(),
                "currency_code": "EUR",
                "kind": back_office_pb2.LimitKind.Value(f"LIMIT_KIND_{kind}"),
                "period": back_office_pb2.LimitPeriod.Value(f"LIMIT_PERIOD_{period}"),
                "max_minor_units": max_minor_units,
                **fields,
            }
        )
        metadata = self.tokens.player(player_id)
        return (await self.stub(port=port).SetLimit(request, metadata=metadata)).limit

    async def list_limits(self, player_id: str) -> Any:
        request = player_service_pb2.ListLimitsRequest()
        metadata = self.tokens.player(player_id)
        return list((await self.stub().ListLimits(request, metadata=metadata)).limits)

    async def block(self, player_id: str, *, port: int = 0, **claims: Any) -> Any:
        request = player_service_pb2.BlockPlayerRequest(player_id=player_id, reason="chargebacks")
        metadata = self.tokens.operator("compliance", **claims)
        return (await self.stub(port=port).BlockPlayer(request, metadata=metadata)).player

    async def unblock(self, player_id: str, *, port: int = 0, **claims: Any) -> Any:
        request = player_service_pb2.UnblockPlayerRequest(player_id=player_id, reason="settled")
        metadata = self.tokens.operator("admin", **claims)
        return (await self.stub(port=port).UnblockPlayer(request, metadata=metadata)).player

    async def check_play(self, player_id: str) -> Any:
        request = player_service_pb2.CheckPlayRequest(player_id=player_id)
        return (await self.stub("game").CheckPlay(request)).player

    async def events(self, count: int) -> list[event_pb2.Event]:
        """Reads the first events of the feed, as many as are asked for."""
        channel = self.connect(self.port, to="player", as_service="analytics")
        stream = feed_service_pb2_grpc.FeedServiceStub(channel).Subscribe(
            feed_service_pb2.SubscribeRequest(), timeout=20
        )
        events: list[event_pb2.Event] = []
        async for response in stream:
            events.extend(response.events)
            if len(events) >= count:
                break
        stream.cancel()
        return events


def player_settings(authority: DevelopmentAuthority, database_url: str, **changes: Any) -> Settings:
    identity = authority.identity("player")
    return Settings(
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        tls_authority=identity.authority,
        database_url=database_url,
        **{
            "identity_provider": "sandbox",
            "identity_timeout": timedelta(seconds=0.2),
            "upkeep_every": timedelta(seconds=0.05),
            "drain_grace": timedelta(seconds=2),
            **changes,
        },
    )
