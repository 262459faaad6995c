"""Linked groups that fail: what was changed is as it was, and each leg says what is true now."""

from typing import Any

from services.wallet.domain import (
    Answer,
    BonusId,
    Capture,
    GrantBonus,
    HoldId,
    Key,
    Kind,
    LimitKind,
    Micros,
    OpenWallet,
    Outcome,
    Period,
    Restriction,
    Result,
    Reused,
    Scope,
    SetLimit,
    SetRestriction,
    Stance,
)
from tests.wallet.passbook import DAY, OTHER, PLAYER, START, Passbook


def fields(book: Passbook, **values: Any) -> dict[str, Any]:
    return {"key": book.key(), "player_id": PLAYER, "currency_code": "EUR"} | values


def limit(book: Passbook, most: int) -> SetLimit:
    return SetLimit(
        **fields(book),
        scope=Scope.PLAYER,
        limit_kind=LimitKind.WAGER,
        period=Period.DAY,
        max_amount=most,
    )


def grant(book: Passbook, **values: Any) -> GrantBonus:
    return GrantBonus(
        **fields(book),
        amount=100,
        wager_required=1_000,
        expire_time=Micros(START + DAY),
        **values,
    )


def results(answers: list[Answer | Reused]) -> list[Result]:
    found = [each.result for each in answers if isinstance(each, Answer)]
    assert len(found) == len(answers)
    return found


def test_a_limit_of_a_failed_group_never_counts() -> None:
    book = Passbook()
    book.give(100)
    answers = book.group(limit(book, 10), book.bet(1_000))
    assert results(answers)[0].outcome is Outcome.LINKED_FAILED
    assert book.loaded.limits == {}
    assert book.apply(book.bet(50)).outcome is Outcome.APPLIED


def test_a_limit_that_stood_before_stands_after_a_failed_group() -> None:
    book = Passbook()
    book.give(100)
    book.apply(limit(book, 40))
    weekly = limit(book, 5)
    more = SetLimit(
        **fields(book),
        scope=Scope.OPERATOR,
        limit_kind=weekly.limit_kind,
        period=Period.WEEK,
        max_amount=5,
    )
    book.group(weekly, more, book.bet(1_000))
    [counter] = book.loaded.limits[PLAYER]
    assert (counter.max_amount, counter.used) == (40, 0)
    assert book.apply(book.bet(40)).outcome is Outcome.APPLIED
    assert book.apply(book.bet(1)).outcome is Outcome.LIMIT_REACHED


def test_restrictions_holds_rounds_and_bonuses_of_a_failed_group_are_gone() -> None:
    book = Passbook()
    book.give(100)
    before = book.apply(book.bet(10, round_key="old"))
    answers = book.group(
        SetRestriction(
            key=book.key(),
            player_id=PLAYER,
            scope=Scope.PLAYER,
            restrictions=Restriction.NO_WITHDRAW,
        ),
        grant(book),
        book.bet(10, round_key="new", close_round=True),
        book.close("old"),
        book.hold_deposit(20),
        book.withdraw(1),
    )
    told = results(answers)
    assert [each.outcome for each in told] == [Outcome.LINKED_FAILED] * 5 + [
        Outcome.PLAYER_RESTRICTED
    ]
    assert all(each.moved == () for each in told)
    assert all(each.available is None or each.available.cash == 90 for each in told)
    assert (book.cash, book.bonus) == (90, 0)
    assert (book.loaded.holds, book.loaded.bonuses) == ({}, {})
    [played] = book.loaded.rounds.values()
    assert (played.round_id, played.state.name, played.staked_cash) == (before.round_id, "OPEN", 10)
    assert book.apply(book.withdraw(1)).outcome is Outcome.APPLIED


def test_a_leg_tells_the_balance_though_it_was_never_judged() -> None:
    book = Passbook()
    book.give(100)
    told = results(book.group(book.bet(1_000), book.bet(1)))
    assert told[1].outcome is Outcome.LINKED_FAILED
    assert told[1].amount == 1
    assert told[1].available is not None
    assert told[1].available.cash == 100


def test_legs_after_the_one_that_fails_are_not_judged() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(1, id="known"))
    answers = book.group(book.bet(2, id="known"), book.bet(1_000))
    assert isinstance(answers[0], Reused)
    assert isinstance(answers[1], Answer)
    assert answers[1].result.outcome is Outcome.LINKED_FAILED


def test_the_legs_of_a_new_group_are_no_replays_and_those_of_a_known_one_are() -> None:
    book = Passbook()
    book.give(100)
    legs = (book.bet(10), book.win(5))
    for replayed in (False, True):
        answers = book.group(*legs)
        assert [isinstance(each, Answer) and each.replayed for each in answers] == [replayed] * 2


def test_a_refused_leg_names_its_original_where_it_is_stored_at_last() -> None:
    """A tombstone that was undone takes its place in the log with it."""
    book = Passbook(partial_rollback=True)
    book.give(100)
    told = results(
        book.group(book.rollback("never"), book.bet(10, id="b"), book.rollback("b", amount=11))
    )
    assert [each.outcome for each in told] == [
        Outcome.LINKED_FAILED,
        Outcome.LINKED_FAILED,
        Outcome.OVER_REVERSED,
    ]
    assert [each.seq for each in told] == list(range(told[0].seq, told[0].seq + 3))
    assert told[2].original_seq == told[1].seq


def test_a_refused_leg_names_a_bonus_that_there_is_and_none_that_was_undone() -> None:
    book = Passbook()
    told = results(book.group(grant(book, max_bet=5), book.bet(10)))
    assert [each.outcome for each in told] == [Outcome.LINKED_FAILED, Outcome.BONUS_MAX_BET]
    assert told[1].bonus_id is None
    granted = book.apply(grant(book, max_bet=5))
    told = results(book.group(book.bet(1), book.bet(10)))
    assert told[1].outcome is Outcome.BONUS_MAX_BET
    assert told[1].bonus_id == granted.bonus_id


def test_a_refused_leg_names_no_round_that_was_undone() -> None:
    book = Passbook()
    book.give(100)
    told = results(book.group(book.bet(10, round_key="r"), book.bet(1_000, round_key="r")))
    assert told[1].outcome is Outcome.INSUFFICIENT_FUNDS
    assert (told[1].round_id, told[1].round_state) == (None, None)


def test_a_refused_rollback_of_a_group_names_the_tombstone_that_it_leaves() -> None:
    book = Passbook(rollback_unknown=Stance.REFUSE)
    book.give(100)
    told = results(book.group(book.bet(10), book.rollback("never")))
    assert told[1].outcome is Outcome.REFERENCE_NOT_FOUND
    tombstone = book.transfers[-1]
    assert tombstone.kind is Kind.TOMBSTONE
    assert (told[1].original_seq, tombstone.original_seq) == (tombstone.seq, told[1].seq)


# Whose wallet it is.


def test_another_tenants_player_is_not_found_by_any_operation() -> None:
    book = Passbook()
    book.give(100)
    hold = book.apply(book.withdraw(10))
    assert hold.hold_id is not None
    granted = book.apply(grant(book))
    assert granted.bonus_id is not None
    foreign = [
        Capture(key=Key("u", "psp", "c"), player_id=PLAYER, hold_id=HoldId(hold.hold_id)),
        SetRestriction(
            key=Key("u", "office", "r"),
            player_id=PLAYER,
            scope=Scope.PLAYER,
            restrictions=Restriction.FROZEN,
        ),
        OpenWallet(key=Key("u", "office", "o"), player_id=PLAYER, currency_code="USD"),
    ]
    for operation in foreign:
        refused = book.apply(operation)
        assert (refused.outcome, refused.available) == (Outcome.PLAYER_NOT_FOUND, None)
    assert book.loaded.players[PLAYER].restrictions == 0
    assert BonusId(granted.bonus_id) in book.loaded.bonuses
    unknown = book.apply(OpenWallet(key=book.key(), player_id=OTHER, currency_code="EUR"))
    assert unknown.outcome is Outcome.APPLIED
