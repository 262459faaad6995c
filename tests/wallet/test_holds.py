"""Deposits, withdrawals and their holds."""

from collections.abc import Callable

import pytest

from services.wallet.domain import (
    Capture,
    HoldId,
    HoldState,
    IfRefused,
    Kind,
    Micros,
    OpenWallet,
    Outcome,
    PlayerId,
    Release,
    Restriction,
    Result,
    Scope,
    SetRestriction,
)
from tests.wallet.passbook import DAY, HOUR, OTHER, PLAYER, START, Passbook


def restrict(book: Passbook, bits: Restriction) -> None:
    book.apply(
        SetRestriction(key=book.key(), player_id=PLAYER, scope=Scope.OPERATOR, restrictions=bits)
    )


def capture(book: Passbook, held: Result, amount: int | None = None) -> Result:
    assert held.hold_id is not None
    return book.apply(
        Capture(key=book.key(), player_id=PLAYER, hold_id=held.hold_id, amount=amount)
    )


def release(book: Passbook, held: Result) -> Result:
    assert held.hold_id is not None
    return book.apply(Release(key=book.key(), player_id=PLAYER, hold_id=held.hold_id))


def pending(book: Passbook) -> tuple[int, int]:
    cash = book.wallet().cash
    return cash.debits_pending, cash.credits_pending


def test_a_withdrawal_is_set_aside_and_then_paid() -> None:
    book = Passbook()
    book.give(100)
    held = book.apply(book.withdraw(70))
    assert (held.outcome, book.cash, pending(book)) == (Outcome.APPLIED, 30, (70, 0))
    [moved] = held.moved
    assert (moved.posted, moved.pending_out) == (0, 70)
    assert capture(book, held).outcome is Outcome.APPLIED
    assert (book.cash, pending(book), book.house()) == (30, (0, 0), {"psp": -30})


def test_a_released_withdrawal_is_the_players_again() -> None:
    book = Passbook()
    book.give(100)
    held = book.apply(book.withdraw(70))
    assert release(book, held).outcome is Outcome.APPLIED
    assert (book.cash, pending(book), book.house()) == (100, (0, 0), {"psp": -100})


def test_a_partial_capture_frees_the_rest() -> None:
    book = Passbook()
    book.give(100)
    held = book.apply(book.withdraw(70))
    assert capture(book, held, 50).outcome is Outcome.APPLIED
    assert (book.cash, pending(book)) == (50, (0, 0))


def test_a_capture_beyond_its_hold_is_refused() -> None:
    book = Passbook()
    book.give(100)
    held = book.apply(book.withdraw(70))
    assert capture(book, held, 71).outcome is Outcome.CAPTURE_TOO_LARGE
    assert capture(book, held, 70).outcome is Outcome.APPLIED


def test_a_withdrawal_beyond_the_cash_is_refused() -> None:
    book = Passbook()
    book.give(100)
    assert book.apply(book.withdraw(101)).outcome is Outcome.INSUFFICIENT_FUNDS
    book.apply(book.withdraw(60))
    assert book.apply(book.withdraw(41)).outcome is Outcome.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("first", ["capture", "release", "expire"])
@pytest.mark.parametrize("second", [capture, release])
def test_a_hold_is_resolved_once(first: str, second: Callable[[Passbook, Result], Result]) -> None:
    book = Passbook()
    held = book.apply(book.hold_deposit(70, expire_time=Micros(START + DAY)))
    if first == "capture":
        capture(book, held)
    elif first == "release":
        release(book, held)
    else:
        book.now = Micros(START + DAY)
    expected = {
        "capture": Outcome.HOLD_ALREADY_POSTED,
        "release": Outcome.HOLD_ALREADY_VOIDED,
        "expire": Outcome.HOLD_EXPIRED,
    }[first]
    cash = book.cash
    assert second(book, held).outcome is expected
    assert book.cash == cash
    assert pending(book) == (0, 0)


def test_an_unknown_hold_is_refused() -> None:
    book = Passbook()
    operation = Capture(key=book.key(), player_id=PLAYER, hold_id=HoldId(bytes(16)))
    assert book.apply(operation).outcome is Outcome.HOLD_NOT_FOUND


def test_a_hold_of_another_player_is_refused() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=OTHER, currency_code="EUR"))
    held = book.apply(book.hold_deposit(70))
    assert held.hold_id is not None
    foreign = Release(key=book.key(), player_id=PlayerId(OTHER), hold_id=held.hold_id)
    assert book.apply(foreign).outcome is Outcome.REFERENCE_MISMATCH


def test_an_announced_deposit_is_not_there_yet() -> None:
    book = Passbook()
    held = book.apply(book.hold_deposit(70))
    assert (book.cash, pending(book)) == (0, (0, 70))
    assert book.apply(book.bet(1)).outcome is Outcome.INSUFFICIENT_FUNDS
    assert capture(book, held).outcome is Outcome.APPLIED
    assert (book.cash, pending(book), book.house()) == (70, (0, 0), {"psp": -70})


def test_a_deposit_captured_for_a_player_restricted_meanwhile_is_locked() -> None:
    book = Passbook()
    held = book.apply(book.hold_deposit(70))
    restrict(book, Restriction.SELF_EXCLUDED)
    assert capture(book, held).outcome is Outcome.APPLIED_LOCKED
    assert (book.cash, book.locked, pending(book)) == (0, 70, (0, 0))


def test_a_hold_that_is_due_expires_before_anything_else_happens() -> None:
    book = Passbook()
    held = book.apply(book.hold_deposit(70, expire_time=Micros(START + HOUR)))
    book.now = Micros(START + HOUR)
    book.apply(book.deposit(5))
    expiry, deposit = book.transfers[-2:]
    assert (expiry.kind, expiry.source, expiry.hold_id) == (
        Kind.EXPIRE_HOLD,
        "wallet:rules",
        held.hold_id,
    )
    assert deposit.kind is Kind.DEPOSIT
    assert pending(book) == (0, 0)
    book.wake()
    assert [each.kind for each in book.transfers].count(Kind.EXPIRE_HOLD) == 1


def test_a_sweep_expires_the_holds_of_an_idle_player() -> None:
    book = Passbook()
    held = book.apply(book.hold_deposit(70, expire_time=Micros(START + HOUR)))
    book.now = Micros(START + HOUR - 1)
    book.wake()
    assert held.hold_id is not None
    assert book.loaded.holds[held.hold_id].state is HoldState.PENDING
    book.now = Micros(book.now + 1)
    book.wake()
    assert book.loaded.holds[held.hold_id].state is HoldState.EXPIRED


def test_a_withdrawal_never_expires_by_itself() -> None:
    book = Passbook()
    book.give(100)
    held = book.apply(book.withdraw(70))
    book.now = Micros(START + 1000 * DAY)
    book.wake()
    assert capture(book, held).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    ("bits", "refused"),
    [
        (Restriction.NO_BET, set()),
        (Restriction.NO_DEPOSIT, {"deposit", "hold_deposit"}),
        (Restriction.NO_WITHDRAW, {"withdraw"}),
        (Restriction.SELF_EXCLUDED, {"deposit", "hold_deposit"}),
        (Restriction.FROZEN, {"deposit", "hold_deposit", "withdraw"}),
    ],
)
def test_each_restriction_stops_its_own(bits: Restriction, refused: set[str]) -> None:
    book = Passbook()
    book.give(100)
    restrict(book, bits)
    got = {
        name
        for name in ("deposit", "hold_deposit", "withdraw")
        if book.apply(getattr(book, name)(10)).outcome is Outcome.PLAYER_RESTRICTED
    }
    assert got == refused


def test_captures_and_releases_ignore_restrictions() -> None:
    book = Passbook()
    book.give(100)
    out, back = book.apply(book.withdraw(40)), book.apply(book.withdraw(30))
    restrict(book, Restriction.FROZEN)
    assert capture(book, out).outcome is Outcome.APPLIED
    assert release(book, back).outcome is Outcome.APPLIED
    assert book.cash == 60


def test_received_money_that_may_not_be_deposited_waits_for_its_refund() -> None:
    book = Passbook()
    restrict(book, Restriction.NO_DEPOSIT)
    assert book.apply(book.deposit(50)).outcome is Outcome.PLAYER_RESTRICTED
    locked = book.apply(book.deposit(50, if_refused=IfRefused.LOCK))
    assert locked.outcome is Outcome.APPLIED_LOCKED
    assert (book.cash, book.locked) == (0, 50)


def test_a_deposit_keeps_the_number_that_authorizes_it() -> None:
    book = Passbook()
    result = book.apply(book.deposit(50, authorization_number="A-17"))
    assert result.detail == {"authorization_number": "A-17"}
