"""Rollbacks: what comes back, what does not, and what is barred."""

from typing import Any

import pytest

from services.wallet.domain import (
    Capture,
    HoldId,
    KeyScope,
    Kind,
    OpenWallet,
    Outcome,
    RoundState,
    Stance,
    WinShort,
)
from tests.wallet.passbook import OTHER, PLAYER, Passbook


def test_a_rollback_returns_the_stake_once() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="b", round_key="r1"))
    first = book.apply(book.rollback("b"))
    assert (first.outcome, first.amount, first.reversal_no) == (Outcome.APPLIED, 60, 1)
    again = book.apply(book.rollback("b"))
    assert (again.outcome, again.amount, again.moved) == (Outcome.ALREADY_REVERSED, 0, ())
    assert again.original_seq == first.original_seq
    assert book.cash == 100
    assert book.house()["game"] == 0


def test_a_rollback_repeated_under_its_key_is_a_replay() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="b"))
    rollback = book.rollback("b", id="rb")
    assert book.apply(rollback) == book.apply(rollback)
    assert book.cash == 100


@pytest.mark.parametrize(
    ("stance", "outcome"),
    [
        (Stance.ACCEPT, Outcome.NOTHING_TO_REVERSE),
        (Stance.REFUSE, Outcome.REFERENCE_NOT_FOUND),
    ],
)
def test_a_rollback_before_its_bet_bars_the_bet(stance: Stance, outcome: Outcome) -> None:
    book = Passbook(rollback_unknown=stance)
    book.give(100)
    first = book.apply(book.rollback("b", round_key="r1"))
    assert first.outcome is outcome
    late = book.apply(book.bet(60, id="b", round_key="r1"))
    assert late.outcome is Outcome.TOMBSTONED
    assert late.kind is Kind.TOMBSTONE
    assert late.original_seq == first.seq
    assert first.original_seq == late.seq
    assert book.apply(book.rollback("b")).outcome is Outcome.ALREADY_REVERSED
    assert book.cash == 100


@pytest.mark.parametrize(
    ("stance", "outcome"),
    [
        (Stance.ACCEPT, Outcome.NOTHING_TO_REVERSE),
        (Stance.REFUSE, Outcome.REFERENCE_NOT_FOUND),
    ],
)
def test_a_rollback_under_the_very_id_of_its_original_bars_it_by_itself(
    stance: Stance, outcome: Outcome
) -> None:
    book = Passbook(rollback_unknown=stance)
    book.give(100)
    rollback = book.rollback("b", id="b", round_key="r1")
    first = book.apply(rollback)
    assert (first.outcome, first.original_seq) == (outcome, None)
    assert [each.kind for each in book.transfers].count(Kind.TOMBSTONE) == 0
    assert book.apply(rollback) == first
    assert book.reused(book.bet(60, id="b", round_key="r1")) == ("kind",)
    # A rollback of it under a key of its own meets what is no bet.
    assert book.apply(book.rollback("b")).outcome is Outcome.REFERENCE_MISMATCH
    assert book.cash == 100


def test_where_kinds_have_ids_of_their_own_a_rollback_bars_the_bet_of_its_id() -> None:
    book = Passbook(key_scope=KeyScope.SOURCE_AND_KIND)
    book.give(100)
    assert book.apply(book.rollback("b", id="b")).outcome is Outcome.NOTHING_TO_REVERSE
    assert book.apply(book.bet(60, id="b")).outcome is Outcome.TOMBSTONED
    assert book.cash == 100


def test_a_tombstone_beats_any_content() -> None:
    book = Passbook()
    book.apply(book.rollback("x"))
    outcomes = {book.apply(each).outcome for each in (book.bet(1, id="x"), book.win(2, id="x"))}
    assert outcomes == {Outcome.TOMBSTONED}


def test_a_rollback_of_a_refused_bet_has_nothing_to_reverse() -> None:
    book = Passbook()
    book.apply(book.bet(60, id="b"))
    assert book.apply(book.rollback("b")).outcome is Outcome.NOTHING_TO_REVERSE


@pytest.mark.parametrize(
    ("stance", "outcome", "cash"),
    [(Stance.ACCEPT, Outcome.APPLIED, 170), (Stance.REFUSE, Outcome.REFERENCE_SETTLED, 110)],
)
@pytest.mark.parametrize("settled_by", ["win", "close"])
def test_a_rollback_of_a_settled_bet(
    stance: Stance, outcome: Outcome, cash: int, settled_by: str
) -> None:
    book = Passbook(rollback_settled_bet=stance)
    book.give(100)
    book.apply(book.bet(60, id="b", round_key="r1"))
    if settled_by == "win":
        book.apply(book.win(70, round_key="r1"))
    else:
        book.give(70)
        book.apply(book.close("r1"))
    result = book.apply(book.rollback("b"))
    assert result.outcome is outcome
    assert result.settled is (stance is Stance.ACCEPT)
    assert book.cash == cash


@pytest.mark.parametrize("what", ["player", "kind", "currency"])
def test_a_rollback_of_something_else_is_refused(what: str) -> None:
    book = Passbook()
    for player_id, currency_code in ((OTHER, "EUR"), (PLAYER, "USD")):
        opened = OpenWallet(key=book.key(), player_id=player_id, currency_code=currency_code)
        book.apply(opened)
    book.give(100)
    book.apply(book.bet(10, id="b"))
    book.apply(book.close("r1", id="c"))
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "player": ("b", {"player_id": OTHER}),
        "kind": ("c", {}),
        "currency": ("b", {"currency_code": "USD"}),
    }
    reference, change = cases[what]
    rollback = book.rollback(reference, **change)
    assert book.apply(rollback).outcome is Outcome.REFERENCE_MISMATCH


def test_a_rollback_that_names_another_kind_is_refused() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b"))
    rollback = book.rollback("b", reference_kind=Kind.WIN)
    assert book.apply(rollback).outcome is Outcome.REFERENCE_MISMATCH


def test_a_win_is_taken_back() -> None:
    book = Passbook()
    book.apply(book.win(50, id="w", round_key="r1"))
    assert book.apply(book.rollback("w")).outcome is Outcome.APPLIED
    assert book.cash == 0
    assert book.house()["game"] == 0


@pytest.mark.parametrize(
    ("switches", "outcome", "cash", "loss"),
    [
        ({"rollback_win_short": WinShort.CLAMP}, Outcome.APPLIED_CLAMPED, 0, 30),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 100},
            Outcome.APPLIED,
            -30,
            0,
        ),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 10},
            Outcome.APPLIED_CLAMPED,
            -10,
            20,
        ),
        ({"rollback_win_short": WinShort.REFUSE}, Outcome.INSUFFICIENT_FUNDS, 20, 0),
    ],
    ids=str,
)
def test_a_win_that_is_spent_is_taken_back_as_policy_says(
    switches: dict[str, Any], outcome: Outcome, cash: int, loss: int
) -> None:
    book = Passbook(**switches)
    book.apply(book.win(50, id="w"))
    book.apply(book.bet(30))
    result = book.apply(book.rollback("w"))
    assert result.outcome is outcome
    assert result.shortfall == loss
    assert book.cash == cash
    assert -book.house().get("rollback_loss", 0) == loss


def test_money_set_aside_is_never_raided_by_a_rollback() -> None:
    book = Passbook()
    book.apply(book.win(50, id="w"))
    held = book.apply(book.withdraw(40))
    result = book.apply(book.rollback("w"))
    assert (result.outcome, result.shortfall) == (Outcome.APPLIED_CLAMPED, 40)
    assert held.hold_id is not None
    capture = Capture(key=book.key(), player_id=PLAYER, hold_id=HoldId(held.hold_id))
    assert book.apply(capture).outcome is Outcome.APPLIED
    assert book.cash == 0


def test_a_player_in_debt_bets_only_what_is_above_zero() -> None:
    book = Passbook(rollback_win_short=WinShort.DEBT, debt_limit=100)
    book.apply(book.win(50, id="w"))
    book.apply(book.bet(50))
    book.apply(book.rollback("w"))
    assert book.cash == -50
    assert book.apply(book.bet(1)).outcome is Outcome.INSUFFICIENT_FUNDS
    assert book.apply(book.withdraw(1)).outcome is Outcome.INSUFFICIENT_FUNDS
    book.give(60)
    assert book.apply(book.bet(10)).outcome is Outcome.APPLIED
    assert book.cash == 0


def test_partial_rollbacks_never_pass_the_original() -> None:
    book = Passbook(partial_rollback=True)
    book.give(100)
    book.apply(book.bet(60, id="b", round_key="r1"))
    first = book.apply(book.rollback("b", amount=25))
    assert (first.outcome, first.reversal_no, book.cash) == (Outcome.APPLIED, 1, 65)
    over = book.apply(book.rollback("b", amount=36))
    assert over.outcome is Outcome.OVER_REVERSED
    rest = book.apply(book.rollback("b"))
    assert (rest.outcome, rest.amount, rest.reversal_no) == (Outcome.APPLIED, 35, 2)
    assert book.apply(book.rollback("b", amount=1)).outcome is Outcome.ALREADY_REVERSED
    assert book.cash == 100


def test_a_partial_rollback_may_take_exactly_what_is_left() -> None:
    book = Passbook(partial_rollback=True)
    book.give(100)
    book.apply(book.bet(60, id="b"))
    book.apply(book.rollback("b", amount=25))
    rest = book.apply(book.rollback("b", amount=35))
    assert (rest.outcome, rest.reversal_no, book.cash) == (Outcome.APPLIED, 2, 100)


def test_a_rollback_closes_the_round_of_its_original_and_not_the_one_it_names() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b", round_key="r1"))
    book.apply(book.bet(10, round_key="r2"))
    book.apply(book.rollback("b", round_key="r2", close_round=True))
    assert book.apply(book.bet(10, round_key="r1")).outcome is Outcome.ROUND_CLOSED
    assert book.apply(book.bet(10, round_key="r2")).outcome is Outcome.APPLIED


def test_a_free_round_is_rolled_back_once() -> None:
    book = Passbook()
    book.apply(book.bet(0, id="b"))
    assert book.apply(book.rollback("b")).outcome is Outcome.APPLIED
    assert book.apply(book.rollback("b")).outcome is Outcome.ALREADY_REVERSED


def test_a_rollback_may_close_the_round() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b", round_key="r1"))
    result = book.apply(book.rollback("b", round_key="r1", close_round=True))
    assert result.round_state is RoundState.CLOSED
    assert book.apply(book.bet(10, round_key="r1")).outcome is Outcome.ROUND_CLOSED


def test_one_id_for_a_bet_and_its_win_where_policy_says_so() -> None:
    book = Passbook(key_scope=KeyScope.SOURCE_AND_KIND)
    book.give(100)
    assert book.apply(book.bet(10, id="x")).outcome is Outcome.APPLIED
    assert book.apply(book.win(30, id="x", reference="x")).outcome is Outcome.APPLIED
    taken = book.apply(book.rollback("x", reference_kind=Kind.WIN))
    assert (taken.outcome, taken.amount) == (Outcome.APPLIED, 30)
    returned = book.apply(book.rollback("x"))
    assert (returned.outcome, returned.amount) == (Outcome.APPLIED, 10)
    assert book.cash == 100
