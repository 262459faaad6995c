"""Limits and their windows."""

from datetime import UTC, datetime

import pytest

from services.kit.clock import from_micros, to_micros
from services.wallet.domain import (
    GrantBonus,
    IfRefused,
    LimitKind,
    Micros,
    Outcome,
    Period,
    Release,
    Result,
    Scope,
    SetLimit,
)
from services.wallet.domain.limits import window_end
from tests.wallet.passbook import DAY, HOUR, PLAYER, START, Passbook


def limit(
    book: Passbook,
    kind: LimitKind,
    most: int | None,
    period: Period = Period.DAY,
    scope: Scope = Scope.PLAYER,
    start_time: Micros | None = None,
) -> Result:
    result = book.apply(
        SetLimit(
            key=book.key(),
            player_id=PLAYER,
            currency_code="EUR",
            scope=scope,
            limit_kind=kind,
            period=period,
            max_amount=most,
            start_time=start_time,
        )
    )
    assert result.outcome is Outcome.APPLIED
    return result


def test_a_stake_from_before_the_window_is_not_taken_back_from_it_at_the_same_moment() -> None:
    book = Passbook()
    book.give(1000)
    book.apply(book.bet(100, id="before"))
    limit(book, LimitKind.WAGER, 100)
    book.apply(book.bet(100, id="within"))
    book.apply(book.rollback("before"))
    assert book.apply(book.bet(100)).outcome is Outcome.LIMIT_REACHED
    book.apply(book.rollback("within"))
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED


def test_a_hold_from_before_the_window_is_not_taken_back_from_it_at_the_same_moment() -> None:
    book = Passbook()
    before = book.apply(book.hold_deposit(100))
    limit(book, LimitKind.DEPOSIT, 100)
    book.apply(book.deposit(100))
    assert before.hold_id is not None
    book.apply(Release(key=book.key(), player_id=PLAYER, hold_id=before.hold_id))
    assert book.apply(book.deposit(1)).outcome is Outcome.LIMIT_REACHED


def test_stakes_reach_the_wager_limit_exactly() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100)
    assert book.apply(book.bet(60)).outcome is Outcome.APPLIED
    refused = book.apply(book.bet(41))
    assert refused.outcome is Outcome.LIMIT_REACHED
    assert refused.limit is not None
    assert (refused.limit.kind, refused.limit.max_amount, refused.limit.used) == (
        LimitKind.WAGER,
        100,
        60,
    )
    assert refused.limit.window_end == START + DAY
    assert book.apply(book.bet(40)).outcome is Outcome.APPLIED


def test_a_limit_beats_missing_funds() -> None:
    book = Passbook()
    limit(book, LimitKind.WAGER, 100)
    assert book.apply(book.bet(101)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(100)).outcome is Outcome.INSUFFICIENT_FUNDS


def test_wins_lower_the_loss_and_not_the_wager() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.LOSS, 100)
    limit(book, LimitKind.WAGER, 250)
    book.apply(book.bet(100))
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED
    book.apply(book.win(80))
    assert book.apply(book.bet(80)).outcome is Outcome.APPLIED
    book.apply(book.win(500))
    refused = book.apply(book.bet(71))
    assert refused.limit is not None
    assert refused.limit.kind is LimitKind.WAGER


def test_a_rollback_gives_back_what_its_bet_used() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.LOSS, 100)
    limit(book, LimitKind.WAGER, 100)
    book.apply(book.bet(100, id="b"))
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED
    book.apply(book.rollback("b"))
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED


def test_a_rollback_of_a_win_is_a_loss_again() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.LOSS, 100)
    book.apply(book.bet(100))
    book.apply(book.win(50, id="w"))
    book.apply(book.rollback("w"))
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED


def test_a_rollback_gives_nothing_back_to_a_later_window() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100)
    book.apply(book.bet(90, id="b"))
    book.now = Micros(START + DAY)
    book.apply(book.bet(50))
    book.apply(book.rollback("b"))
    assert book.apply(book.bet(51)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(50)).outcome is Outcome.APPLIED


def test_a_window_begins_with_what_counts_first_and_ends_on_time() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100)
    book.now = Micros(START + 3 * HOUR)
    book.apply(book.bet(100))
    book.now = Micros(START + 3 * HOUR + DAY - 1)
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED
    book.now = Micros(book.now + 1)
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED


def test_a_stake_of_bonus_money_alone_opens_no_window_of_losses() -> None:
    book = Passbook()
    limit(book, LimitKind.LOSS, 50)
    end = Micros(START + 30 * DAY)
    book.apply(
        GrantBonus(
            key=book.key(),
            player_id=PLAYER,
            currency_code="EUR",
            amount=40,
            wager_required=500,
            expire_time=end,
        )
    )
    assert book.apply(book.bet(10)).bonus_amount == 10
    [counter] = book.loaded.limits[PLAYER]
    assert (counter.used, counter.window_end) == (0, 0)
    book.now = Micros(START + HOUR)
    book.give(5)
    book.apply(book.bet(5))
    assert (counter.used, counter.window_end) == (5, START + HOUR + DAY)


def test_the_stricter_of_two_parties_limits_wins() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100, scope=Scope.PLAYER)
    limit(book, LimitKind.WAGER, 40, scope=Scope.OPERATOR)
    refused = book.apply(book.bet(101))
    assert refused.limit is not None
    assert (refused.limit.scope, refused.limit.max_amount) == (Scope.OPERATOR, 40)
    limit(book, LimitKind.WAGER, None, scope=Scope.OPERATOR)
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED


def test_a_tighter_limit_counts_what_was_used_before() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100)
    book.apply(book.bet(60))
    limit(book, LimitKind.WAGER, 50)
    refused = book.apply(book.bet(1))
    assert refused.limit is not None
    assert (refused.limit.max_amount, refused.limit.used) == (50, 60)
    assert book.apply(book.bet(0)).outcome is Outcome.APPLIED


def test_a_looser_limit_begins_when_it_was_said_to() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100, Period.WEEK)
    book.apply(book.bet(100))
    limit(book, LimitKind.WAGER, 200, Period.WEEK, start_time=Micros(START + DAY))
    book.now = Micros(START + DAY - 1)
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED
    book.now = Micros(START + DAY)
    assert book.apply(book.bet(100)).outcome is Outcome.APPLIED
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED


def test_a_tighter_limit_cancels_a_looser_one_to_come() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 100)
    limit(book, LimitKind.WAGER, None, start_time=Micros(START + HOUR))
    limit(book, LimitKind.WAGER, 50)
    book.now = Micros(START + 2 * HOUR)
    assert book.apply(book.bet(51)).outcome is Outcome.LIMIT_REACHED


def test_a_limit_of_another_currency_does_not_count() -> None:
    book = Passbook()
    book.give(1000)
    limit(book, LimitKind.WAGER, 0)
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED
    assert book.apply(book.bet(1, currency_code="USD")).outcome is Outcome.ACCOUNT_NOT_FOUND


# Deposits.


def test_announced_deposits_count_until_they_are_freed() -> None:
    book = Passbook()
    limit(book, LimitKind.DEPOSIT, 100)
    held = book.apply(book.hold_deposit(70))
    assert book.apply(book.hold_deposit(31)).outcome is Outcome.LIMIT_REACHED
    assert held.hold_id is not None
    book.apply(Release(key=book.key(), player_id=PLAYER, hold_id=held.hold_id))
    assert book.apply(book.deposit(100)).outcome is Outcome.APPLIED


def test_withdrawals_do_not_make_room_for_deposits() -> None:
    book = Passbook()
    limit(book, LimitKind.DEPOSIT, 100)
    book.give(100)
    book.apply(book.withdraw(100))
    assert book.apply(book.deposit(1)).outcome is Outcome.LIMIT_REACHED


def test_a_deposit_beyond_the_limit_may_be_locked_and_does_not_count() -> None:
    book = Passbook()
    limit(book, LimitKind.DEPOSIT, 100)
    result = book.apply(book.deposit(101, if_refused=IfRefused.LOCK))
    assert result.outcome is Outcome.APPLIED_LOCKED
    assert (book.cash, book.locked) == (0, 101)
    assert book.apply(book.deposit(100)).outcome is Outcome.APPLIED


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2026-03-28T22:00", Period.DAY, "2026-03-29T22:00"),
        ("2026-12-30T10:00", Period.WEEK, "2027-01-06T10:00"),
        ("2026-12-15T10:00", Period.MONTH, "2027-01-15T10:00"),
        ("2026-01-31T10:00", Period.MONTH, "2026-02-28T10:00"),
        ("2028-01-31T10:00", Period.MONTH, "2028-02-29T10:00"),
        ("2026-08-31T10:00", Period.MONTH, "2026-09-30T10:00"),
    ],
)
def test_windows_end_a_period_later(start: str, period: Period, end: str) -> None:
    begin = Micros(to_micros(datetime.fromisoformat(start).replace(tzinfo=UTC)))
    assert from_micros(window_end(begin, period)) == datetime.fromisoformat(end).replace(tzinfo=UTC)
