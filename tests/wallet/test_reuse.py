"""A key that is used again: the error names the fields that differ, all of them and no other."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bucket,
    Capture,
    ForfeitBonus,
    HoldId,
    IfRefused,
    Key,
    Kind,
    Operation,
    PlayerId,
    Restriction,
    Reused,
    Rollback,
    Scope,
    SetRestriction,
    Win,
)
from services.wallet.domain.reuse import differing_fields
from services.wallet.domain.values import BonusId
from tests.wallet.passbook import DAY, PLAYER, START, Passbook

STRANGER = PlayerId(bytes(15) + b"\x09")
UNKNOWN = bytes(15) + b"\x07"


def bet(book: Passbook, **fields: Any) -> Operation:
    return book.bet(50, id="k", **fields)


def rollback(book: Passbook, **fields: Any) -> Operation:
    return book.rollback("b", id="k", **fields)


def capture(book: Passbook, **fields: Any) -> Operation:
    held = book.apply(book.withdraw(20))
    assert held.hold_id is not None
    common: dict[str, Any] = {"key": book.key("k"), "player_id": PLAYER, "hold_id": held.hold_id}
    return Capture(**common | fields)


Make = Callable[[Passbook], Operation]

CASES: dict[str, tuple[Make, dict[str, Any]]] = {
    "a bet of a round": (lambda book: bet(book, round_key="r"), {"amount": 51}),
    "a bet without a round": (bet, {"round_key": "r"}),
    "a bet of another player": (bet, {"player_id": STRANGER, "close_round": True}),
    "a bet of nobody": (lambda book: bet(book, player_id=STRANGER), {"game_id": "slots"}),
    "a bet without an account": (lambda book: bet(book, currency_code="USD"), {"round_key": "r"}),
    "a bet beyond the balance": (
        lambda book: book.bet(10**6, id="k", round_key="r"),
        {"game_id": "slots"},
    ),
    "a win": (lambda book: book.win(5, id="k", reference="b"), {"reference": ""}),
    "a win of an unknown bet": (lambda book: book.win(5, id="k", reference="?"), {"amount": 6}),
    "a rollback": (rollback, {"reference": "other"}),
    "a rollback that names a round": (
        lambda book: rollback(book, round_key="s"),
        {"close_round": True},
    ),
    "a rollback that names another round than its bet": (
        lambda book: rollback(book, round_key="s"),
        {"round_key": "r"},
    ),
    "a rollback of a bet of unnamed round": (rollback, {"round_key": "r"}),
    "a rollback of all": (rollback, {"amount": 30}),
    "a rollback of a part": (lambda book: rollback(book, amount=30), {"amount": None}),
    "a rollback of a kind": (
        lambda book: rollback(book, reference_kind=Kind.BET),
        {"reference_kind": None},
    ),
    "a rollback of nothing": (
        lambda book: book.rollback("never", id="k", round_key="nowhere"),
        {"reference": "k"},
    ),
    "a rollback of itself": (
        lambda book: book.rollback("k", id="k", round_key="nowhere"),
        {"reference": "never"},
    ),
    "a deposit": (lambda book: book.deposit(5, id="k"), {"authorization_number": "1"}),
    "a deposit of nobody": (
        lambda book: book.deposit(
            5, id="k", player_id=STRANGER, if_refused=IfRefused.LOCK, authorization_number="1"
        ),
        {"amount": 6},
    ),
    "an announcement": (
        lambda book: book.hold_deposit(5, id="k", expire_time=START + DAY),
        {"expire_time": None},
    ),
    "an announcement without an end": (
        lambda book: book.hold_deposit(5, id="k"),
        {"expire_time": START + DAY},
    ),
    "a withdrawal": (lambda book: book.withdraw(5, id="k"), {"currency_code": "USD"}),
    "a capture of all": (capture, {"amount": 20}),
    "a capture of a part": (lambda book: capture(book, amount=5), {"amount": None}),
    "a capture of an unknown hold": (
        lambda book: capture(book, hold_id=HoldId(UNKNOWN), amount=5),
        {"hold_id": HoldId(bytes(16))},
    ),
    "a forfeit of an unknown bonus": (
        lambda book: ForfeitBonus(key=book.key("k"), player_id=PLAYER, bonus_id=BonusId(UNKNOWN)),
        {"reason": "r"},
    ),
    "a restriction": (
        lambda book: SetRestriction(
            key=book.key("k"),
            player_id=PLAYER,
            scope=Scope.PLAYER,
            restrictions=Restriction.NONE,
        ),
        {"restrictions": Restriction.NO_BET},
    ),
    "a correction of nobody": (
        lambda book: Adjust(
            key=book.key("k"),
            player_id=STRANGER,
            currency_code="EUR",
            amount=-5,
            bucket=Bucket.CASH,
            reason="r",
            actor="a",
            approver="b",
            chargeback=True,
        ),
        {"approver": "c"},
    ),
}


def in_play() -> Passbook:
    book = Passbook(partial_rollback=True)
    book.give(100)
    book.apply(book.bet(40, id="b", round_key="r"))
    return book


@pytest.mark.parametrize("case", CASES)
def test_exactly_what_differs_is_named(case: str) -> None:
    make, changes = CASES[case]
    book = in_play()
    operation = make(book)
    book.apply(operation)
    again = dataclasses.replace(operation, **changes)
    assert book.reused(again) == tuple(sorted(changes))


@pytest.mark.parametrize("case", CASES)
def test_exactly_what_differs_is_named_of_a_leg_whose_group_failed(case: str) -> None:
    make, changes = CASES[case]
    book = in_play()
    operation = make(book)
    poor = book.bet(10**6, player_id=operation.player_id)
    book.group(poor, operation)
    again = dataclasses.replace(operation, **changes)
    assert book.reused(again) == tuple(sorted(changes))


def test_a_leg_keeps_the_names_of_what_was_undone_with_its_group() -> None:
    book = in_play()
    opening = book.bet(5, id="first", round_key="new")
    poor = book.bet(10**6, id="k", round_key="new")
    book.group(opening, poor)
    assert book.reused(dataclasses.replace(poor, game_id="slots")) == ("game_id",)
    win = book.win(5, id="w", reference="fresh", round_key="newer", currency_code="USD")
    book.group(book.bet(1, id="fresh", round_key="newer"), win)
    assert book.reused(dataclasses.replace(win, amount=6)) == ("amount",)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"close_round": True}, ("close_round",)),
        ({"reference": "other"}, ("reference",)),
        # It lies in words that were not kept, and nobody knows in which of them.
        ({"amount": 10}, ()),
        ({"round_key": "s"}, ()),
    ],
    ids=str,
)
def test_of_a_rollback_of_an_older_version_only_what_is_known_is_named(
    changes: dict[str, Any], named: tuple[str, ...]
) -> None:
    book = in_play()
    first = book.rollback("b", id="k", round_key="r")
    book.apply(first)
    name = ("t", "studio", b"\x02k")
    known = book.loaded.postings[name]
    book.loaded.postings[name] = known._replace(transfer=known.transfer._replace(detail=None))
    assert book.reused(dataclasses.replace(first, **changes)) == named


def test_of_a_capture_of_an_older_version_the_one_word_not_kept_is_what_differs() -> None:
    book = in_play()
    first = capture(book)
    book.apply(first)
    [known] = [each for name, each in book.loaded.postings.items() if name[2] == b"\x02k"]
    older = known._replace(transfer=known.transfer._replace(detail=None))
    again = dataclasses.replace(first, amount=5)  # type: ignore[call-arg]  # a capture has one
    assert differing_fields(older, again) == ("amount",)


def test_another_kind_is_all_that_is_told_of_it() -> None:
    book = in_play()
    book.apply(book.bet(5, id="k"))
    for other in (book.win(5, id="k"), book.rollback("k", id="k")):
        assert isinstance(other, Win | Rollback)
        assert book.submit(other) == Reused(Key("t", "studio", "k"), ("kind",))
