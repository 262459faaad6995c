"""The rules of payments: what a report of a PSP does to a payment. No I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import NewType

from services.kit.money import Money

PaymentId = NewType("PaymentId", str)

HOLD_LIFE = timedelta(hours=1)
"""How long the ledger keeps an announced deposit: longer than any checkout is open.

A payment whose checkout is still unknown by then ends as expired.
"""

EXPIRED = "expired"
"""The failure of a payment that ended so."""

ASK_AFTER = timedelta(minutes=2)
"""How long a PSP has to report by itself before it is asked; doubled with each question."""

ASK_PAUSE_MAX = timedelta(hours=1)
"""The longest pause between two questions about one payment."""

_DOUBLINGS_MAX = 16


class PaymentState(IntEnum):
    """How far a payment has come. The numbers are stored and equal those of the contract."""

    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money on its way from a player to the operator.

    Attributes:
        hold_id: The ledger's announcement of it; empty until there is one.
        checkout_id: The PSP's name of it; empty until there is one.
        failure: Why it failed, in the PSP's word or that of the ledger's refusal; or `EXPIRED`.
        asks: How often the PSP was asked about it since it last had news.
        ask_time: When the PSP is to be asked next.
    """

    payment_id: PaymentId
    player_id: str
    request_id: str
    psp: str
    amount: Money
    return_url: str
    state: PaymentState
    hold_id: str
    checkout_id: str
    checkout_url: str
    authorization_number: str
    failure: str
    create_time: datetime
    update_time: datetime
    asks: int
    ask_time: datetime

    @property
    def hold_expire_time(self) -> datetime:
        """When the ledger forgets the announcement; the same for every try."""
        return self.create_time + HOLD_LIFE

    def is_same_request(self, *, amount: Money, return_url: str) -> bool:
        """Tells whether a repeated request id comes with the same content."""
        return self.amount == amount and self.return_url == return_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Where a player pays at the PSP."""

    checkout_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a PSP says became of a checkout.

    Attributes:
        payment_id: The reference that we gave it.
        succeeded: Whether the money is ours.
    """

    payment_id: PaymentId
    checkout_id: str
    amount: Money
    succeeded: bool
    authorization_number: str
    failure: str


class Step(IntEnum):
    """What a report asks for."""

    NOTHING = 0
    BOOK = 1
    FAIL = 2


def next_step(payment: Payment, report: Report) -> Step:
    """Decides what a report does. Reports may be repeated and out of order.

    A success counts even after a failure: the PSP has the player's money, so the player gets it.
    """
    if payment.state is PaymentState.SUCCEEDED:
        return Step.NOTHING
    if report.succeeded:
        return Step.BOOK
    return Step.FAIL if payment.state is PaymentState.PENDING else Step.NOTHING


def fits(payment: Payment, report: Report) -> bool:
    """Tells whether a report is about this payment and this amount."""
    return (
        payment.payment_id == report.payment_id
        and payment.amount == report.amount
        and payment.checkout_id in ("", report.checkout_id)
    )


def ask_pause(asks: int) -> timedelta:
    """Returns how long to wait after so many questions: it doubles, to a stated maximum."""
    return min(ASK_AFTER * (1 << min(asks, _DOUBLINGS_MAX)), ASK_PAUSE_MAX)
