"""What makes two operations the same."""

from dataclasses import fields, replace
from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    Capture,
    Deposit,
    HoldDeposit,
    IfRefused,
    Key,
    Kind,
    Micros,
    Operation,
    PlayerId,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetPolicy,
    SetRestriction,
    Win,
    Withdraw,
)
from services.wallet.domain.fingerprint import fingerprint
from services.wallet.domain.operations import OPERATIONS

COMMON: dict[str, Any] = {
    "key": Key("t", "studio", "1"),
    "player_id": PlayerId(bytes(16)),
    "currency_code": "EUR",
}
BET = Bet(**COMMON, amount=100, round_key="r", game_id="g")
WIN = Win(**COMMON, amount=100, round_key="r", game_id="g")
ROLLBACK = Rollback(**COMMON, reference="b")


def test_the_fingerprint_of_a_bet_is_for_ever() -> None:
    assert fingerprint(BET).hex() == "385b09b7128b6be78fd21b4eedf5ead0"


def test_the_fingerprint_of_a_restriction_is_what_it_was_before_anybody_told_why() -> None:
    frozen = SetRestriction(
        key=COMMON["key"],
        player_id=COMMON["player_id"],
        scope=Scope.OPERATOR,
        restrictions=Restriction.FROZEN,
    )
    for told in (frozen, replace(frozen, actor="ann"), replace(frozen, reason="chargebacks")):
        assert fingerprint(told).hex() == "ec67708a7c9eef935546aefdea8dccb3"
    other = replace(frozen, restrictions=Restriction.NO_BET)
    assert fingerprint(other) != fingerprint(frozen)


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        (BET, {"amount": 101}),
        (BET, {"player_id": PlayerId(b"p" * 16)}),
        (BET, {"currency_code": "USD"}),
        (BET, {"round_key": "s"}),
        (BET, {"round_key": "rg", "game_id": ""}),
        (BET, {"game_id": "h"}),
        (BET, {"close_round": True}),
        (BET, {"key": Key("t", "other", "1")}),
        (WIN, {"reference": "b"}),
        (ROLLBACK, {"reference": "c"}),
        (ROLLBACK, {"reference_kind": Kind.BET}),
        (ROLLBACK, {"amount": 0}),
        (Deposit(**COMMON, amount=1), {"if_refused": IfRefused.LOCK}),
        (Deposit(**COMMON, amount=1), {"authorization_number": "A"}),
        (
            Adjust(**COMMON, amount=1, bucket=Bucket.CASH, reason="r", actor="a", approver="b"),
            {"amount": -1},
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value).__name__,
)
def test_other_content_has_another_fingerprint(
    operation: Operation, change: dict[str, Any]
) -> None:
    assert fingerprint(replace(operation, **change)) != fingerprint(operation)


@pytest.mark.parametrize(
    "change",
    [
        {"trace_id": b"t" * 16},
        {"trace": "a span"},
        {"effective_time": Micros(1)},
        {"wager_weight": 0},
        {"key": Key("t", "studio", "2")},
    ],
    ids=str,
)
def test_what_may_change_between_two_tries_is_no_content(change: dict[str, Any]) -> None:
    assert fingerprint(replace(BET, **change)) == fingerprint(BET)


def test_a_bet_and_a_win_of_the_same_words_differ() -> None:
    assert fingerprint(BET) != fingerprint(WIN)


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_every_field_is_content_or_is_known_not_to_be(kind: type[Operation]) -> None:
    not_content = {"key", "effective_time", "trace_id", "trace", "wager_weight"}
    if kind in {Deposit, HoldDeposit, Withdraw, Capture, Release}:
        # A colleague may repeat what an operator has begun.
        not_content |= {"actor"}
    if kind is SetRestriction:
        not_content |= {"actor", "reason"}
    if kind is SetPolicy:
        # It has none.
        not_content |= {"player_id"}
    names = {field.name for field in fields(kind)}
    assert names - set(kind.CONTENT) <= not_content
    assert set(kind.CONTENT) <= names
    assert len({each.KIND for each in OPERATIONS}) == len(OPERATIONS)
