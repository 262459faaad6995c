"""What a caller is told: of what was kept beside the columns, of limits, moves and holds."""

import json
from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bucket,
    Capture,
    HoldId,
    IfRefused,
    LimitKind,
    Micros,
    Move,
    Outcome,
    Period,
    Release,
    Result,
    Scope,
    SetLimit,
)
from services.wallet.domain.result import read_detail, write_detail
from tests.wallet.passbook import DAY, HOUR, OTHER, PLAYER, START, Passbook

ROUND_KEYS = ["", "r1", "é", 'a"b', "a\\b", "a\\", '"', "a\nb", "\u2028", "{}", '","x":"']


@pytest.mark.parametrize("name", ROUND_KEYS)
def test_the_name_of_a_round_is_read_as_it_was_written(name: str) -> None:
    for detail in ({"round_key": name}, {"round_key": name, "settled": True}):
        written = write_detail(detail)
        assert written == json.dumps(
            detail, ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )
        assert read_detail(written) == detail


def test_a_detail_has_one_form_whatever_its_order() -> None:
    assert write_detail({}) is None
    assert write_detail({"b": 1, "a": "é"}) == '{"a":"é","b":1}' == write_detail({"a": "é", "b": 1})
    assert write_detail({"reference": "r1"}) == '{"reference":"r1"}'
    assert read_detail('{"reference":"r1"}') == {"reference": "r1"}


def test_a_reference_is_kept_only_where_it_leads_nowhere() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b"))
    assert "reference" not in book.apply(book.rollback("b")).detail
    assert book.apply(book.win(5, reference="never")).detail["reference"] == "never"
    refused = book.apply(book.win(5, reference="b"))
    assert refused.outcome is Outcome.REFERENCE_REVERSED
    assert "reference" not in refused.detail


def test_a_refusal_tells_the_amount_whoever_the_player_is() -> None:
    book = Passbook()
    for make in (book.bet, book.win, book.deposit, book.withdraw, book.hold_deposit):
        refused = book.apply(make(10, player_id=OTHER))
        assert (refused.outcome, refused.amount) == (Outcome.PLAYER_NOT_FOUND, 10)
        assert (refused.available, refused.moved) == (None, ())


# Deposits, holds and moves.


@pytest.mark.parametrize("make", ["deposit", "hold_deposit", "withdraw"])
def test_by_whose_hand_it_was_is_kept(make: str) -> None:
    book = Passbook()
    book.give(10)
    result = book.apply(getattr(book, make)(10, actor="cashier"))
    assert result.detail["actor"] == "cashier"
    again = book.apply(getattr(book, make)(10))
    assert "actor" not in again.detail


def resolved(book: Passbook, kind: type[Capture | Release], hold: Result, **values: Any) -> Result:
    assert hold.hold_id is not None
    return book.apply(
        kind(key=book.key(), player_id=PLAYER, hold_id=HoldId(hold.hold_id), **values)
    )


def test_a_hold_tells_the_balance_when_it_is_resolved_and_when_it_cannot_be() -> None:
    book = Passbook()
    book.give(100)
    hold = book.apply(book.withdraw(60))
    refused = resolved(book, Capture, hold, amount=61)
    assert refused.outcome is Outcome.CAPTURE_TOO_LARGE
    assert refused.available is not None
    assert (refused.available.cash, refused.amount) == (40, 61)
    captured = resolved(book, Capture, hold, amount=50, actor="cashier")
    assert captured.available is not None
    assert (captured.available.cash, captured.amount) == (50, 50)
    assert captured.detail["actor"] == "cashier"
    late = resolved(book, Release, hold)
    assert late.outcome is Outcome.HOLD_ALREADY_POSTED
    assert late.available is not None
    assert late.available.cash == 50


@pytest.mark.parametrize("amount", [None, 60])
def test_a_capture_under_a_used_key_names_the_amount_that_differs(amount: int | None) -> None:
    book = Passbook()
    book.give(100)
    hold = book.apply(book.withdraw(60))
    assert hold.hold_id is not None
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER}
    fields["hold_id"] = HoldId(hold.hold_id)
    book.apply(Capture(amount=amount, **fields))
    other = 60 if amount is None else None
    assert book.reused(Capture(amount=other, **fields)) == ("amount",)


def test_a_capture_under_a_used_key_names_all_that_differs() -> None:
    book = Passbook()
    book.give(100)
    first, second = (book.apply(book.withdraw(40)).hold_id for _ in range(2))
    assert first is not None
    assert second is not None
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER}
    book.apply(Capture(amount=30, hold_id=HoldId(first), **fields))
    assert book.reused(Capture(amount=30, hold_id=HoldId(second), **fields)) == ("hold_id",)
    assert book.reused(Capture(hold_id=HoldId(second), **fields)) == ("amount", "hold_id")


@pytest.mark.parametrize("most", [5, 1_000])
def test_a_deposit_under_a_used_key_names_what_should_become_of_it(most: int) -> None:
    book = Passbook()
    limit(book, most, kind=LimitKind.DEPOSIT)
    book.apply(book.deposit(10, id="d", if_refused=IfRefused.LOCK))
    assert book.reused(book.deposit(10, id="d")) == ("if_refused",)
    assert book.reused(book.deposit(11, id="d", if_refused=IfRefused.LOCK)) == ("amount",)


def test_a_move_tells_the_balances_after_it() -> None:
    book = Passbook()
    book.give(100)
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER, "currency_code": "EUR"}
    moved = book.apply(
        Move(
            amount=30,
            debit=Bucket.CASH,
            credit=Bucket.LOCKED,
            reason="r",
            actor="a",
            **fields,
        )
    )
    assert (moved.amount, moved.available) == (30, (70, 0, 30))
    assert moved.detail == {"debit": 1, "credit": 3, "reason": "r", "actor": "a"}


def test_a_correction_keeps_who_asked_for_it_and_why() -> None:
    book = Passbook()
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER, "currency_code": "EUR"}
    result = book.apply(
        Adjust(amount=5, bucket=Bucket.CASH, reason="r", actor="a", approver="b", **fields)
    )
    assert result.detail == {"bucket": 1, "reason": "r", "actor": "a", "approver": "b"}
    assert result.amount == 5


def test_a_withdrawal_may_take_all_and_tells_its_balance_when_it_is_refused() -> None:
    book = Passbook()
    book.give(100)
    refused = book.apply(book.withdraw(101))
    assert (refused.outcome, refused.available) == (Outcome.INSUFFICIENT_FUNDS, (100, 0, 0))
    held = book.apply(book.withdraw(100))
    assert (held.outcome, held.available) == (Outcome.APPLIED, (0, 0, 0))
    freed = resolved(book, Release, held)
    assert (freed.amount, freed.available) == (100, (100, 0, 0))


def test_only_the_reversal_of_a_settled_bet_says_that_it_was() -> None:
    book = Passbook()
    book.give(100)
    assert book.apply(book.bet(10, id="b", round_key="r", close_round=True)).settled is False
    assert book.apply(book.rollback("b")).settled is True
    refused = book.apply(book.rollback("b", amount=None, reference_kind=None, id="again"))
    assert refused.settled is False


# Limits.


def limit(book: Passbook, most: int | None, **values: Any) -> None:
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER, "currency_code": "EUR"}
    fields |= {"scope": Scope.PLAYER, "period": Period.DAY}
    fields["limit_kind"] = values.pop("kind", LimitKind.WAGER)
    assert book.apply(SetLimit(max_amount=most, **(fields | values))).outcome is Outcome.APPLIED


def test_a_limit_that_begins_later_is_kept_to_the_unit() -> None:
    book = Passbook()
    book.give(1_000)
    limit(book, 100)
    limit(book, 200, start_time=Micros(START + 2 * HOUR))
    book.now = Micros(START + 2 * HOUR)
    refused = book.apply(book.bet(201))
    assert refused.outcome is Outcome.LIMIT_REACHED
    assert refused.limit is not None
    assert (refused.limit.max_amount, refused.limit.used) == (200, 0)
    assert refused.limit.window_end is None
    assert book.apply(book.bet(200)).outcome is Outcome.APPLIED


def test_a_limit_that_has_begun_is_not_forgotten_when_a_looser_one_is_set_for_later() -> None:
    book = Passbook()
    book.give(1_000)
    limit(book, 100)
    limit(book, 200, start_time=Micros(START + HOUR))
    book.now = Micros(START + HOUR)
    limit(book, 500, start_time=Micros(START + DAY))
    assert book.apply(book.bet(201)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(200)).outcome is Outcome.APPLIED


def test_of_several_limits_the_tightest_is_named() -> None:
    for order in (1, -1):
        book = Passbook()
        book.give(1_000)
        book.apply(book.bet(10))
        for most, period in [(300, Period.MONTH), (50, Period.DAY), (200, Period.WEEK)][::order]:
            limit(book, most, period=period)
        refused = book.apply(book.bet(400))
        assert refused.limit is not None
        assert (refused.limit.period, refused.limit.max_amount) == (Period.DAY, 50)


def test_a_stake_that_a_limit_leaves_room_for_is_taken_to_the_unit() -> None:
    book = Passbook()
    book.give(1_000)
    limit(book, 50)
    limit(book, 40, kind=LimitKind.LOSS, scope=Scope.OPERATOR)
    assert book.apply(book.bet(41)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(40)).outcome is Outcome.APPLIED
    refused = book.apply(book.bet(1))
    assert refused.limit is not None
    assert (refused.limit.kind, refused.limit.scope) == (LimitKind.LOSS, Scope.OPERATOR)
    assert refused.limit.window_end == START + DAY
    book.apply(book.win(20))
    assert book.apply(book.bet(11)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(10)).outcome is Outcome.APPLIED


def test_a_window_that_has_just_ended_is_not_told_as_open() -> None:
    book = Passbook()
    book.give(1_000)
    limit(book, 50)
    book.apply(book.bet(50))
    book.now = Micros(START + DAY)
    refused = book.apply(book.bet(51))
    assert refused.limit is not None
    assert (refused.limit.used, refused.limit.window_end) == (0, None)
