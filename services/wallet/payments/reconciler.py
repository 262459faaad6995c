"""Asks PSPs about payments of which they have said nothing for a while.

Whose turn came first is asked about first, and each question puts the next one further off, to a
stated maximum. So none waits for ever behind others, however many of those are stuck.
"""

import structlog

from services.kit.clock import Clock
from services.kit.database import Database, retry_on_race
from services.kit.errors import (
    DeadlineExceededError,
    OverloadedError,
    ServiceError,
    UnavailableError,
)
from services.wallet.payments import store
from services.wallet.payments.domain import Payment, ask_pause
from services.wallet.payments.psp import PspFaultError
from services.wallet.payments.service import PaymentService

_log = structlog.get_logger()

_ASKED_MAX = 100
# So many in a row are no longer faults of single payments: the PSP is away, or the ledger is.
_UNANSWERED_MAX = 5
_UNANSWERED = (UnavailableError, OverloadedError, DeadlineExceededError)


class Reconciler:
    """Follows pending payments up, pass by pass."""

    def __init__(self, *, database: Database, payments: PaymentService, clock: Clock) -> None:
        """Takes what it works with.

        Args:
            database: The store of payments.
            payments: Follows a single payment up.
            clock: Tells whose turn it is.
        """
        self._database = database
        self._payments = payments
        self._clock = clock

    async def reconcile(self) -> None:
        """Makes one pass: at most 100 payments of each PSP, and of one that is away at most 5."""
        async with self._database.snapshot() as connection:
            psps = await store.list_due_psps(connection, now=self._clock.now())
        for psp in psps:
            await self._ask(psp)

    async def _ask(self, psp: str) -> None:
        async with self._database.snapshot() as connection:
            due = await store.page_due(connection, psp, now=self._clock.now(), limit=_ASKED_MAX)
        unanswered = 0
        for payment in due:
            unanswered = 0 if await self._is_answered(payment) else unanswered + 1
            if unanswered == _UNANSWERED_MAX:
                _log.warning("psp is left alone until the next pass", psp=psp)
                return

    async def _is_answered(self, payment: Payment) -> bool:
        """Follows a payment up. Whatever is wrong with it is logged and ends here."""
        try:
            # Before the question: what ends the process is not asked again at once.
            await self._note_ask(payment)
            await self._payments.follow_up(payment)
        except _UNANSWERED as error:
            self._tell(payment, error.reason)
            return False
        except (ServiceError, PspFaultError) as error:
            self._tell(payment, error.reason)
        except Exception as error:  # noqa: BLE001 (a fault of ours must not hinder other payments)
            self._tell(payment, "internal", exc_info=error)
            return False
        return True

    @retry_on_race
    async def _note_ask(self, payment: Payment) -> None:
        asks = payment.asks + 1
        async with self._database.transaction() as connection:
            await store.note_ask(
                connection,
                payment.payment_id,
                asks=asks,
                ask_time=self._clock.now() + ask_pause(asks),
            )

    def _tell(
        self, payment: Payment, reason: str, *, exc_info: BaseException | None = None
    ) -> None:
        _log.warning(
            "payment not reconciled",
            psp=payment.psp,
            payment_id=payment.payment_id,
            reason=reason,
            exc_info=exc_info,
        )
