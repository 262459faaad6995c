"""The running process: both servers, what they share, and how they stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import structlog
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.kit.clock import Clock
from services.trace.application import build_application
from services.trace.ingest import Ingest
from services.trace.metrics import Metrics
from services.trace.reader import TraceReader
from services.trace.receiver import REQUEST_BYTES_MAX, SERVICE_NAME, Receiver, grpc_handler
from services.trace.settings import Address, Settings
from services.trace.store import TraceStore

_CONCURRENT_CALLS_MAX = 100
_HTTP_CONNECTIONS_MAX = 200
_START_S_MAX = 10
_CALLS_END_S_MAX = 2
_FLUSH_S_MAX = 5.0
_BACKLOG = 128
_HEALTH_INTERVAL_S = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started backend listens: the real ports."""

    grpc: Address
    http: Address
    metrics: Metrics

    @property
    def page_url(self) -> str:
        """The address of the page."""
        return f"http://{self.http}/"


@asynccontextmanager
async def serve(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Serves inside the block. Leaving it finishes calls, writes what is queued and closes.

    Raises:
        OSError: An address is taken.
        ForeignFileError: The file is not a trace store.
    """
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        store = TraceStore(settings.data, settings.retention)
        ingest = Ingest(store, clock=clock, metrics=metrics, queue_spans_max=settings.queue_size)
        ingest.start()
        stack.push_async_callback(_flush, ingest)
        reader = TraceReader(settings.data)
        stack.callback(reader.close)
        receiver = Receiver(ingest, metrics)
        application = build_application(
            receiver=receiver,
            ingest=ingest,
            reader=reader,
            metrics=metrics,
            clock=clock,
            allowed_hosts=settings.allowed_hosts,
        )
        http = await stack.enter_async_context(
            _serve_http(
                uvicorn.Config(
                    application,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    ws="none",
                    server_header=False,
                    limit_concurrency=_HTTP_CONNECTIONS_MAX,
                    timeout_graceful_shutdown=_CALLS_END_S_MAX,
                ),
                Address.parse(settings.http_listen),
            )
        )
        grpc_address = await stack.enter_async_context(
            _serve_grpc(receiver, ingest, Address.parse(settings.grpc_listen))
        )
        yield Running(grpc_address, http, metrics)


async def _flush(ingest: Ingest) -> None:
    is_flushed = await asyncio.to_thread(ingest.close, _FLUSH_S_MAX)
    if not is_flushed:
        _log.error("queue not flushed", waited_s=_FLUSH_S_MAX)


@asynccontextmanager
async def _serve_grpc(
    receiver: Receiver, ingest: Ingest, address: Address
) -> AsyncIterator[Address]:
    server = grpc.aio.server(
        maximum_concurrent_rpcs=_CONCURRENT_CALLS_MAX,
        options=[
            ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
            # A second process on the port must fail, not take half of the spans.
            ("grpc.so_reuseport", 0),
            # Exporters are idle for long and may ping as they like.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_ping_strikes", 0),
        ],
    )
    server.add_generic_rpc_handlers((grpc_handler(receiver),))
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await _set_health(servicer, is_healthy=True)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address} for gRPC") from error
    await server.start()
    watching = asyncio.create_task(_watch_health(servicer, ingest))
    try:
        yield Address(address.host, port)
    finally:
        watching.cancel()
        await servicer.enter_graceful_shutdown()
        await server.stop(_CALLS_END_S_MAX)


async def _watch_health(servicer: HealthServicer, ingest: Ingest) -> None:
    """Says NOT_SERVING as long as spans cannot be stored."""
    was_healthy = True
    while True:
        await asyncio.sleep(_HEALTH_INTERVAL_S)
        if ingest.is_healthy is not was_healthy:
            was_healthy = ingest.is_healthy
            await _set_health(servicer, is_healthy=was_healthy)


async def _set_health(servicer: HealthServicer, *, is_healthy: bool) -> None:
    states = health_pb2.HealthCheckResponse
    for service in ("", SERVICE_NAME):
        await servicer.set(service, states.SERVING if is_healthy else states.NOT_SERVING)


class _HttpServer(uvicorn.Server):
    """Leaves signals to `__main__`, which stops both servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _serve_http(config: uvicorn.Config, address: Address) -> AsyncIterator[Address]:
    listener = _listen(address)
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(_START_S_MAX):
            while not server.started:
                if serving.done():
                    await serving
                await asyncio.sleep(0.005)
        yield Address(address.host, listener.getsockname()[1])
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {address} for HTTP: {error.strerror}"
        ) from error
    return listener
