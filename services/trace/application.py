"""The HTTP application: receiver, query API, page, health and metrics behind one door."""

from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.clock import Clock
from services.trace.ingest import Ingest
from services.trace.metrics import Metrics
from services.trace.page import Page
from services.trace.query import QueryApi
from services.trace.reader import TraceReader
from services.trace.receiver import HttpReceiver, Receiver

_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def build_application(
    *,
    receiver: Receiver,
    ingest: Ingest,
    reader: TraceReader,
    metrics: Metrics,
    clock: Clock,
    allowed_hosts: tuple[str, ...],
) -> ASGIApp:
    """Puts the application together."""

    async def health(request: Request) -> Response:
        del request
        if ingest.is_healthy:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("spans cannot be stored\n", status_code=503)

    async def expose(request: Request) -> Response:
        del request
        return Response(metrics.expose(), media_type="text/plain; version=0.0.4")

    application = Starlette(
        routes=[
            Route("/v1/traces", HttpReceiver(receiver).export, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", expose),
            *QueryApi(reader, clock).routes(),
            *Page().routes(),
        ]
    )
    return _Guard(application, frozenset(name.lower() for name in allowed_hosts))


class _Guard:
    """Refuses foreign names in the Host header, and says to browsers what answers may do.

    A web page elsewhere can make its own name point at this machine and would then be same-origin
    with this server (DNS rebinding). It needs a name for that: plain addresses are harmless.
    """

    def __init__(self, application: ASGIApp, allowed_hosts: frozenset[str]) -> None:
        self._application = application
        self._allowed_hosts = allowed_hosts | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_SECURITY_HEADERS]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_allowed(hosts[0]):
            refusal = PlainTextResponse(
                "This host name is not served; see CROUPIER_TRACE_ALLOWED_HOSTS.\n",
                status_code=421,
                headers={"connection": "close"},
            )
            await refusal(scope, receive, send_guarded)
            return
        await self._application(scope, receive, send_guarded)

    def _is_allowed(self, host: str) -> bool:
        name = host.lower()
        # An IPv6 address stands in brackets; a port may follow.
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name in self._allowed_hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
