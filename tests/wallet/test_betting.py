"""Bets, wins and rounds, as a bank statement tells them."""

from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    IfRefused,
    Key,
    OpenWallet,
    Outcome,
    Restriction,
    RoundState,
    Scope,
    SetRestriction,
    SpendOrder,
    Stance,
)
from services.wallet.domain.values import COUNTER_MAX
from tests.wallet.passbook import OTHER, PLAYER, Passbook


def restrict(book: Passbook, bits: Restriction, scope: Scope = Scope.PLAYER) -> None:
    operation = SetRestriction(key=book.key(), player_id=PLAYER, scope=scope, restrictions=bits)
    assert book.apply(operation).outcome is Outcome.APPLIED


def test_a_bet_moves_cash_to_the_game() -> None:
    book = Passbook()
    book.give(1000)
    result = book.apply(book.bet(300, round_key="r1", game_id="roulette"))
    assert result.outcome is Outcome.APPLIED
    assert [(moved.bucket, moved.posted) for moved in result.moved] == [(Bucket.CASH, -300)]
    assert result.available is not None
    assert result.available.cash == 700
    assert result.round_state is RoundState.OPEN
    assert result.game_id == "roulette"
    assert book.house() == {"psp": -1000, "game": 300}


def test_a_bet_of_all_that_there_is_leaves_nothing() -> None:
    book = Passbook()
    book.give(100)
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED
    assert book.cash == 0


def test_a_free_round_is_stored_and_books_nothing() -> None:
    book = Passbook()
    result = book.apply(book.bet(0, round_key="r1"))
    assert result.outcome is Outcome.APPLIED
    assert result.moved == ()
    assert book.entries == []


def test_bets_beyond_the_balance_are_refused_from_the_first_that_is() -> None:
    book = Passbook()
    book.give(100)
    outcomes = [book.apply(book.bet(30)).outcome for _ in range(4)]
    assert outcomes == [Outcome.APPLIED] * 3 + [Outcome.INSUFFICIENT_FUNDS]
    assert book.cash == 10


def test_money_set_aside_cannot_be_bet() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.withdraw(80))
    refused = book.apply(book.bet(21))
    assert refused.outcome is Outcome.INSUFFICIENT_FUNDS
    assert refused.available is not None
    assert refused.available.cash == 20
    assert book.apply(book.bet(20)).outcome is Outcome.APPLIED


def test_locked_money_cannot_be_bet() -> None:
    book = Passbook()
    restrict(book, Restriction.NO_DEPOSIT)
    assert (
        book.apply(book.deposit(100, if_refused=IfRefused.LOCK)).outcome is Outcome.APPLIED_LOCKED
    )
    assert book.apply(book.bet(1)).outcome is Outcome.INSUFFICIENT_FUNDS
    assert book.locked == 100


# What a key decides, before anything else.


def test_a_repeated_bet_gets_its_first_answer() -> None:
    book = Passbook()
    book.give(100)
    bet = book.bet(60, id="b")
    first, again = book.answer(bet), book.answer(bet)
    assert first.result == again.result
    assert (first.replayed, again.replayed) == (False, True)
    assert book.cash == 40


def test_a_refusal_is_kept_though_it_would_succeed_now() -> None:
    book = Passbook()
    bet = book.bet(60, id="b")
    assert book.apply(bet).outcome is Outcome.INSUFFICIENT_FUNDS
    book.give(100)
    assert book.apply(bet).outcome is Outcome.INSUFFICIENT_FUNDS
    assert book.apply(book.bet(60)).outcome is Outcome.APPLIED


def test_a_key_known_beats_a_player_restricted() -> None:
    book = Passbook()
    book.give(100)
    bet = book.bet(60, id="b")
    book.apply(bet)
    restrict(book, Restriction.FROZEN)
    assert book.apply(bet).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"amount": 61}, ("amount",)),
        ({"round_key": "r2"}, ("round_key",)),
        ({"game_id": "slots"}, ("game_id",)),
        ({"close_round": True}, ("close_round",)),
        ({"amount": 1, "game_id": "slots"}, ("amount", "game_id")),
        ({"player_id": OTHER}, ("player_id",)),
        ({"currency_code": "USD"}, ("currency_code",)),
    ],
    ids=str,
)
def test_a_key_of_other_content_is_an_error_that_names_the_fields(
    change: dict[str, Any], fields: tuple[str, ...]
) -> None:
    book = Passbook()
    book.give(100)
    content: dict[str, Any] = {"amount": 60, "round_key": "r1", "game_id": "roulette"}
    common: dict[str, Any] = {"key": book.key("b"), "player_id": PLAYER, "currency_code": "EUR"}
    book.apply(Bet(**(common | content)))
    assert book.reused(Bet(**(common | content | change))) == fields
    assert book.cash == 40


@pytest.mark.parametrize("amount", [55, 10**6])
def test_a_key_reused_names_the_round_that_the_first_one_did_not(amount: int) -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(amount, id="b"))
    assert book.reused(book.bet(12, id="b", round_key="r1")) == ("amount", "round_key")


def test_a_refused_bet_is_known_by_its_round_too() -> None:
    book = Passbook()
    book.apply(book.bet(5, id="b", round_key="r1"))
    assert book.reused(book.bet(5, id="b", round_key="r2")) == ("round_key",)
    assert book.reused(book.bet(5, id="b")) == ("round_key",)


@pytest.mark.parametrize("stance", list(Stance))
def test_a_rollback_reused_for_another_original_names_the_reference(stance: Stance) -> None:
    book = Passbook(rollback_unknown=stance)
    book.apply(book.rollback("b", id="rb"))
    assert book.reused(book.rollback("c", id="rb")) == ("reference",)


def test_a_key_of_another_kind_is_an_error() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="x"))
    assert book.reused(book.win(60, id="x")) == ("kind",)


def test_the_same_id_of_two_sources_names_two_operations() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="b"))
    assert book.apply(book.bet(40, id="b", source="other")).outcome is Outcome.APPLIED
    assert book.cash == 0


def test_display_facts_may_differ_between_two_tries() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="b", trace_id=bytes(16), wager_weight=10_000))
    again = book.answer(book.bet(60, id="b", trace_id=b"t" * 16, wager_weight=0))
    assert again.replayed


# Whom and what it concerns.


@pytest.mark.parametrize("name", ["bet", "win", "close"])
def test_an_unknown_player_is_refused_first(name: str) -> None:
    book = Passbook()
    argument = "r1" if name == "close" else 1
    result = book.apply(getattr(book, name)(argument, player_id=OTHER))
    assert result.outcome is Outcome.PLAYER_NOT_FOUND
    assert result.available is None


def test_a_currency_without_an_account_is_refused() -> None:
    book = Passbook()
    assert book.apply(book.bet(1, currency_code="USD")).outcome is Outcome.ACCOUNT_NOT_FOUND


def test_a_player_of_another_tenant_is_not_found() -> None:
    book = Passbook()
    bet = Bet(key=Key("u", "studio", "b"), player_id=PLAYER, currency_code="EUR", amount=1)
    assert book.apply(bet).outcome is Outcome.PLAYER_NOT_FOUND


# Restrictions.


@pytest.mark.parametrize("scope", list(Scope))
def test_a_restricted_player_may_not_bet_and_is_still_paid(scope: Scope) -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(50, id="b", round_key="r1"))
    restrict(book, Restriction.FROZEN, scope)
    assert book.apply(book.bet(1)).outcome is Outcome.PLAYER_RESTRICTED
    assert book.apply(book.win(70, round_key="r1", reference="b")).outcome is Outcome.APPLIED
    assert book.apply(book.rollback("b")).outcome is Outcome.APPLIED
    assert book.apply(book.close("r1")).outcome is Outcome.APPLIED
    assert book.cash == 170


def test_lifting_a_block_leaves_the_exclusion() -> None:
    book = Passbook()
    book.give(100)
    restrict(book, Restriction.SELF_EXCLUDED, Scope.PLAYER)
    restrict(book, Restriction.FROZEN, Scope.OPERATOR)
    restrict(book, Restriction.NONE, Scope.OPERATOR)
    assert book.apply(book.bet(1)).outcome is Outcome.PLAYER_RESTRICTED
    assert book.apply(book.withdraw(1)).outcome is Outcome.APPLIED


def test_a_restriction_beats_a_closed_round_and_missing_funds() -> None:
    book = Passbook()
    book.apply(book.close("r1"))
    restrict(book, Restriction.NO_BET)
    assert book.apply(book.bet(10, round_key="r1")).outcome is Outcome.PLAYER_RESTRICTED


# Rounds.


def test_a_closed_round_takes_no_bet() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, round_key="r1", close_round=True))
    refused = book.apply(book.bet(10, round_key="r1"))
    assert refused.outcome is Outcome.ROUND_CLOSED
    assert refused.round_state is RoundState.CLOSED


def test_a_closed_round_beats_missing_funds() -> None:
    book = Passbook()
    book.apply(book.close("r1"))
    assert book.apply(book.bet(10, round_key="r1")).outcome is Outcome.ROUND_CLOSED


def test_players_at_one_table_share_the_round_id() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=OTHER, currency_code="EUR"))
    book.give(100)
    book.apply(book.deposit(100, player_id=OTHER))
    book.apply(book.bet(10, round_key="r1", close_round=True))
    assert book.apply(book.bet(10, round_key="r1", player_id=OTHER)).outcome is Outcome.APPLIED


def test_a_round_is_of_one_currency() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=PLAYER, currency_code="USD"))
    book.give(100)
    book.apply(book.bet(10, round_key="r1"))
    mismatched = book.apply(book.bet(10, round_key="r1", currency_code="USD"))
    assert mismatched.outcome is Outcome.REFERENCE_MISMATCH


def test_closing_a_round_twice_is_a_success_without_effect() -> None:
    book = Passbook()
    assert book.apply(book.close("r1")).outcome is Outcome.APPLIED
    assert book.apply(book.close("r1")).outcome is Outcome.ALREADY_CLOSED


# Wins.


@pytest.mark.parametrize(
    ("stance", "outcome", "cash"),
    [(Stance.ACCEPT, Outcome.APPLIED_LATE, 140), (Stance.REFUSE, Outcome.ROUND_CLOSED, 90)],
)
def test_a_win_after_the_round_was_closed(stance: Stance, outcome: Outcome, cash: int) -> None:
    book = Passbook(win_after_close=stance)
    book.give(100)
    book.apply(book.bet(10, round_key="r1", close_round=True))
    assert book.apply(book.win(50, round_key="r1")).outcome is outcome
    assert book.cash == cash


@pytest.mark.parametrize(
    ("stance", "outcome"),
    [(Stance.ACCEPT, Outcome.APPLIED), (Stance.REFUSE, Outcome.REFERENCE_NOT_FOUND)],
)
def test_a_win_that_refers_to_no_bet(stance: Stance, outcome: Outcome) -> None:
    book = Passbook(win_without_reference=stance)
    assert book.apply(book.win(50, round_key="r1")).outcome is outcome


def test_a_win_that_refers_to_an_unknown_bet_is_refused() -> None:
    book = Passbook()
    assert book.apply(book.win(50, reference="nope")).outcome is Outcome.REFERENCE_NOT_FOUND


def test_a_win_that_refers_to_a_refused_bet_is_refused() -> None:
    book = Passbook()
    book.apply(book.bet(10, id="b"))
    assert book.apply(book.win(50, reference="b")).outcome is Outcome.REFERENCE_REFUSED


def test_a_win_that_refers_to_a_reversed_bet_is_refused() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b"))
    book.apply(book.rollback("b"))
    assert book.apply(book.win(50, reference="b")).outcome is Outcome.REFERENCE_REVERSED


def test_a_win_that_refers_to_a_tombstone_is_refused() -> None:
    book = Passbook()
    book.apply(book.rollback("b"))
    assert book.apply(book.win(50, reference="b")).outcome is Outcome.REFERENCE_REVERSED


@pytest.mark.parametrize("what", ["player", "kind", "currency"])
def test_a_win_that_refers_to_something_else_is_refused(what: str) -> None:
    book = Passbook()
    for player_id, currency_code in ((OTHER, "EUR"), (PLAYER, "USD")):
        opened = OpenWallet(key=book.key(), player_id=player_id, currency_code=currency_code)
        book.apply(opened)
    book.give(100)
    book.apply(book.bet(10, id="b"))
    book.apply(book.win(10, id="w"))
    cases: dict[str, dict[str, Any]] = {
        "player": {"player_id": OTHER, "reference": "b"},
        "kind": {"reference": "w"},
        "currency": {"currency_code": "USD", "reference": "b"},
    }
    assert book.apply(book.win(50, **cases[what])).outcome is Outcome.REFERENCE_MISMATCH


def test_a_win_of_nothing_is_a_loss_that_is_told() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b", round_key="r1"))
    result = book.apply(book.win(0, round_key="r1", reference="b", close_round=True))
    assert result.outcome is Outcome.APPLIED
    assert result.moved == ()
    assert result.round_state is RoundState.CLOSED


# Counters.


def test_a_counter_never_passes_its_maximum() -> None:
    book = Passbook()
    book.give(10)
    book.wallet().cash.credits_posted = COUNTER_MAX - 5
    book.wallet().cash.debits_posted = COUNTER_MAX - 15
    assert book.apply(book.win(6)).outcome is Outcome.COUNTER_LIMIT
    assert book.apply(book.win(5)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    ("order", "stake", "cash", "bonus"),
    [
        (SpendOrder.CASH_FIRST, 70, 0, 30),
        (SpendOrder.BONUS_FIRST, 70, 30, 0),
        (SpendOrder.CASH_FIRST, 40, 10, 50),
        (SpendOrder.BONUS_FIRST, 40, 50, 10),
    ],
)
def test_a_stake_is_taken_in_the_order_of_the_policy(
    order: SpendOrder, stake: int, cash: int, bonus: int
) -> None:
    book = Passbook(spend_order=order)
    book.give(50)
    give_bonus_money(book, 50)
    assert book.apply(book.bet(stake)).outcome is Outcome.APPLIED
    assert (book.cash, book.bonus) == (cash, bonus)


@pytest.mark.parametrize(
    ("stake", "outcome", "cash", "bonus"),
    [
        (40, Outcome.APPLIED, 10, 80),
        (60, Outcome.APPLIED, 50, 20),
        (90, Outcome.INSUFFICIENT_FUNDS, 50, 80),
    ],
)
def test_a_stake_that_may_not_be_split_comes_from_one_bucket(
    stake: int, outcome: Outcome, cash: int, bonus: int
) -> None:
    book = Passbook(split_stake=False)
    book.give(50)
    give_bonus_money(book, 80)
    assert book.apply(book.bet(stake)).outcome is outcome
    assert (book.cash, book.bonus) == (cash, bonus)


def give_bonus_money(book: Passbook, amount: int) -> None:
    adjust = Adjust(
        key=book.key(),
        player_id=PLAYER,
        currency_code="EUR",
        amount=amount,
        bucket=Bucket.BONUS,
        reason="gift",
        actor="a",
        approver="b",
    )
    assert book.apply(adjust).outcome is Outcome.APPLIED
