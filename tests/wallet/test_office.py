"""Opening, moving and correcting; and what is wrong with an operation by its form."""

from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    CloseRound,
    Group,
    Key,
    Micros,
    Move,
    OpenWallet,
    Operation,
    Outcome,
    Rollback,
    Win,
    WinShort,
)
from services.wallet.domain.policy import Policies
from services.wallet.domain.validation import (
    InvalidOperationError,
    check_operation,
    check_units,
)
from tests.wallet.passbook import OTHER, PLAYER, Passbook


def fields(book: Passbook, **values: Any) -> dict[str, Any]:
    return {
        "key": book.key(),
        "player_id": PLAYER,
        "currency_code": "EUR",
        "reason": "why",
        "actor": "ann",
    } | values


def adjust(book: Passbook, amount: int, **values: Any) -> Adjust:
    given: dict[str, Any] = {"bucket": Bucket.CASH, "approver": "bob"} | values
    return Adjust(amount=amount, **fields(book, **given))


def test_opening_an_open_wallet_changes_nothing() -> None:
    book = Passbook()
    book.give(10)
    again = OpenWallet(key=book.key(), player_id=PLAYER, currency_code="EUR")
    assert book.apply(again).outcome is Outcome.APPLIED
    assert book.cash == 10


def test_opening_a_player_of_another_tenant_is_refused() -> None:
    book = Passbook()
    foreign = OpenWallet(key=Key("u", "player", "x"), player_id=PLAYER, currency_code="EUR")
    assert book.apply(foreign).outcome is Outcome.PLAYER_NOT_FOUND


def test_money_moves_between_buckets() -> None:
    book = Passbook()
    book.give(100)
    move = Move(amount=60, debit=Bucket.CASH, credit=Bucket.LOCKED, **fields(book))
    result = book.apply(move)
    assert (result.outcome, book.cash, book.locked) == (Outcome.APPLIED, 40, 60)
    assert result.detail == {
        "actor": "ann",
        "credit": int(Bucket.LOCKED),
        "debit": int(Bucket.CASH),
        "reason": "why",
    }
    over = Move(amount=41, debit=Bucket.CASH, credit=Bucket.LOCKED, **fields(book))
    assert book.apply(over).outcome is Outcome.INSUFFICIENT_FUNDS


def test_an_exchange_is_two_linked_moves_through_the_house() -> None:
    book = Passbook()
    book.apply(OpenWallet(key=book.key(), player_id=PLAYER, currency_code="USD"))
    book.give(100)
    sell = Move(amount=100, debit=Bucket.CASH, credit=None, **fields(book))
    buy = Move(amount=108, debit=None, credit=Bucket.CASH, **fields(book, currency_code="USD"))
    book.group(sell, buy)
    assert book.cash == 0
    assert book.wallet(PLAYER, "USD").cash.available == 108
    sums = {
        (kind.name, currency_code): account.balance
        for (kind, _, currency_code), account in book.loaded.houses.items()
    }
    assert sums[("FX", "EUR")] == 100
    assert sums[("FX", "USD")] == -108


@pytest.mark.parametrize(
    ("amount", "outcome", "cash"),
    [
        (50, Outcome.APPLIED, 150),
        (-50, Outcome.APPLIED, 50),
        (-100, Outcome.APPLIED, 0),
        (-101, Outcome.INSUFFICIENT_FUNDS, 100),
    ],
)
def test_a_correction_raises_or_lowers(amount: int, outcome: Outcome, cash: int) -> None:
    book = Passbook()
    book.give(100)
    assert book.apply(adjust(book, amount)).outcome is outcome
    assert book.cash == cash


@pytest.mark.parametrize(
    ("switches", "chargeback", "outcome", "cash"),
    [
        ({}, True, Outcome.INSUFFICIENT_FUNDS, 30),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 70},
            True,
            Outcome.APPLIED,
            -70,
        ),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 69},
            True,
            Outcome.INSUFFICIENT_FUNDS,
            30,
        ),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 70},
            False,
            Outcome.INSUFFICIENT_FUNDS,
            30,
        ),
    ],
    ids=str,
)
def test_a_chargeback_may_use_the_debt_limit(
    switches: dict[str, Any], chargeback: object, outcome: Outcome, cash: int
) -> None:
    book = Passbook(**switches)
    book.give(30)
    assert book.apply(adjust(book, -100, chargeback=chargeback)).outcome is outcome
    assert book.cash == cash


COMMON: dict[str, Any] = {
    "key": Key("t", "studio", "1"),
    "player_id": PLAYER,
    "currency_code": "EUR",
}


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (Bet(**COMMON, amount=-1), "amount"),
        (Bet(**COMMON, amount=10**15 + 1), "amount"),
        (Bet(**COMMON, amount=2**63 - 1), "amount"),
        (Win(**COMMON, amount=-1), "amount"),
        (Bet(**(COMMON | {"currency_code": "XXX"}), amount=1), "currency_code"),
        (Bet(**(COMMON | {"key": Key("t", "studio", "")}), amount=1), "transaction_id"),
        (Bet(**(COMMON | {"key": Key("t", "studio", "é" * 65)}), amount=1), "transaction_id"),
        (Bet(**(COMMON | {"key": Key("t", "wallet:rules", "1")}), amount=1), "source"),
        (Bet(**(COMMON | {"key": Key("", "studio", "1")}), amount=1), "tenant"),
        (Bet(**(COMMON | {"player_id": b"short"}), amount=1), "player_id"),
        (Bet(**COMMON, amount=1, trace_id=b"short"), "trace_id"),
        (Bet(**COMMON, amount=1, round_key="r" * 129), "round_key"),
        (Bet(**COMMON, amount=1, game_id="g" * 65), "game_id"),
        (Bet(**COMMON, amount=1, game_id="a\0b"), "game_id"),
        (Bet(**COMMON, amount=1, effective_time=Micros(2**63)), "effective_time"),
        (Bet(**COMMON, amount=1, wager_weight=10_001), "wager_weight"),
        (CloseRound(**COMMON, round_key=""), "round_key"),
        (Rollback(**COMMON, reference=""), "reference"),
        (Rollback(**COMMON, reference="b", amount=1), "amount"),
        (
            Adjust(**COMMON, amount=0, bucket=Bucket.CASH, reason="r", actor="a", approver="b"),
            "amount",
        ),
        (
            Adjust(**COMMON, amount=1, bucket=Bucket.CASH, reason="r", actor="a", approver=""),
            "approver",
        ),
        (
            Move(
                **COMMON,
                amount=1,
                debit=Bucket.CASH,
                credit=Bucket.CASH,
                reason="r",
                actor="a",
            ),
            "credit",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_malformed_operation_is_named_by_its_field(operation: Any, field: str) -> None:
    with pytest.raises(InvalidOperationError) as raised:
        check_operation(operation, Policies([]))
    assert raised.value.field == field


@pytest.mark.parametrize("amount", [0, 1, 10**15])
def test_amounts_at_the_edges_are_well_formed(amount: int) -> None:
    check_operation(Bet(**COMMON, amount=amount), Policies([]))


def test_a_batch_holds_one_to_a_thousand_operations() -> None:
    bet = Bet(**COMMON, amount=1)
    check_units([bet] * 1000)
    too_few_or_many: tuple[list[Operation | Group], ...] = (
        [],
        [bet] * 1001,
        [*[Group((bet,) * 100)] * 10, bet],
    )
    for units in too_few_or_many:
        with pytest.raises(InvalidOperationError):
            check_units(units)


def test_a_group_holds_one_to_a_hundred_operations_of_one_player_and_tenant() -> None:
    bet = Bet(**COMMON, amount=1)
    check_units([Group((bet,) * 100)])
    foreign = Bet(**(COMMON | {"player_id": OTHER}), amount=1)
    elsewhere = Bet(**(COMMON | {"key": Key("u", "studio", "1")}), amount=1)
    for legs in ((), (bet,) * 101, (bet, foreign), (bet, elsewhere)):
        with pytest.raises(InvalidOperationError):
            check_units([Group(legs)])
