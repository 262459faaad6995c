"""The use cases of payments: reserve, commit, call, then post or void.

No step holds a transaction while it calls a PSP or the ledger, so a process may end between any
two of them. The repeat of the call or of the webhook goes on from there, and in any case the
reconciler does:

    What is durable                  How it goes on
    -------------------------------  ----------------------------------------------------------
    1 the payment's row              It is announced, and the PSP is asked for its checkout. An
                                     hour after it began it expires instead.
    2 its announcement, in the       As 1. Both go by the payment's id, so what there is already
      ledger                         is found again, also a checkout whose answer was lost. After
    3 its checkout, at the PSP       that hour the ledger has forgotten the announcement.
    4 the checkout's id, in the row  The PSP is asked, with growing pauses, until it tells how the
                                     checkout ended: nothing else ends such a payment.
    5 its booking, in the ledger     The report comes or is asked for again, and is booked again:
                                     the ledger answers the same (`booking.py`).
    6 its release, in the ledger     As 5. A success that comes after it is deposited by itself.
    7 SUCCEEDED or FAILED, in the    Nothing is left to do.
      row

A success is booked in each of these, also in 1 to 3 and after 7: FAILED says what we know, and a
PSP that reports success later has the player's money all the same.
"""

from collections.abc import Mapping

import structlog

from services.kit.clock import Clock
from services.kit.database import Database, retry_on_race
from services.kit.errors import CurrencyUnknownError
from services.kit.ids import is_canonical_uuid, new_id
from services.kit.money import CURRENCIES, Money
from services.wallet.domain import unpack_id
from services.wallet.payments import store
from services.wallet.payments.booking import Booking
from services.wallet.payments.domain import (
    Checkout,
    Payment,
    PaymentId,
    PaymentState,
    Report,
    Step,
    ask_pause,
    fits,
    next_step,
)
from services.wallet.payments.errors import (
    PspUnknownError,
    RequestIdReusedError,
    WebhookMismatchError,
)
from services.wallet.payments.psp import Psp
from services.wallet.refusals import RefusedError
from services.wallet.service import WalletService

_log = structlog.get_logger()


class PaymentService:
    """Moves money between PSPs and the ledger."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: WalletService,
        psps: Mapping[str, Psp],
        default_psp: str,
        clock: Clock,
    ) -> None:
        """Takes what it works with.

        Args:
            database: The store of payments.
            ledger: Where money is booked.
            psps: The configured PSPs by name.
            default_psp: The one that new deposits go to.
            clock: Stamps payments.
        """
        self._database = database
        self._booking = Booking(ledger)
        self._psps = psps
        self._default_psp = default_psp
        self._clock = clock

    async def create_deposit(
        self, *, player_id: str, request_id: str, amount: Money, return_url: str
    ) -> Payment:
        """Announces a deposit to the ledger and asks the PSP for a checkout.

        Raises:
            CurrencyUnknownError: The registry does not have the currency.
            RequestIdReusedError: The id was used with other content.
            RefusedError: The ledger refuses the deposit, before anybody's card is charged.
            UnavailableError: The PSP or the ledger does not answer; a repeat goes on from here.
            PspFaultError: The PSP answered something else.
        """
        if amount.currency_code not in CURRENCIES:
            raise CurrencyUnknownError(amount.currency_code)
        payment = await self._find_or_add(player_id, request_id, amount, return_url)
        if payment.checkout_id or payment.state is PaymentState.SUCCEEDED:
            return payment
        if payment.state is PaymentState.FAILED:
            announced = await self._booking.find_announced(payment)
            if announced is not None and not announced.outcome.success:
                raise RefusedError(announced)
            return payment
        return await self._open_checkout(payment)

    async def get_payment(self, payment_id: PaymentId, *, player_id: str) -> Payment:
        """Gets a player's payment.

        Raises:
            PaymentNotFoundError: The player has none of this id.
        """
        async with self._database.snapshot() as connection:
            return await store.get_of_player(connection, payment_id, player_id=player_id)

    async def handle_webhook(
        self, *, psp: str, body: bytes, metadata: Mapping[str, str | bytes]
    ) -> None:
        """Takes a PSP's signed report, and returns once the ledger has committed its effect.

        Raises:
            PspUnknownError: No such PSP is configured.
            WebhookRefusedError: The signature does not fit the bytes.
            WebhookMalformedError: The signature fits, and the bytes are no report.
            WebhookMismatchError: The report fits no payment, or not its amount.
            RefusedError: The ledger will not have the money; somebody must look.
        """
        report = self._psp(psp).read_webhook(body, metadata)
        if report is None:
            return
        payment = None
        if is_canonical_uuid(report.payment_id):
            async with self._database.snapshot() as connection:
                payment = await store.find(connection, report.payment_id)
        if payment is None or payment.psp != psp:
            _log.error("report of an unknown payment", psp=psp, payment_id=report.payment_id)
            raise WebhookMismatchError(report.payment_id)
        await self._apply(payment, report)

    async def follow_up(self, payment: Payment) -> None:
        """Brings a pending payment as far as its PSP and its age allow.

        Raises:
            PspUnknownError: Its PSP is not configured any more.
            UnavailableError: The PSP or the ledger does not answer.
            PspFaultError: The PSP answered something else.
            WebhookMismatchError: It answered for another payment, or another amount.
            RefusedError: The ledger refuses it.
        """
        if not payment.checkout_id:
            await self._open_checkout(payment)
            return
        report = await self._psp(payment.psp).find_report(payment)
        if report is not None:
            await self._apply(payment, report)

    def _psp(self, name: str) -> Psp:
        psp = self._psps.get(name)
        if psp is None:
            raise PspUnknownError(name)
        return psp

    async def _open_checkout(self, payment: Payment) -> Payment:
        """Announces a payment and makes its checkout, or finds what an earlier try made."""
        if self._clock.now() >= payment.hold_expire_time:
            return await self._expire(payment)
        answer = await self._booking.announce(payment)
        if not answer.result.outcome.success:
            await self._fail(payment, failure=answer.result.outcome.name.lower())
            raise RefusedError(answer.result)
        hold_id = answer.result.hold_id
        checkout = await self._psp(payment.psp).create_checkout(payment)
        return await self._note_checkout(
            payment, checkout, hold_id=unpack_id(hold_id) if hold_id is not None else ""
        )

    async def _apply(self, payment: Payment, report: Report) -> None:
        if not fits(payment, report):
            _log.error(
                "report does not fit its payment", psp=payment.psp, payment_id=payment.payment_id
            )
            raise WebhookMismatchError(payment.payment_id)
        step = next_step(payment, report)
        if step is Step.BOOK:
            number = report.authorization_number
            await self._booking.book(payment, authorization_number=number)
            await self._succeed(payment, authorization_number=number)
        elif step is Step.FAIL:
            if await self._booking.release(payment):
                await self._fail(payment, failure=report.failure)
                return
            # A success has come before and is not noted yet: its own report will do so.
            _log.warning(
                "failure of a payment that is booked",
                psp=payment.psp,
                payment_id=payment.payment_id,
            )

    # Each of these is one transaction, so that it can be repeated when it loses a race.

    @retry_on_race
    async def _find_or_add(
        self, player_id: str, request_id: str, amount: Money, return_url: str
    ) -> Payment:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            known = await store.find_by_request(
                connection, player_id=player_id, request_id=request_id
            )
            if known is not None:
                if not known.is_same_request(amount=amount, return_url=return_url):
                    raise RequestIdReusedError(request_id)
                return known
            payment = Payment(
                payment_id=PaymentId(new_id()),
                player_id=player_id,
                request_id=request_id,
                psp=self._default_psp,
                amount=amount,
                return_url=return_url,
                state=PaymentState.PENDING,
                hold_id="",
                checkout_id="",
                checkout_url="",
                authorization_number="",
                failure="",
                create_time=now,
                update_time=now,
                asks=0,
                ask_time=now + ask_pause(0),
            )
            await store.add(connection, payment)
            return payment

    @retry_on_race
    async def _note_checkout(
        self, payment: Payment, checkout: Checkout, *, hold_id: str
    ) -> Payment:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.set_checkout(
                connection,
                payment.payment_id,
                hold_id=hold_id,
                checkout=checkout,
                ask_time=now + ask_pause(0),
                now=now,
            )
            return await store.get_of_player(
                connection, payment.payment_id, player_id=payment.player_id
            )

    @retry_on_race
    async def _succeed(self, payment: Payment, *, authorization_number: str) -> None:
        async with self._database.transaction() as connection:
            await store.succeed(
                connection,
                payment.payment_id,
                authorization_number=authorization_number,
                now=self._clock.now(),
            )

    @retry_on_race
    async def _fail(self, payment: Payment, *, failure: str) -> None:
        async with self._database.transaction() as connection:
            await store.fail(connection, payment.payment_id, failure=failure, now=self._clock.now())

    @retry_on_race
    async def _expire(self, payment: Payment) -> Payment:
        async with self._database.transaction() as connection:
            await store.expire(connection, payment.payment_id, now=self._clock.now())
            return await store.get_of_player(
                connection, payment.payment_id, player_id=payment.player_id
            )
