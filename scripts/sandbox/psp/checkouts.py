"""What a checkout is, and what a card does to it. Pure: no clock, no store."""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

State = Literal["open", "succeeded", "failed"]

LIFE = timedelta(minutes=30)
_AMOUNT_MAX = 10**15
_TEXT_MAX = 128
_URL_MAX = 500
_CURRENCY = re.compile(r"[A-Z][A-Z0-9]{2,9}")

# The outcome of each test card; an empty failure is a success. Other cards are not taken.
CARDS = {
    "4242424242424242": "",
    "4000000000000002": "card_declined",
    "4000000000009995": "insufficient_funds",
}


class InvalidRequestError(Exception):
    """The merchant sent something that breaks a rule."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a merchant asks to be paid."""

    reference: str
    amount_minor_units: int
    currency: str
    return_url: str

    @classmethod
    def parse(cls, body: Any) -> "Order":
        """Reads the merchant's JSON.

        Raises:
            InvalidRequestError: It breaks a rule.
        """
        if not isinstance(body, dict):
            raise InvalidRequestError("the body must be a JSON object")
        unknown = body.keys() - {"reference", "amount_minor_units", "currency", "return_url"}
        if unknown:
            raise InvalidRequestError(f"unknown fields: {', '.join(sorted(map(str, unknown)))}")
        reference = body.get("reference")
        amount = body.get("amount_minor_units")
        currency = body.get("currency")
        return_url = body.get("return_url", "")
        if not isinstance(reference, str) or not 0 < len(reference) <= _TEXT_MAX:
            raise InvalidRequestError("reference must have 1 to 128 characters")
        if type(amount) is not int or not 0 < amount <= _AMOUNT_MAX:
            raise InvalidRequestError("amount_minor_units must be an integer of 1 to 10^15")
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            raise InvalidRequestError("currency must be a code such as EUR")
        if not isinstance(return_url, str) or not _is_return_url(return_url):
            raise InvalidRequestError("return_url must be an https URL of at most 500 characters")
        return cls(reference, amount, currency, return_url)

    @property
    def fingerprint(self) -> str:
        """The same for the same content: tells a repeat from a reused key."""
        content = [self.reference, self.amount_minor_units, self.currency, self.return_url]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A place for one payer to pay one order."""

    id: str
    order: Order
    state: State
    authorization_number: str
    failure: str
    create_time: datetime
    expire_time: datetime

    @classmethod
    def opened(cls, order: Order, now: datetime) -> "Checkout":
        """Opens a checkout. Its id is the secret that admits the payer."""
        return cls(
            id=f"co_{secrets.token_hex(16)}",
            order=order,
            state="open",
            authorization_number="",
            failure="",
            create_time=now,
            expire_time=now + LIFE,
        )

    def paid_with(self, card: str) -> "Checkout":
        """Returns what becomes of an open checkout when this test card pays."""
        failure = CARDS[card]
        if failure:
            return replace(self, state="failed", failure=failure)
        number = secrets.token_hex(4).upper()
        return replace(self, state="succeeded", authorization_number=number)

    def expired(self) -> "Checkout":
        """Returns what becomes of an open checkout when its time is over."""
        return replace(self, state="failed", failure="checkout_expired")

    def event(self, now: datetime) -> tuple[str, bytes]:
        """Returns the id and the bytes of the event that tells the merchant how it ended."""
        event_id = f"evt_{secrets.token_hex(16)}"
        event = {
            "id": event_id,
            "type": f"payment.{self.state}",
            "create_time": timestamp(now),
            "data": {
                "checkout_id": self.id,
                "reference": self.order.reference,
                "amount_minor_units": self.order.amount_minor_units,
                "currency": self.order.currency,
                "authorization_number": self.authorization_number,
                "failure": self.failure,
            },
        }
        return event_id, json.dumps(event, separators=(",", ":")).encode()


def timestamp(moment: datetime) -> str:
    """Renders a time as RFC 3339 in UTC, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _is_return_url(url: str) -> bool:
    return url == "" or (url.startswith("https://") and len(url) <= _URL_MAX)
