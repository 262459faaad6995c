"""`python -m services.game`: the Game service."""

from contextlib import AsyncExitStack

from croupier.event.v1.feed_service_pb2_grpc import add_FeedServiceServicer_to_server
from croupier.game.v1.game_service_pb2_grpc import add_GameServiceServicer_to_server
from croupier.game.v1.provider_service_pb2_grpc import add_ProviderServiceServicer_to_server

from services.game.assembly import assemble
from services.game.settings import Settings
from services.kit.clock import Clock, SystemClock
from services.kit.server import Server, main


async def build(settings: Settings, stack: AsyncExitStack, clock: Clock | None = None) -> Server:
    """Puts the service together; what must be closed at the end goes on the stack."""
    parts = await assemble(settings, stack, clock=clock or SystemClock())
    server = Server(settings, authenticators=parts.authenticators)
    server.add(add_GameServiceServicer_to_server, parts.games)
    server.add(add_ProviderServiceServicer_to_server, parts.providers)
    server.add(add_FeedServiceServicer_to_server, parts.feed)
    for check in (parts.database.ping, *(follower.check for follower in parts.followers)):
        server.require(check)
    server.on_drain(parts.feed.drain)
    return server


if __name__ == "__main__":
    main("game", Settings, build)
