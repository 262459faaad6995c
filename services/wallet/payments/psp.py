"""What a payment provider is to us. Each adapter implements it for one of them."""

from collections.abc import Mapping
from typing import Protocol

from services.wallet.payments.domain import Checkout, Payment, Report


class PspFaultError(Exception):
    """A PSP answered what its documentation rules out; somebody must look.

    It repeats nothing of the answer, which is not ours to log.

    Attributes:
        reason: What is wrong with the answer, in a word.
    """

    def __init__(self, psp: str, question: str, *, reason: str) -> None:
        """Names the PSP and what it was asked."""
        super().__init__(f"{psp}: {question}: {reason}")
        self.reason = reason


class Psp(Protocol):
    """A payment provider.

    Each call to it has a deadline, and is refused inside a transaction.
    """

    name: str
    """As in the path of its webhook."""

    async def create_checkout(self, payment: Payment) -> Checkout:
        """Asks for a place where the player pays. The same payment gets the same checkout.

        Raises:
            UnavailableError: The PSP does not answer, or not in time.
            PspFaultError: It answered something else.
        """

    async def find_report(self, payment: Payment) -> Report | None:
        """Asks what became of a checkout; None while it is open.

        Raises:
            UnavailableError: The PSP does not answer, or not in time.
            PspFaultError: It answered something else, such as that it knows no such checkout.
        """

    def read_webhook(self, body: bytes, metadata: Mapping[str, str | bytes]) -> Report | None:
        """Verifies a webhook over its raw bytes and reads it; None if it is of no interest.

        Raises:
            WebhookRefusedError: The signature does not fit, or is too old.
            WebhookMalformedError: The signature fits, and the PSP documents something else.
        """

    async def close(self) -> None:
        """Closes connections."""
