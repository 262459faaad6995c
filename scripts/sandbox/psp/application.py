"""The HTTP application: the merchant's API and the payer's page."""

import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from scripts.sandbox.psp import page
from scripts.sandbox.psp.checkouts import CARDS, Checkout, InvalidRequestError, Order, timestamp
from scripts.sandbox.psp.store import CheckoutClosedError, KeyReusedError, Store
from scripts.sandbox.psp.webhooks import Webhooks

_BODY_BYTES_MAX = 16_384
_KEY_LENGTH_MAX = 128
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Refusal(Exception):  # noqa: N818 (an answer that leaves early, not an error of ours)
    """An answer with an error word, for the merchant or the payer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Psp:
    """The handlers of all routes."""

    def __init__(
        self, store: Store, webhooks: Webhooks, *, api_key: str, now: Callable[[], datetime]
    ) -> None:
        """Takes what the handlers work on."""
        self._store = store
        self._webhooks = webhooks
        self._authorization = f"Bearer {api_key}".encode()
        self._now = now

    def application(self) -> Starlette:
        """Returns the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/v1/checkouts", self._create, methods=["POST"]),
                Route("/v1/checkouts/{checkout_id}", self._get, methods=["GET"]),
                Route("/checkouts/{checkout_id}:pay", self._pay, methods=["POST"]),
                Route("/checkouts/{checkout_id}", self._page, methods=["GET"]),
            ],
            exception_handlers={_Refusal: _refuse, HTTPException: _refuse_http},
        )

    async def _health(self, request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def _create(self, request: Request) -> Response:
        self._require_merchant(request)
        key = request.headers.get("idempotency-key", "")
        if not 0 < len(key) <= _KEY_LENGTH_MAX:
            raise _Refusal(400, "invalid_request", "Idempotency-Key must have 1 to 128 characters")
        try:
            order = Order.parse(await _json(request))
            checkout = self._store.open_checkout(key, order, self._now())
        except InvalidRequestError as error:
            raise _Refusal(400, "invalid_request", str(error)) from None
        except KeyReusedError:
            message = "this Idempotency-Key was used for another order"
            raise _Refusal(409, "idempotency_key_reused", message) from None
        return JSONResponse(_shown(checkout, request), status_code=201)

    async def _get(self, request: Request) -> Response:
        self._require_merchant(request)
        return JSONResponse(_shown(self._checkout(request), request))

    async def _page(self, request: Request) -> Response:
        checkout = self._checkout(request)
        return HTMLResponse(page.render(checkout), headers=_PAGE_HEADERS)

    async def _pay(self, request: Request) -> Response:
        checkout = self._checkout(request)
        is_form = not request.headers.get("content-type", "").startswith("application/json")
        given = page.card_number(await _body(request)) if is_form else await _json_card(request)
        card = "".join(given.split()).replace("-", "")
        now = self._now()
        if checkout.state != "open" or checkout.expire_time <= now:
            raise _Refusal(409, "checkout_closed", "this checkout has ended")
        if card not in CARDS:
            raise _Refusal(422, "card_invalid", "the sandbox takes only its test cards")
        closed = checkout.paid_with(card)
        try:
            self._store.close_checkout(closed, now)
        except CheckoutClosedError:
            raise _Refusal(409, "checkout_closed", "this checkout has ended") from None
        self._webhooks.wake()
        if is_form:
            return HTMLResponse(page.render(closed), headers=_PAGE_HEADERS)
        return JSONResponse({"id": closed.id, "state": closed.state, "failure": closed.failure})

    def _require_merchant(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise _Refusal(401, "unauthorized", "send Authorization: Bearer with the API key")

    def _checkout(self, request: Request) -> Checkout:
        checkout = self._store.find_checkout(request.path_params["checkout_id"])
        if checkout is None:
            raise _Refusal(404, "not_found", "no such checkout")
        return checkout


def _shown(checkout: Checkout, request: Request) -> dict[str, Any]:
    return {
        "id": checkout.id,
        "state": checkout.state,
        "checkout_url": str(request.base_url.replace(path=f"/checkouts/{checkout.id}")),
        "reference": checkout.order.reference,
        "amount_minor_units": checkout.order.amount_minor_units,
        "currency": checkout.order.currency,
        "authorization_number": checkout.authorization_number,
        "failure": checkout.failure,
        "create_time": timestamp(checkout.create_time),
        "expire_time": timestamp(checkout.expire_time),
    }


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise _Refusal(413, "invalid_request", "the body is too large")
    return body


async def _json(request: Request) -> Any:
    try:
        return json.loads(await _body(request))
    except ValueError:
        raise _Refusal(400, "invalid_request", "the body must be JSON") from None


async def _json_card(request: Request) -> str:
    body = await _json(request)
    card = body.get("card_number") if isinstance(body, dict) else None
    if not isinstance(card, str):
        raise _Refusal(400, "invalid_request", "card_number must be a string")
    return card


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, _Refusal):
        raise error
    shown = {"code": error.code, "message": error.message}
    return JSONResponse({"error": shown}, status_code=error.status)


async def _refuse_http(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, HTTPException):
        raise error
    shown = {"code": "not_found", "message": error.detail}
    return JSONResponse({"error": shown}, status_code=error.status_code)
