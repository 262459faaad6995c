"""The adapter for the sandbox PSP, which moves no real money and speaks like a real one."""

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog

from services.kit.clock import Clock
from services.kit.errors import UnavailableError
from services.kit.money import Money
from services.wallet.payments.domain import Checkout, Payment, PaymentId, Report
from services.wallet.payments.errors import WebhookRefusedError

_log = structlog.get_logger()

_TIMEOUT_S = 4.0
_CONNECTIONS_MAX = 20
_TOLERANCE = timedelta(minutes=5)
_SIGNATURES_MAX = 5
_CREATED = 201
_SERVER_ERROR = 500
_TOO_MANY = 429


class PspFaultError(Exception):
    """The PSP answered what its documentation rules out; somebody must look."""


class SandboxPsp:
    """Talks to the sandbox PSP over HTTPS."""

    name = "sandbox"

    def __init__(
        self, *, url: str, authority: Path, api_key: str, webhook_secret: str, clock: Clock
    ) -> None:
        """Opens the client; it connects when first used.

        Args:
            url: Base URL of the PSP.
            authority: Certificates that its own must descend from, PEM.
            api_key: Proves us to the PSP.
            webhook_secret: Proves the PSP to us.
            clock: For the age of signatures.
        """
        self._secret = webhook_secret.encode()
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX),
            verify=ssl.create_default_context(cafile=str(authority)),
            trust_env=False,
        )

    async def create_checkout(self, payment: Payment) -> Checkout:
        """Asks for a checkout; the payment's id makes a repeat safe."""
        asked: dict[str, Any] = {
            "reference": payment.payment_id,
            "amount_minor_units": payment.amount.minor_units,
            "currency": payment.amount.currency_code,
        }
        if payment.return_url:
            asked["return_url"] = payment.return_url
        made = await self._ask(
            "POST",
            "/v1/checkouts",
            json=asked,
            headers={"idempotency-key": payment.payment_id},
        )
        return Checkout(checkout_id=made["id"], url=made["checkout_url"])

    async def find_report(self, payment: Payment) -> Report | None:
        """Asks what became of a checkout."""
        found = await self._ask("GET", f"/v1/checkouts/{payment.checkout_id}")
        if found["state"] == "open":
            return None
        return _report(
            {**found, "checkout_id": found["id"]}, succeeded=found["state"] == "succeeded"
        )

    def read_webhook(self, body: bytes, metadata: Mapping[str, str | bytes]) -> Report | None:
        """Verifies `Sandbox-Signature: t=…,v1=…` over the raw body, then reads it."""
        header = metadata.get("sandbox-signature", "")
        if not isinstance(header, str) or not self._is_signed(body, header):
            raise WebhookRefusedError(self.name)
        event = json.loads(body)
        kind = event.get("type")
        if kind not in ("payment.succeeded", "payment.failed"):
            return None
        return _report(event["data"], succeeded=kind == "payment.succeeded")

    async def close(self) -> None:
        """Closes connections."""
        await self._http.aclose()

    def _is_signed(self, body: bytes, header: str) -> bool:
        times = [value for name, value in _pairs(header) if name == "t"]
        if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()):
            return False
        age = self._clock.now().timestamp() - int(times[0])
        if abs(age) > _TOLERANCE.total_seconds():
            return False
        message = times[0].encode() + b"." + body
        expected = hmac.new(self._secret, message, hashlib.sha256).hexdigest()
        # More than one while the secret is being changed; each is compared in constant time.
        given = [value for name, value in _pairs(header) if name == "v1"][:_SIGNATURES_MAX]
        return any([hmac.compare_digest(expected, value) for value in given])  # noqa: C419 (all of them)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            _log.warning("psp does not answer", psp=self.name, error=repr(error))
            raise UnavailableError(dependency=f"psp {self.name}") from None
        if response.status_code >= _SERVER_ERROR or response.status_code == _TOO_MANY:
            raise UnavailableError(dependency=f"psp {self.name}")
        if not response.is_success:
            raise PspFaultError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        answer: dict[str, Any] = response.json()
        return answer


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if value.isascii():
            yield name, value


def _report(told: Mapping[str, Any], *, succeeded: bool) -> Report:
    return Report(
        payment_id=PaymentId(str(told["reference"])),
        checkout_id=str(told["checkout_id"]),
        amount=Money(
            currency_code=str(told["currency"]), minor_units=int(told["amount_minor_units"])
        ),
        succeeded=succeeded,
        authorization_number=str(told["authorization_number"]),
        failure=str(told["failure"]),
    )
