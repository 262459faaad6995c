"""The game in the player's browser, and the control by which a script says what to call."""

import hmac
import json
from pathlib import Path
from typing import Any

from croupier.game.v1 import provider_service_pb2
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.trace import SpanKind, Tracer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from scripts.sandbox.provider.table import Table
from scripts.sandbox.provider.wallet import Answer, Wallet
from scripts.sandbox.tracing import received_context

_ASSETS = Path(__file__).parent / "assets"
_BODY_BYTES_MAX = 16_384
_SERVICE = provider_service_pb2.DESCRIPTOR.services_by_name["ProviderService"]
_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Web:
    """The handlers of all routes."""

    def __init__(self, table: Table, wallet: Wallet, tracer: Tracer, *, control_key: str) -> None:
        """Takes what the handlers work on."""
        self._table = table
        self._wallet = wallet
        self._tracer = tracer
        self._authorization = f"Bearer {control_key}".encode()

    def application(self) -> Starlette:
        """Returns the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/games/{game_id}", self._page),
                Route("/slot.js", self._script),
                Route("/slot.css", self._style),
                Route("/sessions", self._authenticate, methods=["POST"]),
                Route("/spins", self._spin, methods=["POST"]),
                Route("/control", self._control, methods=["POST"]),
            ]
        )

    async def _health(self, request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def _page(self, request: Request) -> Response:
        del request
        return FileResponse(_ASSETS / "slot.html", headers=_HEADERS)

    async def _script(self, request: Request) -> Response:
        del request
        return FileResponse(_ASSETS / "slot.js", headers=_HEADERS)

    async def _style(self, request: Request) -> Response:
        del request
        return FileResponse(_ASSETS / "slot.css", headers=_HEADERS)

    async def _authenticate(self, request: Request) -> Response:
        body = await _json(request)
        with self._tracer.start_as_current_span("open slot", kind=SpanKind.SERVER):
            return _answered(await self._table.authenticate(str(body.get("token", ""))))

    async def _spin(self, request: Request) -> Response:
        body = await _json(request)
        stake = body.get("stake_minor_units")
        if type(stake) is not int or stake <= 0:
            return PlainTextResponse("stake_minor_units must be more than 0\n", status_code=400)
        with self._tracer.start_as_current_span("spin", kind=SpanKind.SERVER):
            played = await self._table.play(
                str(body.get("token", "")), str(body.get("currency_code", "")), stake
            )
        return JSONResponse(
            {
                "code": played.answer.code,
                "reason": played.answer.reason,
                "symbols": played.symbols,
                "win_minor_units": played.win_minor_units,
                "balance_minor_units": played.balance_minor_units,
                "currency_code": played.currency_code,
            }
        )

    async def _control(self, request: Request) -> Response:
        """Makes one call as it is told, and returns what Croupier answered."""
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return PlainTextResponse("send Authorization: Bearer with the control key\n", 401)
        body = await _json(request)
        method = _SERVICE.methods_by_name.get(str(body.get("method", "")))
        if method is None:
            return PlainTextResponse("no such method\n", status_code=400)
        try:
            message = ParseDict(body.get("request", {}), GetMessageClass(method.input_type)())
        except ParseError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        with self._tracer.start_as_current_span(
            f"play {method.name}",
            context=received_context(request.headers),
            kind=SpanKind.SERVER,
        ):
            api_key = str(body.get("api_key", ""))
            return _answered(await self._wallet.call(method.name, message, api_key=api_key))


def _answered(answer: Answer) -> Response:
    response = answer.response
    return JSONResponse(
        {
            "code": answer.code,
            "reason": answer.reason,
            "message": answer.message,
            "metadata": dict(answer.metadata),
            "replayed": answer.replayed,
            "tries": answer.tries,
            "trace_id": answer.trace_id,
            "response": None if response is None else MessageToDict(response),
        }
    )


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            return {}
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
