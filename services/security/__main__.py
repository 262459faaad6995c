"""`python -m services.security`: the Security service."""

from contextlib import AsyncExitStack

from croupier.event.v1.feed_service_pb2_grpc import add_FeedServiceServicer_to_server
from croupier.security.v1.security_service_pb2_grpc import add_SecurityServiceServicer_to_server

from services.kit.clock import Clock, SystemClock
from services.kit.server import Server, main
from services.security.assembly import assemble
from services.security.settings import Settings


async def build(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Server:
    """Puts the service together; what must be closed at the end goes on the stack."""
    parts = await assemble(settings, stack, clock=clock or SystemClock())
    server = Server(settings, authenticators=parts.authenticators)
    server.add(add_SecurityServiceServicer_to_server, parts.security)
    server.add(add_FeedServiceServicer_to_server, parts.feed)
    server.require(parts.database.ping)
    server.on_drain(parts.feed.drain)
    return server


if __name__ == "__main__":
    main("security", Settings, build)
