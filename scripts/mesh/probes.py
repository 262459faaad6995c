"""Asks running programs whether they serve."""

import ssl
from types import TracebackType
from typing import Self

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.mesh.child import Ready
from services.kit.tls import Identity

_TIMEOUT_S = 1.0


class Probes:
    """Keeps the connections of all questions, and closes them at the end."""

    def __init__(self, identity: Identity) -> None:
        """Takes the identity that asks; it may call nothing but health checks."""
        self._identity = identity
        self._channels: list[grpc.aio.Channel] = []
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=str(identity.authority)),
            timeout=_TIMEOUT_S,
            trust_env=False,
            # A connection that is kept open would be waited for when the program stops.
            headers={"connection": "close"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels:
            await channel.close(grace=None)
        await self._http.aclose()

    def grpc(self, port: int, *, name: str | None) -> Ready:
        """Asks the standard health service.

        Args:
            port: Where the server listens, on the loopback interface.
            name: The name in its certificate; None if it speaks without TLS.
        """
        options: list[tuple[str, object]] = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 100),
        ]
        if name is None:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        else:
            options.append(("grpc.ssl_target_name_override", name))
            channel = grpc.aio.secure_channel(
                f"127.0.0.1:{port}", self._identity.channel_credentials(), options=options
            )
        self._channels.append(channel)
        stub = health_pb2_grpc.HealthStub(channel)

        async def is_ready() -> bool:
            try:
                answer = await stub.Check(
                    health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S, wait_for_ready=True
                )
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        return is_ready

    def http(self, *urls: str) -> Ready:
        """Asks whether all of the URLs answer 200."""

        async def is_ready() -> bool:
            try:
                for url in urls:
                    answer = await self._http.get(url)
                    if answer.status_code != httpx.codes.OK:
                        return False
            except httpx.HTTPError:
                return False
            return True

        return is_ready
