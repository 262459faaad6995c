"""A server whose one method does nothing: `… empty_server bare` or `… empty_server chain`.

Both are the same grpc.aio server with the same options, certificates and method; only the
interceptors differ. It prints its port.
"""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

import uvloop
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc

from scripts.benchmarks import workload
from services.kit import logs
from services.kit.contract import Level
from services.kit.interceptors.authentication import PeerAuthenticator
from services.kit.server import Server, bare_server, export_traces
from services.kit.settings import ServerSettings


class Nothing(wallet_service_pb2_grpc.WalletServiceServicer):
    """Answers a bet without looking at it."""

    async def Bet(self, request: Any, context: Any) -> wallet_service_pb2.BetResponse:
        """Answers."""
        del request, context
        return wallet_service_pb2.BetResponse()


async def _serve(stack: AsyncExitStack, *, chained: bool) -> None:
    settings = ServerSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    logs.configure(service="empty", level="warning")
    nothing = Nothing()  # type: ignore[abstract]
    if chained:
        export_traces("empty", settings, stack)
        peer = PeerAuthenticator()
        server = Server(settings, authenticators=dict.fromkeys(Level, peer))
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, nothing)
        port = await server.start()
    else:
        bare = bare_server(settings)
        wallet_service_pb2_grpc.add_WalletServiceServicer_to_server(nothing, bare)
        port = bare.add_secure_port(settings.listen, settings.identity.server_credentials())
        await bare.start()
    workload.spare_collections()
    print(port, flush=True)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()


async def _main() -> None:
    async with AsyncExitStack() as stack:
        await _serve(stack, chained=sys.argv[1] == "chain")


if __name__ == "__main__":
    uvloop.run(_main())
