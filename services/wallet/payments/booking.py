"""What payments ask of the ledger, so that each payment is booked at most once.

Every step has a key made from the payment's id, and the ledger never forgets a key. A deposit is
announced; the announcement is captured; what cannot be captured any more is deposited by itself.
Each step comes only after the ledger has refused the one before it for ever. So whoever repeats
them, whatever the payment's row says by then, meets the same answers and the same one booking.
"""

import structlog

from services.kit.clock import to_micros
from services.wallet.domain import (
    Answer,
    Capture,
    Deposit,
    HoldDeposit,
    HoldId,
    IfRefused,
    Key,
    Kind,
    Micros,
    Outcome,
    PlayerId,
    Release,
    Result,
    pack_id,
)
from services.wallet.errors import KeyReusedError, TransferNotFoundError
from services.wallet.payments.domain import Payment
from services.wallet.refusals import RefusedError
from services.wallet.service import WalletService
from services.wallet.sources import TENANT, psp_source

_log = structlog.get_logger()

_GONE = frozenset({Outcome.HOLD_EXPIRED, Outcome.HOLD_ALREADY_VOIDED, Outcome.HOLD_NOT_FOUND})


class Booking:
    """Announces, books and takes back payments."""

    def __init__(self, ledger: WalletService) -> None:
        """Takes the ledger."""
        self._ledger = ledger

    async def announce(self, payment: Payment) -> Answer:
        """Announces a deposit, so that limits and restrictions are told before a card is charged.

        Raises:
            ServiceError: The ledger does not answer, as in `WalletService.submit`.
        """
        return await self._ledger.submit(
            HoldDeposit(
                key=_key(payment),
                player_id=_player(payment),
                currency_code=payment.amount.currency_code,
                amount=payment.amount.minor_units,
                expire_time=Micros(to_micros(payment.hold_expire_time)),
            )
        )

    async def find_announced(self, payment: Payment) -> Result | None:
        """Finds what became of the announcement; None if there was none.

        Raises:
            UnavailableError: The ledger does not serve.
        """
        try:
            answer = await self._ledger.get_transfer(_key(payment), kind=Kind.HOLD_DEPOSIT)
        except TransferNotFoundError:
            return None
        return answer.result

    async def book(self, payment: Payment, *, authorization_number: str) -> None:
        """Books money that the PSP has taken. It returns once the ledger has committed.

        Raises:
            RefusedError: The ledger will not have it; somebody must look.
            ServiceError: The ledger does not answer, as in `WalletService.submit`.
        """
        hold_id = _hold_id(payment)
        if hold_id is None:
            # It was perhaps announced, by a call that ended before it could note so. Announced
            # again, it is certain: what is deposited below can never be captured as well.
            hold_id = (await self.announce(payment)).result.hold_id
        if hold_id is not None:
            captured = await self._ledger.submit(
                Capture(key=_key(payment, "capture"), player_id=_player(payment), hold_id=hold_id)
            )
            if captured.result.outcome.success:
                return
            if captured.result.outcome not in _GONE:
                raise RefusedError(captured.result)
        deposited = await self._deposit(payment, authorization_number)
        if not deposited.result.outcome.success:
            raise RefusedError(deposited.result)

    async def release(self, payment: Payment) -> bool:
        """Takes an announcement back; false if it cannot, because the money is booked.

        Raises:
            ServiceError: The ledger does not answer, as in `WalletService.submit`.
        """
        hold_id = _hold_id(payment)
        if hold_id is None:
            announced = await self.find_announced(payment)
            hold_id = None if announced is None else announced.hold_id
        if hold_id is None:
            return True
        answer = await self._ledger.submit(
            Release(key=_key(payment, "release"), player_id=_player(payment), hold_id=hold_id)
        )
        return answer.result.outcome is not Outcome.HOLD_ALREADY_POSTED

    async def _deposit(self, payment: Payment, authorization_number: str) -> Answer:
        key = _key(payment, "deposit")
        try:
            return await self._ledger.submit(
                Deposit(
                    key=key,
                    player_id=_player(payment),
                    currency_code=payment.amount.currency_code,
                    amount=payment.amount.minor_units,
                    if_refused=IfRefused.LOCK,
                    authorization_number=authorization_number,
                )
            )
        except KeyReusedError as error:
            # All else comes from the payment: the PSP told another number the first time.
            _log.warning(
                "booked before by another report",
                payment_id=payment.payment_id,
                fields=error.metadata["fields"],
            )
            return await self._ledger.get_transfer(key, kind=Kind.DEPOSIT)


def _hold_id(payment: Payment) -> HoldId | None:
    return HoldId(pack_id(payment.hold_id)) if payment.hold_id else None


def _key(payment: Payment, step: str = "") -> Key:
    # One source a PSP: the house's account of it is what that PSP owes, and is reconciled with it.
    name = f"{payment.payment_id}:{step}" if step else payment.payment_id
    return Key(TENANT, psp_source(payment.psp), name)


def _player(payment: Payment) -> PlayerId:
    return PlayerId(pack_id(payment.player_id))
