"""The adapter for the sandbox PSP, which moves no real money and speaks like a real one."""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.kit.clients import CallInsideTransactionError, remaining_s
from services.kit.clock import Clock
from services.kit.database import inside_transaction
from services.kit.errors import UnavailableError
from services.kit.money import MINOR_UNITS_MAX, Money
from services.wallet.payments.domain import Checkout, Payment, PaymentId, Report
from services.wallet.payments.errors import WebhookMalformedError, WebhookRefusedError
from services.wallet.payments.psp import PspFaultError

_log = structlog.get_logger()

_CONNECTIONS_MAX = 20
_ANSWER_BYTES_MAX = 65_536
_TOLERANCE = timedelta(minutes=5)
_TIME_DIGITS_MAX = 12
_SIGNATURES_MAX = 5
_SERVER_ERROR = 500
_TOO_MANY = 429

# Text of the PSP that is stored and shown: one line, which PostgreSQL can store.
_Text = Annotated[str, Field(max_length=128, pattern=r"^[ -~]*$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
_Amount = Annotated[int, Field(ge=1, le=MINOR_UNITS_MAX)]
_ENDED = frozenset({"payment.succeeded", "payment.failed"})
_Url = Annotated[str, Field(max_length=2_000, pattern=r"^https://[!-~]+$")]


class _Told(BaseModel):
    """What the PSP sends. Types are exact; what else it sends does not matter to us."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class _Order(_Told):
    """What it tells of a checkout, wherever it does."""

    reference: _Name
    amount_minor_units: _Amount
    currency: _Name
    authorization_number: _Text
    failure: _Text

    @property
    def amount(self) -> Money:
        """What the player pays."""
        return Money(currency_code=self.currency, minor_units=self.amount_minor_units)

    def report(self, checkout_id: str, *, succeeded: bool) -> Report:
        """Tells how the checkout ended."""
        return Report(
            payment_id=PaymentId(self.reference),
            checkout_id=checkout_id,
            amount=self.amount,
            succeeded=succeeded,
            authorization_number=self.authorization_number,
            failure=self.failure,
        )


class _Shown(_Order):
    """A checkout, as the API shows it."""

    id: _Name
    state: Literal["open", "succeeded", "failed"]
    checkout_url: _Url

    @model_validator(mode="after")
    def _is_authorized(self) -> Self:
        if self.state == "succeeded" and not self.authorization_number:
            raise ValueError("a success has an authorization number")
        return self


class _Ended(_Order):
    """A checkout that has ended, as a webhook tells it."""

    checkout_id: _Name


class _Event(_Told):
    """A webhook of any kind."""

    type: str


class _EndedEvent(_Told):
    """A webhook of a kind that matters to us."""

    type: Literal["payment.succeeded", "payment.failed"]
    data: _Ended

    @property
    def succeeded(self) -> bool:
        """Whether the money is ours."""
        return self.type == "payment.succeeded"

    @model_validator(mode="after")
    def _is_authorized(self) -> Self:
        if self.succeeded and not self.data.authorization_number:
            raise ValueError("a success has an authorization number")
        return self


class SandboxPsp:
    """Talks to the sandbox PSP over HTTPS."""

    name = "sandbox"

    def __init__(
        self,
        *,
        url: str,
        authority: Path,
        api_key: str,
        webhook_secret: str,
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        """Opens the client; it connects when first used.

        Args:
            url: Base URL of the PSP.
            authority: Certificates that its own must descend from, PEM.
            api_key: Proves us to the PSP.
            webhook_secret: Proves the PSP to us.
            timeout: For a whole call, to the last byte of its answer.
            clock: For the age of signatures.

        Raises:
            ValueError: There is no secret, and everybody could sign.
        """
        if not webhook_secret:
            raise ValueError("the secret of the sandbox PSP's webhooks is empty")
        self._secret = webhook_secret.encode()
        self._clock = clock
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}"},
            # Of each step: what a PSP may make of them together is bounded around the call.
            timeout=timeout.total_seconds(),
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
            "create checkout",
            "POST",
            "/v1/checkouts",
            json=asked,
            headers={"idempotency-key": payment.payment_id},
        )
        if made.reference != payment.payment_id or made.amount != payment.amount:
            # The player would be shown, and pay, something else.
            raise PspFaultError(self.name, "create checkout", reason="another_order")
        return Checkout(checkout_id=made.id, url=made.checkout_url)

    async def find_report(self, payment: Payment) -> Report | None:
        """Asks what became of a checkout."""
        found = await self._ask("find report", "GET", f"/v1/checkouts/{payment.checkout_id}")
        if found.state == "open":
            return None
        return found.report(found.id, succeeded=found.state == "succeeded")

    def read_webhook(self, body: bytes, metadata: Mapping[str, str | bytes]) -> Report | None:
        """Verifies `Sandbox-Signature: t=…,v1=…` over the raw body, then reads it."""
        header = metadata.get("sandbox-signature", "")
        if not isinstance(header, str) or not self._is_signed(body, header):
            raise WebhookRefusedError(self.name)
        try:
            if _Event.model_validate_json(body).type not in _ENDED:
                return None
            event = _EndedEvent.model_validate_json(body)
        except ValidationError:
            _log.error("webhook malformed", psp=self.name)
            raise WebhookMalformedError(self.name) from None
        return event.data.report(event.data.checkout_id, succeeded=event.succeeded)

    async def close(self) -> None:
        """Closes connections."""
        await self._http.aclose()

    def _is_signed(self, body: bytes, header: str) -> bool:
        times = [value for name, value in _pairs(header) if name == "t"]
        if len(times) != 1 or not (times[0].isdigit() and len(times[0]) <= _TIME_DIGITS_MAX):
            return False
        age = self._clock.now().timestamp() - int(times[0])
        if abs(age) > _TOLERANCE.total_seconds():
            return False
        message = times[0].encode() + b"." + body
        expected = hmac.new(self._secret, message, hashlib.sha256).hexdigest()
        # More than one while the secret is being changed; each is compared in constant time.
        given = [value for name, value in _pairs(header) if name == "v1"][:_SIGNATURES_MAX]
        return any([hmac.compare_digest(expected, value) for value in given])  # noqa: C419 (all of them)

    async def _ask(self, question: str, method: str, path: str, **options: Any) -> _Shown:
        """Asks for a checkout. Neither the path nor the answer is logged: both hold secrets."""
        if inside_transaction():
            raise CallInsideTransactionError(self.name)
        try:
            async with (
                asyncio.timeout(remaining_s(self._timeout)),
                self._http.stream(method, path, **options) as response,
            ):
                body = await _read(response) if response.is_success else b""
        except (httpx.HTTPError, TimeoutError) as error:
            # By its type alone: the text quotes lines that are no HTTP.
            self._tell_silence(question, type(error).__name__)
            raise UnavailableError(dependency=f"psp {self.name}") from None
        status = response.status_code
        if status >= _SERVER_ERROR or status == _TOO_MANY:
            self._tell_silence(question, f"status_{status}")
            raise UnavailableError(dependency=f"psp {self.name}")
        if not response.is_success:
            raise PspFaultError(self.name, question, reason=f"status_{status}")
        if body is None:
            raise PspFaultError(self.name, question, reason="too_large")
        try:
            return _Shown.model_validate_json(body)
        except ValidationError:
            raise PspFaultError(self.name, question, reason="malformed") from None

    def _tell_silence(self, question: str, reason: str) -> None:
        _log.warning("psp does not answer", psp=self.name, question=question, reason=reason)


async def _read(response: httpx.Response) -> bytes | None:
    """Reads an answer; None if it is larger than any that is documented."""
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _ANSWER_BYTES_MAX:
            return None
    return body


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if value.isascii():
            yield name, value
