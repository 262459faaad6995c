"""`python -m services.analytics`: the Analytics service."""

from contextlib import AsyncExitStack

from croupier.analytics.v1.analytics_service_pb2_grpc import (
    add_AnalyticsServiceServicer_to_server,
)

from services.analytics.assembly import assemble
from services.analytics.settings import Settings
from services.kit.clock import Clock, SystemClock
from services.kit.server import Server, main


async def build(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Server:
    """Puts the service together; what must be closed at the end goes on the stack."""
    parts = await assemble(settings, stack, clock=clock or SystemClock())
    server = Server(settings, authenticators=parts.authenticators)
    server.add(add_AnalyticsServiceServicer_to_server, parts.analytics)
    for check in (parts.database.ping, *(follower.check for follower in parts.followers)):
        server.require(check)
    return server


if __name__ == "__main__":
    main("analytics", Settings, build)
