"""The use cases of payments: reserve, commit, call, then post or void.

No step holds a transaction while it calls a PSP or the ledger. A crash between two steps is
repaired by the repeat of the call or of the webhook, and by the reconciler.
"""

from collections.abc import Mapping
from datetime import timedelta

import structlog

from services.kit.clock import Clock, to_micros
from services.kit.database import Database, retry_on_race
from services.kit.errors import CurrencyUnknownError, ServiceError
from services.kit.ids import is_canonical_uuid, new_id
from services.kit.money import CURRENCIES, Money
from services.wallet.domain import (
    Answer,
    Capture,
    Deposit,
    HoldDeposit,
    HoldId,
    IfRefused,
    Key,
    Micros,
    Operation,
    Outcome,
    PlayerId,
    Release,
    pack_id,
    unpack_id,
)
from services.wallet.payments import store
from services.wallet.payments.domain import (
    Payment,
    PaymentId,
    PaymentState,
    Report,
    Step,
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
from services.wallet.sources import TENANT, psp_source

_log = structlog.get_logger()

_RECONCILE_AFTER = timedelta(minutes=2)
_RECONCILED_MAX = 100


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
        self._ledger = ledger
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
        """
        if amount.currency_code not in CURRENCIES:
            raise CurrencyUnknownError(amount.currency_code)
        payment = await self._find_or_add(player_id, request_id, amount, return_url)
        if payment.checkout_id or payment.state is PaymentState.SUCCEEDED:
            return payment
        answer = await self._ledger.submit(
            HoldDeposit(
                key=_key(payment),
                player_id=_player(payment),
                currency_code=amount.currency_code,
                amount=amount.minor_units,
                expire_time=Micros(to_micros(payment.hold_expire_time)),
            )
        )
        if not answer.result.outcome.success:
            await self._fail(payment, failure=answer.result.outcome.name.lower())
            raise RefusedError(answer.result)
        hold_id = answer.result.hold_id
        checkout = await self._psps[payment.psp].create_checkout(payment)
        async with self._database.transaction() as connection:
            await store.set_checkout(
                connection,
                payment.payment_id,
                hold_id=unpack_id(hold_id) if hold_id is not None else "",
                checkout_id=checkout.checkout_id,
                checkout_url=checkout.url,
                now=self._clock.now(),
            )
            return await store.get_of_player(connection, payment.payment_id, player_id=player_id)

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
            WebhookMismatchError: The report fits no payment, or not its amount.
        """
        adapter = self._psps.get(psp)
        if adapter is None:
            raise PspUnknownError(psp)
        report = adapter.read_webhook(body, metadata)
        if report is not None:
            await self._take(psp, report)

    async def reconcile(self) -> None:
        """Asks the PSPs about payments that have been pending for a while, at most 100."""
        async with self._database.snapshot() as connection:
            pending = await store.page_pending(
                connection,
                before=self._clock.now() - _RECONCILE_AFTER,
                limit=_RECONCILED_MAX,
            )
        for payment in pending:
            try:
                report = await self._psps[payment.psp].find_report(payment)
                if report is not None:
                    await self._take(payment.psp, report)
            except (ServiceError, KeyError) as error:
                _log.warning(
                    "payment not reconciled", payment_id=payment.payment_id, error=repr(error)
                )

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
            )
            await store.add(connection, payment)
            return payment

    async def _take(self, psp: str, report: Report) -> None:
        payment = None
        if is_canonical_uuid(report.payment_id):
            async with self._database.snapshot() as connection:
                payment = await store.find(connection, report.payment_id)
        if payment is None or payment.psp != psp or not fits(payment, report):
            _log.error("report fits no payment", psp=psp, payment_id=report.payment_id)
            raise WebhookMismatchError(report.payment_id)
        step = next_step(payment, report)
        if step is Step.BOOK:
            await self._book(payment, report)
        elif step is Step.FAIL:
            await self._release(payment)
            await self._fail(payment, failure=report.failure)

    async def _book(self, payment: Payment, report: Report) -> None:
        """Books money that the PSP has taken: by the announcement, or by itself if that is gone."""
        answer = None
        if payment.hold_id:
            answer = await self._submit(
                Capture(
                    key=_key(payment, "capture"),
                    player_id=_player(payment),
                    hold_id=HoldId(pack_id(payment.hold_id)),
                )
            )
        if answer is None or answer.result.outcome in _HOLD_GONE:
            answer = await self._submit(
                Deposit(
                    key=_key(payment, "deposit"),
                    player_id=_player(payment),
                    currency_code=payment.amount.currency_code,
                    amount=payment.amount.minor_units,
                    if_refused=IfRefused.LOCK,
                    authorization_number=report.authorization_number,
                )
            )
        if not answer.result.outcome.success:
            raise RefusedError(answer.result)
        async with self._database.transaction() as connection:
            await store.settle(
                connection,
                payment.payment_id,
                state=PaymentState.SUCCEEDED,
                authorization_number=report.authorization_number,
                now=self._clock.now(),
            )

    async def _release(self, payment: Payment) -> None:
        if payment.hold_id:
            await self._submit(
                Release(
                    key=_key(payment, "release"),
                    player_id=_player(payment),
                    hold_id=HoldId(pack_id(payment.hold_id)),
                )
            )

    async def _fail(self, payment: Payment, *, failure: str) -> None:
        async with self._database.transaction() as connection:
            await store.settle(
                connection,
                payment.payment_id,
                state=PaymentState.FAILED,
                failure=failure,
                now=self._clock.now(),
            )

    async def _submit(self, operation: Operation) -> Answer:
        return await self._ledger.submit(operation)


_HOLD_GONE = frozenset({Outcome.HOLD_EXPIRED, Outcome.HOLD_ALREADY_VOIDED, Outcome.HOLD_NOT_FOUND})


def _key(payment: Payment, step: str = "") -> Key:
    # One source a PSP: the house's account of it is what that PSP owes, and is reconciled with it.
    name = f"{payment.payment_id}:{step}" if step else payment.payment_id
    return Key(TENANT, psp_source(payment.psp), name)


def _player(payment: Payment) -> PlayerId:
    return PlayerId(pack_id(payment.player_id))
