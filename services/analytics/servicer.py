"""The gRPC side of Analytics: messages in, values on, messages out."""

from typing import Any

from croupier.analytics.v1 import analytics_pb2, analytics_service_pb2, analytics_service_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from services.analytics.domain import Activity, ActivityQuery, Span
from services.analytics.service import AnalyticsService
from services.kit.clock import from_micros, to_micros

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
                start=from_micros(request.start_time.ToMicroseconds()),
                end=from_micros(request.end_time.ToMicroseconds()),
                span=SPANS[request.granularity],
                by_game=analytics_pb2.DIMENSION_GAME in request.dimensions,
                by_provider=analytics_pb2.DIMENSION_PROVIDER in request.dimensions,
                game_id=request.game_id,
                provider_id=request.provider_id,
                currency_code=request.currency_code,
            )
        )
        response = analytics_service_pb2.QueryGameActivityResponse(
            activities=map(_activity, report.activities)
        )
        if report.follow_time is not None:
            response.follow_time.FromMicroseconds(to_micros(report.follow_time))
        return response


def _activity(activity: Activity) -> analytics_pb2.GameActivity:
    group, figures = activity.group, activity.figures
    bucket_time = Timestamp()
    bucket_time.FromMicroseconds(to_micros(group.bucket_time))
    return analytics_pb2.GameActivity(
        bucket_time=bucket_time,
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
