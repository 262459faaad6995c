"""Player as gRPC: translates, and decides nothing."""

from datetime import UTC, date, datetime
from typing import Any

from croupier.player.v1 import player_pb2, player_service_pb2, player_service_pb2_grpc
from croupier.wallet.v1 import back_office_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.kit.call import caller
from services.kit.clock import Clock
from services.kit.errors import InvalidRequestError
from services.player.domain import (
    Application,
    Limit,
    LimitKind,
    LimitName,
    LimitPeriod,
    LimitWish,
    Player,
)
from services.player.service import LimitService, PlayerService


class PlayerServicer(player_service_pb2_grpc.PlayerServiceServicer):
    """Serves `croupier.player.v1.PlayerService`."""

    def __init__(self, service: PlayerService, limits: LimitService, clock: Clock) -> None:
        """Takes the use cases, and the clock that tells whether an exclusion is in force."""
        self._service = service
        self._limits = limits
        self._clock = clock

    async def RegisterPlayer(
        self, request: player_service_pb2.RegisterPlayerRequest, context: Any
    ) -> player_service_pb2.RegisterPlayerResponse:
        """Registers a player."""
        del context
        player = await self._service.register_player(_application(request))
        return player_service_pb2.RegisterPlayerResponse(player=self._message(player))

    async def GetPlayer(
        self, request: player_service_pb2.GetPlayerRequest, context: Any
    ) -> player_service_pb2.GetPlayerResponse:
        """Gets the calling player."""
        del request, context
        player = await self._service.get_player(caller().subject_id)
        return player_service_pb2.GetPlayerResponse(player=self._message(player))

    async def VerifyIdentity(
        self, request: player_service_pb2.VerifyIdentityRequest, context: Any
    ) -> player_service_pb2.VerifyIdentityResponse:
        """Has the calling player's identity checked."""
        del context
        player = await self._service.verify_identity(
            caller().subject_id, document_number=request.document_number
        )
        return player_service_pb2.VerifyIdentityResponse(player=self._message(player))

    async def ExcludePlayer(
        self, request: player_service_pb2.ExcludePlayerRequest, context: Any
    ) -> player_service_pb2.ExcludePlayerResponse:
        """Excludes the calling player."""
        del context
        end_time = _moment("end_time", request.end_time) if request.HasField("end_time") else None
        player = await self._service.exclude_player(caller().subject_id, end_time=end_time)
        return player_service_pb2.ExcludePlayerResponse(player=self._message(player))

    async def SetLimit(
        self, request: player_service_pb2.SetLimitRequest, context: Any
    ) -> player_service_pb2.SetLimitResponse:
        """Sets or lifts a limit of the calling player."""
        del context
        limit = await self._limits.set_limit(caller().subject_id, _wish(request))
        return player_service_pb2.SetLimitResponse(limit=limit_message(limit))

    async def ListLimits(
        self, request: player_service_pb2.ListLimitsRequest, context: Any
    ) -> player_service_pb2.ListLimitsResponse:
        """Lists the limits of the calling player."""
        del request, context
        limits = await self._limits.list_limits(caller().subject_id)
        return player_service_pb2.ListLimitsResponse(
            limits=[limit_message(limit) for limit in limits]
        )

    async def BlockPlayer(
        self, request: player_service_pb2.BlockPlayerRequest, context: Any
    ) -> player_service_pb2.BlockPlayerResponse:
        """Blocks a player."""
        del context
        player = await self._service.block_player(
            request.player_id.lower(), operator_id=caller().subject_id, reason=request.reason
        )
        return player_service_pb2.BlockPlayerResponse(player=self._message(player))

    async def UnblockPlayer(
        self, request: player_service_pb2.UnblockPlayerRequest, context: Any
    ) -> player_service_pb2.UnblockPlayerResponse:
        """Lifts a block."""
        del context
        player = await self._service.unblock_player(
            request.player_id.lower(), operator_id=caller().subject_id, reason=request.reason
        )
        return player_service_pb2.UnblockPlayerResponse(player=self._message(player))

    async def CheckPlay(
        self, request: player_service_pb2.CheckPlayRequest, context: Any
    ) -> player_service_pb2.CheckPlayResponse:
        """Tells whether a player may begin to play."""
        del context
        player = await self._service.check_play(request.player_id.lower())
        return player_service_pb2.CheckPlayResponse(
            player=player_pb2.PlayerSummary(
                player_id=player.player_id,
                country_code=player.country_code,
                currency_code=player.currency_code,
            )
        )

    def _message(self, player: Player) -> player_pb2.Player:
        return player_message(player, now=self._clock.now())


def player_message(player: Player, *, now: datetime) -> player_pb2.Player:
    """Renders a player as the contract shows one."""
    message = player_pb2.Player(
        player_id=player.player_id,
        state=player_pb2.Player.State.Value(player.state),
        identity_state=player_pb2.Player.IdentityState.Value(player.identity_state),
        email=player.email,
        given_name=player.given_name,
        family_name=player.family_name,
        date_of_birth=player.date_of_birth.isoformat(),
        country_code=player.country_code,
        currency_code=player.currency_code,
    )
    message.create_time.FromDatetime(player.create_time)
    exclusion = player.exclusion_at(now)
    if exclusion is not None:
        message.exclusion.start_time.FromDatetime(exclusion.start_time)
        if exclusion.end_time is not None:
            message.exclusion.end_time.FromDatetime(exclusion.end_time)
    return message


def limit_message(limit: Limit) -> player_pb2.Limit:
    """Renders a limit as the contract shows one."""
    message = player_pb2.Limit(
        currency_code=limit.name.currency_code,
        kind=back_office_pb2.LimitKind.Value(limit.name.kind),
        period=back_office_pb2.LimitPeriod.Value(limit.name.period),
        max_minor_units=limit.max_minor_units,
    )
    if limit.pending is not None:
        pending = player_pb2.PendingMaximum(max_minor_units=limit.pending.max_minor_units)
        pending.start_time.FromDatetime(limit.pending.start_time)
        message.pending.CopyFrom(pending)
    return message


def _wish(request: player_service_pb2.SetLimitRequest) -> LimitWish:
    return LimitWish(
        request_id=request.request_id.lower(),
        name=LimitName(
            currency_code=request.currency_code,
            kind=LimitKind(back_office_pb2.LimitKind.Name(request.kind)),
            period=LimitPeriod(back_office_pb2.LimitPeriod.Name(request.period)),
        ),
        max_minor_units=request.max_minor_units if request.HasField("max_minor_units") else None,
    )


def _application(request: player_service_pb2.RegisterPlayerRequest) -> Application:
    return Application(
        request_id=request.request_id.lower(),
        email=request.email,
        password=request.password,
        given_name=request.given_name,
        family_name=request.family_name,
        date_of_birth=_day("date_of_birth", request.date_of_birth),
        country_code=request.country_code,
        postal_address=request.postal_address,
        currency_code=request.currency_code,
    )


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequestError({field: "must be a day of the calendar"}) from None


def _moment(field: str, timestamp: Timestamp) -> datetime:
    try:
        # Finer than a microsecond is cut off, the same in a repeat.
        return timestamp.ToDatetime(tzinfo=UTC)
    except ValueError:
        raise InvalidRequestError({field: "must be a valid timestamp"}) from None
