"""Deposits, withdrawals and the holds between asking for money and having it."""

from services.wallet.domain import limits
from services.wallet.domain.book import Book, Draft, Leg, Refused
from services.wallet.domain.operations import Capture, Deposit, HoldDeposit, Release, Withdraw
from services.wallet.domain.result import Flag
from services.wallet.domain.reuse import keep_words
from services.wallet.domain.rows import NOT_STORED, Account, Hold, Wallet
from services.wallet.domain.values import (
    HoldDirection,
    HoldId,
    HoldState,
    HouseKind,
    IfRefused,
    LimitKind,
    Outcome,
    Restriction,
    derive_id,
    derived_seq,
)

_RESOLVED = {
    HoldState.POSTED: Outcome.HOLD_ALREADY_POSTED,
    HoldState.VOIDED: Outcome.HOLD_ALREADY_VOIDED,
    HoldState.EXPIRED: Outcome.HOLD_EXPIRED,
}


def plan_deposit(book: Book, draft: Draft, operation: Deposit) -> None:
    """Books received money to cash, or to the locked bucket if it may not be played with."""
    wallet = _begin(book, draft, operation)
    if operation.authorization_number:
        draft.detail["authorization_number"] = operation.authorization_number
    lock = operation.if_refused is IfRefused.LOCK
    if lock:
        draft.flags |= Flag.LOCK_IF_REFUSED
    counted = {LimitKind.DEPOSIT: operation.amount}
    place = wallet.cash
    try:
        _check_deposit(book, wallet, operation, counted)
    except Refused:
        if not lock:
            raise
        # Money that waits for its refund is no deposit, so no limit counts it.
        place, counted = wallet.locked, {}
        draft.outcome = Outcome.APPLIED_LOCKED
    psp = book.house(HouseKind.PSP, operation.key.source, operation.currency_code)
    book.post(draft, (Leg(psp, debit=operation.amount), Leg(place, credit=operation.amount)))
    limits.count(book, operation.player_id, operation.currency_code, counted)


def plan_hold_deposit(book: Book, draft: Draft, operation: HoldDeposit) -> None:
    """Announces money. It counts as deposited from now on, so that no second try slips through."""
    wallet = _begin(book, draft, operation)
    counted = {LimitKind.DEPOSIT: operation.amount}
    _check_deposit(book, wallet, operation, counted)
    psp = book.house(HouseKind.PSP, operation.key.source, operation.currency_code)
    book.post(
        draft,
        (
            Leg(psp, debit_pending=operation.amount),
            Leg(wallet.cash, credit_pending=operation.amount),
        ),
    )
    limits.count(book, operation.player_id, operation.currency_code, counted)
    _make_hold(book, draft, wallet.cash, HoldDirection.IN, operation)
    keep_words(draft)


def plan_withdraw(book: Book, draft: Draft, operation: Withdraw) -> None:
    """Sets cash aside."""
    wallet = _begin(book, draft, operation)
    if wallet.player.restricted(Restriction.NO_WITHDRAW):
        raise Refused(Outcome.PLAYER_RESTRICTED)
    if wallet.cash.available < operation.amount:
        raise Refused(Outcome.INSUFFICIENT_FUNDS)
    psp = book.house(HouseKind.PSP, operation.key.source, operation.currency_code)
    book.post(
        draft,
        (
            Leg(wallet.cash, debit_pending=operation.amount),
            Leg(psp, credit_pending=operation.amount),
        ),
    )
    _make_hold(book, draft, wallet.cash, HoldDirection.OUT, operation)


def plan_capture(book: Book, draft: Draft, operation: Capture) -> None:
    """Posts a hold and frees the rest of it."""
    draft.amount = operation.amount or 0
    hold, wallet = _pending_hold(book, draft, operation)
    if operation.amount is not None and operation.amount > hold.amount:
        raise Refused(Outcome.CAPTURE_TOO_LARGE)
    draft.amount = amount = hold.amount if operation.amount is None else operation.amount
    psp = book.house(HouseKind.PSP, hold.source, hold.currency_code)
    if hold.direction is HoldDirection.OUT:
        legs = [
            Leg(wallet.cash, debit=amount, debit_pending=-hold.amount),
            Leg(psp, credit=amount, credit_pending=-hold.amount),
        ]
    elif wallet.player.restricted(Restriction.NO_DEPOSIT):
        draft.outcome = Outcome.APPLIED_LOCKED
        legs = [
            Leg(psp, debit=amount, debit_pending=-hold.amount),
            Leg(wallet.cash, credit_pending=-hold.amount),
            Leg(wallet.locked, credit=amount),
        ]
    else:
        legs = [
            Leg(psp, debit=amount, debit_pending=-hold.amount),
            Leg(wallet.cash, credit=amount, credit_pending=-hold.amount),
        ]
    book.post(draft, legs)
    _resolve(book, hold, HoldState.POSTED, posted=amount)
    keep_words(draft)


def plan_release(book: Book, draft: Draft, operation: Release) -> None:
    """Frees a hold."""
    hold, wallet = _pending_hold(book, draft, operation)
    free_hold(book, draft, hold, wallet, HoldState.VOIDED)


def free_hold(book: Book, draft: Draft, hold: Hold, wallet: Wallet, state: HoldState) -> None:
    """Frees all of a pending hold, because it was released or has expired."""
    draft.amount = hold.amount
    psp = book.house(HouseKind.PSP, hold.source, hold.currency_code)
    if hold.direction is HoldDirection.OUT:
        legs = (
            Leg(wallet.cash, debit_pending=-hold.amount),
            Leg(psp, credit_pending=-hold.amount),
        )
    else:
        legs = (
            Leg(psp, debit_pending=-hold.amount),
            Leg(wallet.cash, credit_pending=-hold.amount),
        )
    book.post(draft, legs)
    _resolve(book, hold, state, posted=0)


def _begin(book: Book, draft: Draft, operation: Deposit | HoldDeposit | Withdraw) -> Wallet:
    draft.currency_code = operation.currency_code
    draft.amount = operation.amount
    _note_actor(draft, operation)
    draft.wallet = wallet = book.wallet(
        operation.player_id, operation.currency_code, operation.key.tenant
    )
    return wallet


def _note_actor(
    draft: Draft, operation: Deposit | HoldDeposit | Withdraw | Capture | Release
) -> None:
    if operation.actor:
        draft.detail["actor"] = operation.actor


def _check_deposit(
    book: Book, wallet: Wallet, operation: Deposit | HoldDeposit, counted: dict[LimitKind, int]
) -> None:
    if wallet.player.restricted(Restriction.NO_DEPOSIT):
        raise Refused(Outcome.PLAYER_RESTRICTED)
    limits.check(book, operation.player_id, operation.currency_code, counted)


def _make_hold(
    book: Book,
    draft: Draft,
    account: Account,
    direction: HoldDirection,
    operation: HoldDeposit | Withdraw,
) -> None:
    made = Hold(
        version=1,
        stored_version=NOT_STORED,
        hold_id=HoldId(derive_id(now=book.now, shard=book.shard, seq=draft.seq)),
        shard=book.shard,
        player_id=operation.player_id,
        account_id=account.account_id,
        source=operation.key.source,
        currency_code=operation.currency_code,
        direction=direction,
        amount=operation.amount,
        posted_amount=0,
        state=HoldState.PENDING,
        expire_time=operation.expire_time if isinstance(operation, HoldDeposit) else None,
        create_time=book.now,
    )
    book.add(book.holds, made.hold_id, made)
    draft.hold_id = made.hold_id


def _pending_hold(book: Book, draft: Draft, operation: Capture | Release) -> tuple[Hold, Wallet]:
    draft.hold_id = operation.hold_id
    _note_actor(draft, operation)
    book.player(operation.player_id, operation.key.tenant)
    hold = book.holds.get(operation.hold_id)
    if hold is None:
        raise Refused(Outcome.HOLD_NOT_FOUND)
    if hold.player_id != operation.player_id:
        raise Refused(Outcome.REFERENCE_MISMATCH)
    draft.currency_code = hold.currency_code
    draft.wallet = wallet = book.wallet(hold.player_id, hold.currency_code, operation.key.tenant)
    if hold.state is not HoldState.PENDING:
        raise Refused(_RESOLVED[hold.state])
    return hold, wallet


def _resolve(book: Book, hold: Hold, state: HoldState, *, posted: int) -> None:
    book.touch(hold)
    hold.state = state
    hold.posted_amount = posted
    freed = hold.amount - posted
    if hold.direction is HoldDirection.IN and freed:
        limits.take_back(
            book,
            hold.player_id,
            hold.currency_code,
            {LimitKind.DEPOSIT: freed},
            since=derived_seq(hold.hold_id),
        )
