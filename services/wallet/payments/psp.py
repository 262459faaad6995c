"""What a payment provider is to us. Each adapter implements it for one of them."""

from collections.abc import Mapping
from typing import Protocol

from services.wallet.payments.domain import Checkout, Payment, Report


class Psp(Protocol):
    """A payment provider."""

    name: str
    """As in the path of its webhook."""

    async def create_checkout(self, payment: Payment) -> Checkout:
        """Asks for a place where the player pays. The same payment gets the same checkout.

        Raises:
            UnavailableError: The PSP does not answer.
        """

    async def find_report(self, payment: Payment) -> Report | None:
        """Asks what became of a checkout; None while it is open.

        Raises:
            UnavailableError: The PSP does not answer.
        """

    def read_webhook(self, body: bytes, metadata: Mapping[str, str | bytes]) -> Report | None:
        """Verifies a webhook over its raw bytes and reads it; None if it is of no interest.

        Raises:
            WebhookRefusedError: The signature does not fit, or is too old.
        """

    async def close(self) -> None:
        """Closes connections."""
