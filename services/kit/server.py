"""Builds and serves a gRPC server: interceptors, health, reflection, graceful stop."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from prometheus_client import start_http_server

from services.kit import logs, telemetry
from services.kit.contract import Level
from services.kit.interceptors.authentication import Authenticator, PeerAuthenticator
from services.kit.interceptors.chain import Chain
from services.kit.settings import ServerSettings

_CHECK_EVERY_S = 2.0
_CHECK_TIMEOUT_S = 1.5
_log = structlog.get_logger()

# What a process ends with that ended by itself: another run of it may serve.
_LOST_CODE = os.EX_TEMPFAIL

Check = Callable[[], Awaitable[None]]
Loss = Callable[[], Awaitable[str]]
SettingsT = TypeVar("SettingsT", bound=ServerSettings)


class Server:
    """A gRPC server that enforces the contract around every method that is added to it."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        authenticators: Mapping[Level, Authenticator] | None = None,
    ) -> None:
        """Prepares the server; nothing listens yet.

        Args:
            settings: Where and how it serves.
            authenticators: How callers of levels other than PUBLIC and SERVICE prove who they
                are, where its methods have such levels.
        """
        self._settings = settings
        peer = PeerAuthenticator()
        self._chain = Chain(
            authenticators={Level.PUBLIC: peer, Level.SERVICE: peer, **(authenticators or {})},
            calls_max=settings.calls_max,
            default_deadline=settings.default_deadline,
        )
        self._server = bare_server(settings)
        self._health = HealthServicer()
        self._services: list[str] = []
        self._checks: list[Check] = []
        self._enders: list[Callable[[], None]] = []
        self._losses: list[Loss] = []
        self._watch: asyncio.Task[None] | None = None

    def add(self, register: Callable[[Any, Any], None], servicer: object) -> None:
        """Adds a servicer, by the generated function that would add it to a bare server.

        Raises:
            UndeclaredError: A method does not declare whom it admits.
        """
        register(servicer, self)

    def add_registered_method_handlers(
        self, service: str, handlers: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> None:
        """Takes a servicer's methods from the generated code and wraps them."""
        self._server.add_registered_method_handlers(  # type: ignore[attr-defined]  # old stubs
            service, self._chain.wrap(service, handlers)
        )
        self._services.append(service)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Ignores the second form in which generated code hands over the same methods."""

    def require(self, check: Check) -> None:
        """Makes the server healthy only while `check` returns without raising."""
        self._checks.append(check)

    def on_drain(self, end: Callable[[], None]) -> None:
        """Calls `end` before the server stops, for streams that never end by themselves."""
        self._enders.append(end)

    def end_after(self, loss: Loss) -> None:
        """Ends the process once `loss` returns, which says why; as SIGTERM would, but with code 75.

        For what a process can lose and only another run can have again. What may come back, and
        what a human must look at, is a reason to be unhealthy and not to end: see `require`.
        """
        self._losses.append(loss)

    async def start(self) -> int:
        """Starts to serve, and returns the port."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*self._services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name],
            self._server,
        )
        port = self._server.add_secure_port(
            self._settings.listen, self._settings.identity.server_credentials()
        )
        await self._set_health(serving=await self._is_healthy())
        await self._server.start()
        self._watch = asyncio.create_task(self._watch_health(), name="health")
        _log.info("serving", listen=self._settings.listen, port=port, services=self._services)
        return int(port)

    async def serve_until(self, stopping: asyncio.Event) -> str | None:
        """Returns when the server must stop: None if it is told to, else what it has lost."""
        told = asyncio.create_task(stopping.wait(), name="stopping")
        losses = [asyncio.ensure_future(loss()) for loss in self._losses]
        try:
            await asyncio.wait({told, *losses}, return_when=asyncio.FIRST_COMPLETED)
            return next((loss.result() for loss in losses if loss.done()), None)
        finally:
            for task in (told, *losses):
                task.cancel()
            await asyncio.gather(told, *losses, return_exceptions=True)

    async def stop(self) -> None:
        """Says NOT_SERVING, lets balancers notice, ends calls under way, then stops.

        Calls that come meanwhile are UNAVAILABLE, which callers and the edge try again elsewhere;
        gRPC by itself would say CANCELLED, which they take for their own doing.
        """
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_pause.total_seconds())
        for end in self._enders:
            end()
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._settings.drain_grace.total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                await self._chain.load.drain()
        await self._server.stop(max(ends - loop.time(), 0))

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            await self._set_health(serving=await self._is_healthy())

    async def _is_healthy(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                for check in self._checks:
                    await check()
        except Exception as error:  # noqa: BLE001 (whatever is wrong, the server is not healthy)
            _log.warning("health check failed", error=repr(error))
            return False
        return True

    async def _set_health(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        state = status.SERVING if serving else status.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, state)


def _spare_collections() -> None:
    """Leaves what every call shares out of garbage collection, and looks for cycles less often.

    Modules, descriptors and statements live as long as the process; to walk them again and again
    costs a bet about 8 % of its CPU time. Calls leave few cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def bare_server(settings: ServerSettings) -> grpc.aio.Server:
    """Returns a grpc.aio server with our options, and nothing around its methods."""
    return grpc.aio.server(
        # Calls beyond this are refused by gRPC itself, before any of our code runs.
        maximum_concurrent_rpcs=2 * settings.calls_max,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.message_bytes_max),
            ("grpc.max_send_message_length", 4 * settings.message_bytes_max),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.max_ping_strikes", 0),
        ],
    )


def export_traces(name: str, settings: ServerSettings, stack: AsyncExitStack) -> None:
    """Starts to record spans if the settings say where they go; the stack sends the last of them.

    The exporters read everything else, such as headers and certificates, from OpenTelemetry's own
    variables.
    """
    if not settings.traces_endpoint:
        return
    chosen = {"grpc": GrpcExporter, "http/protobuf": HttpExporter}[settings.traces_protocol]
    provider = telemetry.configure(service=name, exporter=chosen())
    stack.callback(provider.shutdown)


def main(
    name: str,
    settings_type: type[SettingsT],
    build: Callable[[SettingsT, AsyncExitStack], Awaitable[Server]],
) -> None:
    """Runs a service until SIGTERM or SIGINT; the whole of a service's `__main__`.

    It exits with 0, or with 75 if it lost what it cannot serve without: see `Server.end_after`.

    Args:
        name: The service's name, as in its certificate.
        settings_type: Reads the environment when it is made.
        build: Puts the service together; what must be closed at the end goes on the stack.
    """
    settings = settings_type()  # type: ignore[call-arg]  # pydantic reads the environment
    logs.configure(service=name, level=settings.log_level)
    sys.exit(uvloop.run(_serve(name, settings, build)))


async def _serve(
    name: str,
    settings: SettingsT,
    build: Callable[[SettingsT, AsyncExitStack], Awaitable[Server]],
) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        export_traces(name, settings, stack)
        if settings.metrics_listen:
            host, _, port = settings.metrics_listen.rpartition(":")
            metrics, thread = start_http_server(int(port), host)
            stack.callback(thread.join)
            stack.callback(metrics.shutdown)
        server = await build(settings, stack)
        await server.start()
        _spare_collections()
        lost = await server.serve_until(stopping)
        if lost is not None:
            _log.critical("this process ends: it can serve no more", lost=lost, code=_LOST_CODE)
        _log.info("draining")
        await server.stop()
    _log.info("stopped")
    return 0 if lost is None else _LOST_CODE
