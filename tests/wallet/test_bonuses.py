"""The life of a bonus, to the unit."""

from typing import Any

import pytest

from services.wallet.domain import (
    BonusId,
    BonusState,
    ForfeitBonus,
    GrantBonus,
    Kind,
    Micros,
    OpenWallet,
    Outcome,
    Restriction,
    Result,
    Scope,
    SetRestriction,
    SpendOrder,
)
from tests.wallet.passbook import DAY, OTHER, PLAYER, START, Passbook


def grant(book: Passbook, amount: int, required: int, **values: Any) -> Result:
    fields: dict[str, Any] = {
        "key": book.key(),
        "player_id": PLAYER,
        "currency_code": "EUR",
        "expire_time": Micros(START + 30 * DAY),
    }
    return book.apply(GrantBonus(amount=amount, wager_required=required, **(fields | values)))


def forfeit(book: Passbook, granted: Result) -> Result:
    assert granted.bonus_id is not None
    return book.apply(
        ForfeitBonus(key=book.key(), player_id=PLAYER, bonus_id=BonusId(granted.bonus_id))
    )


def state(book: Passbook, granted: Result) -> BonusState:
    assert granted.bonus_id is not None
    return book.loaded.bonuses[granted.bonus_id].state


def done(book: Passbook, granted: Result) -> int:
    assert granted.bonus_id is not None
    return book.loaded.bonuses[granted.bonus_id].wager_done


def test_a_bonus_is_booked_and_counts() -> None:
    book = Passbook()
    granted = grant(book, 100, 1000)
    assert (granted.outcome, state(book, granted)) == (Outcome.APPLIED, BonusState.ACTIVE)
    assert (book.bonus, book.house()) == (100, {"bonus_cost": -100})


def test_bonus_money_can_be_played_and_not_withdrawn() -> None:
    book = Passbook()
    grant(book, 100, 1000)
    assert book.apply(book.withdraw(1)).outcome is Outcome.INSUFFICIENT_FUNDS
    assert book.apply(book.bet(40)).outcome is Outcome.APPLIED
    assert book.bonus == 60


def test_a_win_returns_in_the_proportion_of_the_rounds_stakes() -> None:
    book = Passbook()
    book.give(50)
    grant(book, 100, 10_000)
    bet = book.apply(book.bet(75, round_key="r"))
    assert (bet.bonus_amount, book.cash, book.bonus) == (25, 0, 75)
    win = book.apply(book.win(100, round_key="r"))
    assert (win.bonus_amount, book.cash, book.bonus) == (33, 67, 108)


def test_a_win_follows_its_bet_where_there_is_no_round() -> None:
    book = Passbook()
    grant(book, 100, 10_000)
    book.apply(book.bet(10, id="b"))
    book.apply(book.win(30, reference="b"))
    assert (book.cash, book.bonus) == (0, 120)


def test_the_bonus_may_override_the_order_of_spending() -> None:
    book = Passbook()
    book.give(100)
    grant(book, 100, 10_000, spend_order=SpendOrder.BONUS_FIRST)
    book.apply(book.bet(30))
    assert (book.cash, book.bonus) == (100, 70)


def test_a_stake_of_bonus_money_has_a_maximum_and_one_of_cash_has_none() -> None:
    book = Passbook()
    book.give(60)
    grant(book, 100, 10_000, max_bet=50)
    assert book.apply(book.bet(51)).outcome is Outcome.APPLIED
    refused = book.apply(book.bet(51))
    assert (refused.outcome, refused.detail) == (Outcome.BONUS_MAX_BET, {"max_bet": 50})
    assert book.apply(book.bet(50)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(("weight", "progress"), [(10_000, 33), (5_000, 16), (1, 0), (0, 0)])
def test_stakes_count_by_their_weight_rounded_down(weight: int, progress: int) -> None:
    book = Passbook()
    book.give(100)
    granted = grant(book, 10, 1000)
    bet = book.apply(book.bet(33, wager_weight=weight))
    assert (bet.wager_delta, done(book, granted)) == (progress, progress)


def test_a_rollback_takes_the_progress_back() -> None:
    book = Passbook(partial_rollback=True)
    book.give(100)
    granted = grant(book, 10, 1000)
    book.apply(book.bet(99, id="b", wager_weight=3_333))
    assert done(book, granted) == 32
    book.apply(book.rollback("b", amount=50))
    assert done(book, granted) == 16
    book.apply(book.rollback("b"))
    assert (done(book, granted), book.cash, book.bonus) == (0, 100, 10)


def test_the_bet_that_completes_the_wagering_releases_the_bonus() -> None:
    book = Passbook()
    book.give(100)
    granted = grant(book, 40, 100)
    book.apply(book.bet(99))
    assert state(book, granted) is BonusState.ACTIVE
    book.apply(book.bet(1))
    assert state(book, granted) is BonusState.RELEASED
    assert (book.cash, book.bonus) == (40, 0)
    release = book.transfers[-1]
    assert (release.kind, release.source, release.amount) == (
        Kind.RELEASE_BONUS,
        "wallet:rules",
        40,
    )


def test_a_bonus_without_wagering_is_cash_at_once() -> None:
    book = Passbook()
    granted = grant(book, 40, 0)
    assert (state(book, granted), book.cash, book.bonus) == (BonusState.RELEASED, 40, 0)


def test_money_of_a_released_bonus_returns_to_cash() -> None:
    book = Passbook()
    granted = grant(book, 40, 50)
    book.apply(book.bet(20, id="b", round_key="r"))
    book.give(30)
    book.apply(book.bet(30))
    assert state(book, granted) is BonusState.RELEASED
    cash = book.cash
    book.apply(book.win(60, id="w", round_key="r"))
    assert book.cash == cash + 60
    book.apply(book.rollback("w"))
    book.apply(book.rollback("b"))
    assert (book.cash, book.bonus) == (cash + 20, 0)


@pytest.mark.parametrize("end", ["forfeit", "expire"])
def test_money_of_a_bonus_that_is_gone_goes_through_to_the_house(end: str) -> None:
    book = Passbook()
    granted = grant(book, 40, 500)
    book.apply(book.bet(20, id="b", round_key="r"))
    if end == "forfeit":
        assert forfeit(book, granted).outcome is Outcome.APPLIED
    else:
        book.now = Micros(START + 30 * DAY)
    book.apply(book.win(60, id="w", round_key="r"))
    assert (book.cash, book.bonus) == (0, 0)
    book.apply(book.rollback("w"))
    book.apply(book.rollback("b"))
    assert (book.cash, book.bonus) == (0, 0)
    assert book.house() == {"bonus_cost": 0, "game": 0}


def test_a_win_of_a_gone_bonus_is_taken_back_from_where_it_went() -> None:
    book = Passbook()
    granted = grant(book, 40, 500)
    book.apply(book.bet(20, round_key="r"))
    book.apply(book.win(60, id="w", round_key="r"))
    assert book.bonus == 80
    forfeit(book, granted)
    result = book.apply(book.rollback("w"))
    assert (result.outcome, result.shortfall) == (Outcome.APPLIED, 0)
    assert book.house() == {"bonus_cost": -20, "game": 20}


def test_a_second_bonus_waits_for_the_first() -> None:
    book = Passbook()
    first, second = grant(book, 40, 500), grant(book, 70, 100)
    assert (state(book, second), book.bonus) == (BonusState.QUEUED, 40)
    assert second.moved == ()
    forfeit(book, first)
    assert (state(book, second), book.bonus) == (BonusState.ACTIVE, 70)


def test_queued_bonuses_follow_in_the_order_in_which_they_were_granted() -> None:
    book = Passbook()
    book.give(1000)
    bonuses = [grant(book, 10, 50) for _ in range(4)]
    for granted in bonuses:
        assert state(book, granted) is BonusState.ACTIVE
        book.apply(book.bet(50, wager_weight=10_000))
        assert state(book, granted) is BonusState.RELEASED
    kinds = [transfer.kind for transfer in book.transfers]
    assert kinds.count(Kind.ACTIVATE_BONUS) == 3


@pytest.mark.parametrize("ended", ["forfeited", "released"])
def test_a_round_holds_the_money_of_one_bonus_only(ended: str) -> None:
    book = Passbook()
    first = grant(book, 100, 100)
    second = grant(book, 50, 1000)
    weight = 10_000 if ended == "released" else 0
    book.apply(book.bet(100, round_key="r1", wager_weight=weight))
    if ended == "forfeited":
        forfeit(book, first)
    assert (book.cash, book.bonus, state(book, second)) == (0, 50, BonusState.ACTIVE)
    short = book.apply(book.bet(1, round_key="r1"))
    assert short.outcome is Outcome.INSUFFICIENT_FUNDS
    book.give(1)
    assert book.apply(book.bet(1, round_key="r1")).outcome is Outcome.APPLIED
    assert (book.cash, book.bonus) == (0, 50)
    book.apply(book.win(101, round_key="r1"))
    # The share of the bonus that has ended goes where that bonus went, and none to the other.
    assert (book.cash, book.bonus) == ((101, 50) if ended == "released" else (1, 50))
    assert book.apply(book.bet(10, round_key="r2")).outcome is Outcome.APPLIED


def test_a_round_whose_bonus_stake_was_taken_back_takes_another_bonus() -> None:
    book = Passbook()
    first = grant(book, 100, 1000)
    grant(book, 50, 1000)
    book.apply(book.bet(100, id="b", round_key="r1"))
    book.apply(book.rollback("b"))
    forfeit(book, first)
    assert book.apply(book.bet(50, round_key="r1")).outcome is Outcome.APPLIED
    assert book.bonus == 0


def test_a_bonus_that_is_queued_can_be_given_up() -> None:
    book = Passbook()
    grant(book, 40, 500)
    queued = grant(book, 70, 100)
    result = forfeit(book, queued)
    assert (result.outcome, result.amount, book.bonus) == (Outcome.APPLIED, 0, 40)


def test_a_bonus_ends_once() -> None:
    book = Passbook()
    granted = grant(book, 40, 500)
    forfeit(book, granted)
    assert forfeit(book, granted).outcome is Outcome.BONUS_NOT_ACTIVE


def test_an_unknown_bonus_and_one_of_another_player_are_refused() -> None:
    book = Passbook()
    unknown = ForfeitBonus(key=book.key(), player_id=PLAYER, bonus_id=BonusId(bytes(16)))
    assert book.apply(unknown).outcome is Outcome.BONUS_NOT_FOUND
    book.apply(OpenWallet(key=book.key(), player_id=OTHER, currency_code="EUR"))
    granted = grant(book, 40, 500)
    assert granted.bonus_id is not None
    foreign = ForfeitBonus(key=book.key(), player_id=OTHER, bonus_id=granted.bonus_id)
    assert book.apply(foreign).outcome is Outcome.REFERENCE_MISMATCH


def test_a_restricted_player_gets_no_bonus() -> None:
    book = Passbook()
    grant(book, 40, 500)
    queued = grant(book, 70, 100)
    restriction = SetRestriction(
        key=book.key(), player_id=PLAYER, scope=Scope.PLAYER, restrictions=Restriction.NO_BONUS
    )
    book.apply(restriction)
    assert grant(book, 5, 5).outcome is Outcome.PLAYER_RESTRICTED
    book.apply(book.bet(40))
    book.now = Micros(START + 1)
    book.wake()
    assert state(book, queued) is BonusState.QUEUED


def test_expiry_takes_what_is_left() -> None:
    book = Passbook()
    granted = grant(book, 40, 500)
    book.apply(book.bet(15))
    book.now = Micros(START + 30 * DAY)
    book.wake()
    assert (state(book, granted), book.bonus) == (BonusState.EXPIRED, 0)
    assert book.house() == {"bonus_cost": -15, "game": 15}


def test_a_bonus_from_its_grant_to_its_release_to_the_unit() -> None:
    book = Passbook()
    book.give(100)
    granted = grant(book, 101, 300)
    statement = []
    for operation in (
        # Cash first; the rest of the stake is the bonus's.
        book.bet(133, id="b1", round_key="r1"),
        # 33 of 133 belong to the bonus: 77 * 33 // 133 = 19.
        book.win(77, id="w1", round_key="r1"),
        # Taken back in the same parts.
        book.rollback("w1"),
        book.win(266, round_key="r1"),
        # It begins with the cash again: 200 + 60.
        book.bet(260, id="b2", round_key="r2"),
        # 393 have been wagered, so the bonus has become cash, and what it paid returns as cash.
        book.win(13, round_key="r2"),
        book.rollback("b2"),
    ):
        result = book.apply(operation)
        assert result.outcome is Outcome.APPLIED
        statement.append((result.bonus_amount, book.cash, book.bonus, state(book, granted)))
    active, released = BonusState.ACTIVE, BonusState.RELEASED
    assert statement == [
        (33, 0, 68, active),
        (19, 58, 87, active),
        (19, 0, 68, active),
        (66, 200, 134, active),
        # Released by the bet: the 74 that were left are cash.
        (60, 74, 0, released),
        (3, 87, 0, released),
        (60, 347, 0, released),
    ]
    # The player has 347, of which 100 were paid in, 101 given, and 146 won of the game.
    assert book.house() == {"psp": -100, "bonus_cost": -101, "game": -146}
