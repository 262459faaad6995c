"""The gRPC side of Analytics: messages in, values on, messages out."""

from typing import Any

from croupier.analytics.v1 import analytics_pb2, analytics_service_pb2, analytics_service_pb2_grpc

from services.analytics.domain import Activity, ActivityQuery, Span
from services.analytics.service import AnalyticsService
from services.kit.clock import from_timestamp, to_timestamp

SPANS = {
    analytics_pb2.GRANULARITY_UNSPECIFIED: None,
    analytics_pb2.GRANULARITY_MINUTE: Span.MINUTE,
    analytics_pb2.GRANULARITY_HOUR: Span.HOUR,
    analytics_pb2.GRANULARITY_DAY: Span.DAY,
}


class AnalyticsServicer(analytics_service_pb2_grpc.AnalyticsServiceServicer):
    """Serves `croupier.analytics.v1.AnalyticsService`."""

    def __init__(self, service: AnalyticsService) -> None:
        """Takes the service."""
        self._service = service

    async def QueryGameActivity(
        self, request: analytics_service_pb2.QueryGameActivityRequest, context: Any
    ) -> analytics_service_pb2.QueryGameActivityResponse:
        """Reports bets, wins and gross gaming revenue."""
        del context
        report = await self._service.query_game_activity(
            ActivityQuery(
                start=from_timestamp(request.start_time),
                end=from_timestamp(request.end_time),
                span=SPANS[request.granularity],
                by_game=analytics_pb2.DIMENSION_GAME in request.dimensions,
                by_provider=analytics_pb2.DIMENSION_PROVIDER in request.dimensions,
                game_id=request.game_id,
                provider_id=request.provider_id,
                currency_code=request.currency_code,
            )
        )
        follow_time = report.follow_time
        return analytics_service_pb2.QueryGameActivityResponse(
            activities=map(_activity, report.activities),
            follow_time=None if follow_time is None else to_timestamp(follow_time),
        )


def _activity(activity: Activity) -> analytics_pb2.GameActivity:
    group, figures = activity.group, activity.figures
    return analytics_pb2.GameActivity(
        bucket_time=to_timestamp(group.bucket_time),
        currency_code=group.currency_code,
        provider_id=group.provider_id,
        game_id=group.game_id,
        bets_minor_units=figures.bets_minor_units,
        wins_minor_units=figures.wins_minor_units,
        ggr_minor_units=figures.bets_minor_units - figures.wins_minor_units,
        bet_count=figures.bet_count,
        win_count=figures.win_count,
        rollback_count=figures.rollback_count,
        round_count=figures.round_count,
        active_player_count=activity.active_player_count,
    )
