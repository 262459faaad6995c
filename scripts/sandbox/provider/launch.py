"""Serves `LaunchService`: Croupier asks where a game is."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
from croupier.game.v1 import launch_service_pb2, launch_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from opentelemetry.trace import SpanKind, Tracer

from scripts.sandbox.tracing import received_context

_CALLER = b"spiffe://croupier/game"
_SERVICE = launch_service_pb2.DESCRIPTOR.services_by_name["LaunchService"].full_name
_STOP_GRACE_S = 2.0


class LaunchServicer(launch_service_pb2_grpc.LaunchServiceServicer):
    """Opens the one game under every name."""

    def __init__(self, web_url: str, tracer: Tracer) -> None:
        """Takes where players find the game."""
        self._web_url = web_url
        self._tracer = tracer

    async def OpenGame(
        self, request: launch_service_pb2.OpenGameRequest, context: Any
    ) -> launch_service_pb2.OpenGameResponse:
        """Tells where the game is. The token stands in the fragment, which browsers do not send."""
        names = context.auth_context().get("x509_subject_alternative_name", ())
        if _CALLER not in names:
            context.set_code(grpc.StatusCode.PERMISSION_DENIED)
            context.set_details("only Croupier's Game service may open games")
            return launch_service_pb2.OpenGameResponse()
        received = dict(context.invocation_metadata() or ())
        with self._tracer.start_as_current_span(
            "LaunchService/OpenGame", context=received_context(received), kind=SpanKind.SERVER
        ):
            path = f"/games/{quote(request.game_id, safe='')}"
            fragment = f"token={quote(request.session_token, safe='')}"
            return launch_service_pb2.OpenGameResponse(
                launch_url=f"{self._web_url}{path}#{fragment}"
            )


class LaunchServer:
    """The gRPC server around it."""

    def __init__(
        self, servicer: LaunchServicer, *, port: int, certificate: Path, key: Path, authority: Path
    ) -> None:
        """Prepares the server; it asks callers for a certificate of Croupier's authority."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._health = HealthServicer()
        launch_service_pb2_grpc.add_LaunchServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_secure_port(
            f"127.0.0.1:{port}",
            grpc.ssl_server_credentials(
                [(key.read_bytes(), certificate.read_bytes())],
                root_certificates=authority.read_bytes(),
                require_client_auth=True,
            ),
        )

    async def start(self) -> None:
        """Starts to serve."""
        for name in ("", _SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def stop(self) -> None:
        """Lets calls under way end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(_STOP_GRACE_S)
