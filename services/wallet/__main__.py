"""`python -m services.wallet`: the Wallet service."""

from contextlib import AsyncExitStack

from croupier.event.v1.feed_service_pb2_grpc import add_FeedServiceServicer_to_server
from croupier.wallet.v1.back_office_service_pb2_grpc import (
    add_BackOfficeServiceServicer_to_server,
)
from croupier.wallet.v1.payment_service_pb2_grpc import add_PaymentServiceServicer_to_server
from croupier.wallet.v1.posting_service_pb2_grpc import add_PostingServiceServicer_to_server
from croupier.wallet.v1.wallet_service_pb2_grpc import add_WalletServiceServicer_to_server

from services.kit.clock import SteadyClock, SystemClock
from services.kit.server import Server, main
from services.wallet.assembly import assemble
from services.wallet.settings import Settings


async def build(
    settings: Settings, stack: AsyncExitStack, clock: SteadyClock | None = None
) -> Server:
    """Puts the service together; the stack takes it apart in reverse."""
    parts = await assemble(settings, stack, clock=clock or SystemClock())
    server = Server(settings, authenticators=parts.authenticators)
    server.add(add_WalletServiceServicer_to_server, parts.wallet)
    server.add(add_PostingServiceServicer_to_server, parts.posting)
    server.add(add_BackOfficeServiceServicer_to_server, parts.back_office)
    server.add(add_PaymentServiceServicer_to_server, parts.payments)
    server.add(add_FeedServiceServicer_to_server, parts.feed)
    server.on_drain(parts.drain)
    server.require(parts.check)
    server.end_after(parts.deposition)
    return server


if __name__ == "__main__":
    main("wallet", Settings, build)
