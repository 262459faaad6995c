"""Play: what becomes of rounds, of bonus money and of debts when something is taken back."""

from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    BonusId,
    Bucket,
    GrantBonus,
    HouseKind,
    Micros,
    OpenWallet,
    Outcome,
    Restriction,
    Result,
    RoundState,
    Scope,
    SetRestriction,
    SpendOrder,
    Stance,
    WinShort,
)
from services.wallet.domain.values import COUNTER_MAX
from tests.wallet.passbook import DAY, PLAYER, START, Passbook


def grant(book: Passbook, amount: int, required: int, **values: Any) -> BonusId:
    fields: dict[str, Any] = {
        "key": book.key(),
        "player_id": PLAYER,
        "currency_code": "EUR",
        "expire_time": Micros(START + 30 * DAY),
    }
    granted = book.apply(GrantBonus(amount=amount, wager_required=required, **(fields | values)))
    assert granted.bonus_id is not None
    return granted.bonus_id


def adjust(book: Passbook, amount: int, bucket: Bucket, **values: Any) -> Result:
    fields: dict[str, Any] = {"key": book.key(), "player_id": PLAYER, "currency_code": "EUR"}
    fields |= {"reason": "r", "actor": "a", "approver": "b"} | values
    return book.apply(Adjust(amount=amount, bucket=bucket, **fields))


# Rounds.


def test_a_rollback_of_nothing_closes_a_round_that_nobody_has_seen() -> None:
    book = Passbook()
    book.give(100)
    result = book.apply(book.rollback("never", round_key="r", close_round=True))
    assert (result.outcome, result.round_state) == (
        Outcome.NOTHING_TO_REVERSE,
        RoundState.CLOSED,
    )
    assert book.apply(book.bet(10, round_key="r")).outcome is Outcome.ROUND_CLOSED


def test_a_rollback_of_nothing_closes_the_round_that_is_open() -> None:
    book = Passbook()
    book.give(100)
    opened = book.apply(book.bet(10, round_key="r"))
    result = book.apply(book.rollback("never", round_key="r", close_round=True))
    assert (result.round_id, result.round_state) == (opened.round_id, RoundState.CLOSED)
    assert book.apply(book.bet(10, round_key="r")).outcome is Outcome.ROUND_CLOSED


def test_a_rollback_of_nothing_leaves_the_round_as_it_is_and_tells_it() -> None:
    book = Passbook()
    book.give(100)
    opened = book.apply(book.bet(10, round_key="r"))
    result = book.apply(book.rollback("never", round_key="r"))
    assert (result.round_id, result.round_state) == (opened.round_id, RoundState.OPEN)
    assert book.apply(book.bet(10, round_key="r")).outcome is Outcome.APPLIED


def test_a_rollback_of_nothing_without_an_end_opens_no_round() -> None:
    book = Passbook()
    result = book.apply(book.rollback("never", round_key="r"))
    assert (result.round_id, result.round_state) == (None, None)
    assert book.loaded.rounds == {}


def test_a_rollback_does_not_close_the_round_of_another_currency() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=PLAYER, currency_code="USD"))
    book.give(100)
    book.apply(book.bet(10, round_key="r"))
    result = book.apply(
        book.rollback("never", round_key="r", close_round=True, currency_code="USD")
    )
    assert (result.outcome, result.round_id) == (Outcome.NOTHING_TO_REVERSE, None)
    assert book.apply(book.bet(10, round_key="r")).outcome is Outcome.APPLIED


def test_a_refused_bet_tells_the_state_of_its_round() -> None:
    book = Passbook()
    book.give(10)
    opened = book.apply(book.bet(10, round_key="r"))
    refused = book.apply(book.bet(1, round_key="r"))
    assert refused.outcome is Outcome.INSUFFICIENT_FUNDS
    assert (refused.round_id, refused.round_state) == (opened.round_id, RoundState.OPEN)


def test_a_reversal_tells_the_state_of_the_round_of_its_bet() -> None:
    book = Passbook()
    book.give(10)
    opened = book.apply(book.bet(10, id="b", round_key="r"))
    result = book.apply(book.rollback("b"))
    assert (result.round_id, result.round_state) == (opened.round_id, RoundState.OPEN)


def test_a_round_that_is_closed_again_tells_what_it_was_asked_and_no_more() -> None:
    book = Passbook()
    book.apply(book.close("r"))
    before = next(iter(book.loaded.rounds.values())).version
    again = book.apply(book.close("r"))
    assert (again.outcome, again.round_state) == (Outcome.ALREADY_CLOSED, RoundState.CLOSED)
    assert next(iter(book.loaded.rounds.values())).version == before


def test_a_win_that_refers_to_a_free_round_is_paid() -> None:
    book = Passbook()
    book.apply(book.bet(0, id="free"))
    won = book.apply(book.win(30, reference="free"))
    assert (won.outcome, book.cash) == (Outcome.APPLIED, 30)


def test_a_win_that_refers_to_a_bet_taken_back_in_part_is_paid() -> None:
    book = Passbook(partial_rollback=True)
    book.give(100)
    book.apply(book.bet(10, id="b"))
    book.apply(book.rollback("b", amount=4))
    assert book.apply(book.win(30, reference="b")).outcome is Outcome.APPLIED
    book.apply(book.rollback("b", amount=6))
    assert book.apply(book.win(30, reference="b")).outcome is Outcome.REFERENCE_REVERSED


def test_a_rollback_that_names_no_round_closes_none() -> None:
    book = Passbook()
    book.give(10)
    book.apply(book.bet(10, id="b"))
    result = book.apply(book.rollback("b", close_round=True))
    assert (result.outcome, result.round_id) == (Outcome.APPLIED, None)
    assert book.loaded.rounds == {}


def test_a_round_is_numbered_by_the_transfer_that_opens_it() -> None:
    book = Passbook()
    opened = book.apply(book.bet(0, round_key="r"))
    assert opened.round_id == opened.seq << 5 | 31


def test_the_refused_reversal_of_a_settled_bet_settles_nothing() -> None:
    book = Passbook(partial_rollback=True)
    book.give(10)
    book.apply(book.bet(10, id="b", round_key="r", close_round=True))
    refused = book.apply(book.rollback("b", amount=11))
    assert (refused.outcome, refused.settled) == (Outcome.OVER_REVERSED, False)


# Bonus money.


def test_a_reversal_tells_whose_bonus_it_touched() -> None:
    book = Passbook()
    bonus_id = grant(book, 100, 10_000)
    book.apply(book.bet(40, id="b"))
    book.apply(book.win(60, id="w", reference="b"))
    taken = book.apply(book.rollback("w"))
    assert (taken.bonus_id, taken.bonus_amount, taken.wager_delta) == (bonus_id, 60, 0)
    returned = book.apply(book.rollback("b"))
    assert (returned.bonus_id, returned.bonus_amount, returned.wager_delta) == (bonus_id, 40, -40)


def test_the_progress_of_a_bonus_that_has_ended_stays_as_it_was() -> None:
    book = Passbook()
    book.give(50)
    bonus_id = grant(book, 100, 50)
    bet = book.apply(book.bet(50, id="b"))
    assert (bet.wager_delta, bet.bonus_amount) == (50, 0)
    returned = book.apply(book.rollback("b"))
    assert (returned.outcome, returned.wager_delta) == (Outcome.APPLIED, 0)
    assert book.loaded.bonuses[bonus_id].wager_done == 50


def test_partial_reversals_take_exactly_the_progress_of_the_bet() -> None:
    book = Passbook(partial_rollback=True)
    book.give(100)
    bonus_id = grant(book, 100, 10_000)
    book.apply(book.bet(10, id="b", wager_weight=7_777))
    deltas = [book.apply(book.rollback("b", amount=amount)).wager_delta for amount in (3, 3, 4)]
    assert sum(deltas) == -7
    assert all(delta < 0 for delta in deltas)
    assert book.loaded.bonuses[bonus_id].wager_done == 0


def test_bonus_first_without_bonus_money_is_paid_in_cash() -> None:
    book = Passbook(spend_order=SpendOrder.BONUS_FIRST)
    book.give(50)
    bet = book.apply(book.bet(50))
    assert (bet.outcome, bet.bonus_amount, book.cash) == (Outcome.APPLIED, 0, 0)


def test_cash_first_without_cash_is_paid_by_the_bonus() -> None:
    book = Passbook()
    grant(book, 50, 10_000)
    bet = book.apply(book.bet(50))
    assert (bet.outcome, bet.bonus_amount, book.bonus) == (Outcome.APPLIED, 50, 0)


def test_the_smallest_stake_needs_its_unit_of_money() -> None:
    book = Passbook()
    assert book.apply(book.bet(1)).outcome is Outcome.INSUFFICIENT_FUNDS


@pytest.mark.parametrize(
    ("stake", "outcome", "cash", "bonus"),
    [
        (50, Outcome.APPLIED, 0, 80),
        (51, Outcome.APPLIED, 50, 29),
        (80, Outcome.APPLIED, 50, 0),
        (81, Outcome.INSUFFICIENT_FUNDS, 50, 80),
    ],
)
def test_a_stake_of_one_bucket_may_take_all_of_it(
    stake: int, outcome: Outcome, cash: int, bonus: int
) -> None:
    book = Passbook(split_stake=False)
    book.give(50)
    adjust(book, 80, Bucket.BONUS)
    assert book.apply(book.bet(stake)).outcome is outcome
    assert (book.cash, book.bonus) == (cash, bonus)


def test_a_bonus_that_waits_begins_once_its_restriction_is_lifted() -> None:
    book = Passbook()
    first = grant(book, 100, 100)
    second = grant(book, 50, 1000)
    restrict = {"player_id": PLAYER, "scope": Scope.PLAYER}
    for bits in (Restriction.NO_BONUS, Restriction.NONE):
        if bits is Restriction.NONE:
            book.apply(book.bet(100))
            assert book.loaded.bonuses[first].state.name == "RELEASED"
            assert book.loaded.bonuses[second].state.name == "QUEUED"
        book.apply(SetRestriction(key=book.key(), restrictions=bits, **restrict))  # type: ignore[arg-type]
    book.wake()
    assert book.loaded.bonuses[second].state.name == "ACTIVE"
    assert book.bonus == 50


@pytest.mark.parametrize("stake", [None, 30])
def test_when_a_bonus_expires_the_next_one_counts_at_once(stake: int | None) -> None:
    book = Passbook()
    grant(book, 100, 1_000, expire_time=Micros(START + DAY))
    second = grant(book, 50, 1_000)
    book.now = Micros(START + DAY)
    if stake is None:
        book.wake()
    else:
        bet = book.apply(book.bet(stake))
        assert (bet.bonus_amount, bet.bonus_id) == (stake, second)
    assert book.loaded.bonuses[second].state.name == "ACTIVE"
    assert book.bonus == 50 - (stake or 0)


def test_a_bonus_of_another_currency_does_not_count() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=PLAYER, currency_code="USD"))
    grant(book, 100, 1_000, currency_code="USD", max_bet=1)
    book.give(50)
    bet = book.apply(book.bet(50))
    assert (bet.outcome, bet.bonus_id, bet.wager_delta) == (Outcome.APPLIED, None, 0)
    grant(book, 20, 1_000)
    assert book.bonus == 20, "one bonus counts in each currency"


def test_a_bonus_with_nothing_to_wager_lets_the_next_one_begin() -> None:
    book = Passbook()
    grant(book, 100, 100)
    at_once, third = grant(book, 20, 0), grant(book, 50, 1_000)
    book.give(100)
    book.apply(book.bet(100))
    states = [book.loaded.bonuses[each].state.name for each in (at_once, third)]
    assert states == ["RELEASED", "ACTIVE"]
    assert (book.cash, book.bonus) == (120, 50)


@pytest.mark.parametrize("bits", [Restriction.NO_BET, Restriction.NO_DEPOSIT])
def test_a_bonus_is_given_to_whom_only_something_else_is_forbidden(bits: Restriction) -> None:
    book = Passbook()
    book.apply(
        SetRestriction(key=book.key(), player_id=PLAYER, scope=Scope.PLAYER, restrictions=bits)
    )
    assert grant(book, 10, 10) in book.loaded.bonuses


# Debts and floors.


def debtor(**switches: Any) -> Passbook:
    return Passbook(rollback_win_short=WinShort.DEBT, debt_limit=100, **switches)


def test_a_debt_is_of_cash_and_never_of_bonus_money() -> None:
    book = debtor()
    book.give(50)
    grant(book, 50, 10_000)
    book.apply(book.bet(100, id="b"))
    book.apply(book.win(80, id="w", reference="b"))
    assert (book.cash, book.bonus) == (40, 40)
    book.apply(book.bet(80))
    taken = book.apply(book.rollback("w"))
    assert (taken.outcome, taken.shortfall) == (Outcome.APPLIED_CLAMPED, 40)
    assert (book.cash, book.bonus) == (-40, 0)


def test_a_player_in_debt_may_still_play_bonus_money() -> None:
    book = debtor()
    book.apply(book.win(50, id="w"))
    book.apply(book.bet(50))
    book.apply(book.rollback("w"))
    assert book.cash == -50
    grant(book, 30, 10_000)
    bet = book.apply(book.bet(30))
    assert (bet.outcome, bet.bonus_amount) == (Outcome.APPLIED, 30)
    assert (book.cash, book.bonus) == (-50, 0)


def test_a_chargeback_takes_bonus_money_to_zero_at_most() -> None:
    book = debtor()
    adjust(book, 30, Bucket.BONUS)
    refused = adjust(book, -31, Bucket.BONUS, chargeback=True)
    assert refused.outcome is Outcome.INSUFFICIENT_FUNDS
    assert adjust(book, -30, Bucket.BONUS, chargeback=True).outcome is Outcome.APPLIED


def test_only_a_debt_lowers_the_floor() -> None:
    book = debtor()
    book.give(30)
    assert adjust(book, -30, Bucket.CASH, chargeback=True).outcome is Outcome.APPLIED
    assert (book.cash, book.wallet().cash.floor) == (0, 0)
    book.apply(book.win(20, id="w"))
    book.apply(book.rollback("w"))
    assert (book.cash, book.wallet().cash.floor) == (0, 0)
    assert adjust(book, -1, Bucket.CASH, chargeback=True).outcome is Outcome.APPLIED
    assert (book.cash, book.wallet().cash.floor) == (-1, -100)


def test_a_refused_reversal_tells_no_shortfall_and_that_nothing_was_settled() -> None:
    book = Passbook()
    book.apply(book.win(50, id="w"))
    book.apply(book.bet(30))
    game = next(each for (kind, _, _), each in book.loaded.houses.items() if kind.name == "GAME")
    game.credits_posted = game.debits_posted = COUNTER_MAX - 1
    refused = book.apply(book.rollback("w"))
    assert (refused.outcome, refused.shortfall) == (Outcome.COUNTER_LIMIT, 0)
    assert refused.reversal_no is None


@pytest.mark.parametrize(
    ("make", "kind", "counter"),
    [
        ("win", HouseKind.GAME, "debits_posted"),
        ("bet", HouseKind.GAME, "credits_posted"),
        ("hold_deposit", HouseKind.PSP, "debits_pending"),
        ("withdraw", HouseKind.PSP, "credits_pending"),
    ],
)
def test_a_counter_of_the_house_reaches_its_maximum_and_no_further(
    make: str, kind: HouseKind, counter: str
) -> None:
    book = Passbook()
    book.give(100)
    book.apply(getattr(book, make)(1))
    house = next(each for (of, _, _), each in book.loaded.houses.items() if of is kind)
    setattr(house, counter, COUNTER_MAX - 5)
    assert book.apply(getattr(book, make)(6)).outcome is Outcome.COUNTER_LIMIT
    assert book.apply(getattr(book, make)(5)).outcome is Outcome.APPLIED
    assert getattr(house, counter) == COUNTER_MAX


def test_what_is_no_play_is_of_no_game() -> None:
    book = Passbook()
    result = book.apply(book.deposit(10))
    assert (result.game_id, result.round_id) == ("", None)


def test_a_policy_that_wants_a_reference_takes_no_win_without_one() -> None:
    book = Passbook(win_without_reference=Stance.REFUSE)
    refused = book.apply(book.win(10))
    assert (refused.outcome, book.cash) == (Outcome.REFERENCE_NOT_FOUND, 0)
