"""The form of an operation: each rule on both sides of its edge."""

from typing import Any

import pytest

from services.kit.money import MINOR_UNITS_MAX
from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    Group,
    HoldDeposit,
    Key,
    KeyScope,
    Kind,
    LimitKind,
    Move,
    Operation,
    Period,
    Policy,
    Release,
    Rollback,
    Scope,
    SetLimit,
    SetPolicy,
    Win,
    WinShort,
    Withdraw,
)
from services.wallet.domain.policy import Policies
from services.wallet.domain.validation import (
    InvalidOperationError,
    check_operation,
    check_units,
)
from tests.wallet.passbook import PLAYER

TIME_MAX = 253_402_214_400_000_000  # The last day of the year 9999 begins.
SOUND: dict[type[Operation], dict[str, Any]] = {
    Bet: {"amount": 1},
    Win: {"amount": 1},
    Rollback: {"reference": "b"},
    CloseRound: {"round_key": "r"},
    Deposit: {"amount": 1},
    HoldDeposit: {"amount": 1},
    Withdraw: {"amount": 1},
    Capture: {"hold_id": bytes(16)},
    Release: {"hold_id": bytes(16)},
    Move: {
        "amount": 1,
        "debit": Bucket.CASH,
        "credit": Bucket.LOCKED,
        "reason": "r",
        "actor": "a",
    },
    Adjust: {"amount": 1, "bucket": Bucket.CASH, "reason": "r", "actor": "a", "approver": "b"},
    GrantBonus: {"amount": 1, "wager_required": 0, "expire_time": 0},
    ForfeitBonus: {"bonus_id": bytes(16)},
    SetLimit: {
        "scope": Scope.PLAYER,
        "limit_kind": LimitKind.WAGER,
        "period": Period.DAY,
        "max_amount": 0,
    },
}
OF_NO_CURRENCY = (Capture, Release, ForfeitBonus)


def make(kind: type[Operation], **values: Any) -> Operation:
    fields: dict[str, Any] = {"key": Key("t", "studio", "1"), "player_id": PLAYER}
    if kind not in OF_NO_CURRENCY:
        fields["currency_code"] = "EUR"
    return kind(**(fields | SOUND[kind] | values))


MONEY = ([1, MINOR_UNITS_MAX], [0, -1, MINOR_UNITS_MAX + 1], f"must be 1 to {MINOR_UNITS_MAX}")
MONEY_OR_ZERO = (
    [0, 1, MINOR_UNITS_MAX],
    [-1, MINOR_UNITS_MAX + 1],
    f"must be 0 to {MINOR_UNITS_MAX}",
)
CORRECTION = (
    [1, -1, MINOR_UNITS_MAX, -MINOR_UNITS_MAX],
    [0, MINOR_UNITS_MAX + 1, -MINOR_UNITS_MAX - 1],
    f"must be 1 to {MINOR_UNITS_MAX}",
)
TIME = ([None, 0, TIME_MAX], [-1, TIME_MAX + 1], "is out of range")
LAST_TIME = ([0, TIME_MAX], [-1, TIME_MAX + 1], "is out of range")
ID = ([bytes(16)], [b"", bytes(15), bytes(17)], "must be 16 bytes")


def text(most: int) -> tuple[list[str], list[str], str]:
    """Lists texts that just fit and that just do not, counted in bytes."""
    fits = ["a" * most, "é" * (most // 2)]
    return fits, ["a" * (most + 1), "é" * (most // 2) + "a"], f"must be at most {most} bytes"


NUL = (["a"], ["a\0", "\0"], "must not contain NUL")
RULES: list[tuple[type[Operation], str, tuple[list[Any], list[Any], str]]] = [
    *((kind, "player_id", ID) for kind in SOUND),
    *((kind, "trace_id", ([None, *ID[0]], ID[1], ID[2])) for kind in (Bet, Capture)),
    *((kind, "hold_id", ID) for kind in (Capture, Release)),
    (ForfeitBonus, "bonus_id", ID),
    *(
        (kind, "currency_code", (["EUR", "BTC"], ["", "eur", "XXX"], "is not a known currency"))
        for kind in SOUND
        if kind not in OF_NO_CURRENCY
    ),
    *((kind, "amount", MONEY) for kind in (Deposit, HoldDeposit, Withdraw, Move, GrantBonus)),
    (Capture, "amount", ([None, *MONEY[0]], MONEY[1], MONEY[2])),
    (Bet, "amount", MONEY_OR_ZERO),
    (Win, "amount", MONEY_OR_ZERO),
    (Adjust, "amount", CORRECTION),
    (GrantBonus, "wager_required", MONEY_OR_ZERO),
    (GrantBonus, "max_bet", ([None, *MONEY_OR_ZERO[0]], MONEY_OR_ZERO[1], MONEY_OR_ZERO[2])),
    (SetLimit, "max_amount", ([None, *MONEY_OR_ZERO[0]], MONEY_OR_ZERO[1], MONEY_OR_ZERO[2])),
    *((kind, "effective_time", TIME) for kind in SOUND),
    (HoldDeposit, "expire_time", TIME),
    (GrantBonus, "expire_time", LAST_TIME),
    (SetLimit, "start_time", TIME),
    *((kind, "round_key", text(128)) for kind in (Bet, Win, Rollback, CloseRound)),
    *((kind, "reference", text(128)) for kind in (Win, Rollback)),
    *((kind, "game_id", text(64)) for kind in (Bet, Win, Rollback, CloseRound)),
    *((kind, "reason", text(2_000)) for kind in (Move, Adjust, GrantBonus, ForfeitBonus, SetLimit)),
    *((kind, "actor", text(2_000)) for kind in (Deposit, Withdraw, Move, Adjust, SetLimit)),
    (Adjust, "approver", text(2_000)),
    (Deposit, "authorization_number", text(2_000)),
    (Bet, "wager_weight", ([0, 10_000], [-1, 10_001], "must be 0 to 10000")),
    (Bet, "round_key", NUL),
    (Bet, "game_id", NUL),
    (Adjust, "reason", NUL),
    (CloseRound, "round_key", (["r"], [""], "is missing")),
    (Rollback, "reference", (["b"], [""], "is missing")),
    (
        Rollback,
        "reference_kind",
        ([None, Kind.BET, Kind.WIN], [Kind.ROLLBACK, Kind.DEPOSIT], "must be a bet or a win"),
    ),
    (
        Move,
        "credit",
        ([Bucket.LOCKED, Bucket.BONUS, None], [Bucket.CASH], "must differ from debit"),
    ),
]


def refusal(operation: Operation, policies: Policies | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidOperationError) as caught:
        check_operation(operation, policies or Policies([]))
    assert str(caught.value) == f"{caught.value.field}: {caught.value.rule}"
    return caught.value.field, caught.value.rule


@pytest.mark.parametrize(
    ("kind", "field", "rule"),
    RULES,
    ids=lambda value: getattr(value, "__name__", value if isinstance(value, str) else ""),
)
def test_a_field_is_taken_up_to_its_edge_and_refused_beyond(
    kind: type[Operation], field: str, rule: tuple[list[Any], list[Any], str]
) -> None:
    sound, broken, message = rule
    for value in sound:
        check_operation(make(kind, **{field: value}), Policies([]))
    for value in broken:
        assert refusal(make(kind, **{field: value})) == (field, message), value


@pytest.mark.parametrize(
    ("part", "field", "most"), [(2, "transaction_id", 128), (1, "source", 64), (0, "tenant", 64)]
)
def test_each_part_of_a_key_is_there_and_fits(part: int, field: str, most: int) -> None:
    def keyed(value: str) -> Operation:
        parts = ["t", "studio", "1"]
        parts[part] = value
        return make(Bet, key=Key(*parts))

    sound, broken, message = text(most)
    for value in sound:
        check_operation(keyed(value), Policies([]))
    for value in broken:
        assert refusal(keyed(value)) == (field, message)
    assert refusal(keyed("")) == (field, "is missing")
    assert refusal(keyed("a\0b")) == (field, "must not contain NUL")


def test_nobody_speaks_in_the_name_of_the_ledger() -> None:
    operation = make(Bet, key=Key("t", "wallet:rules", "1"))
    assert refusal(operation) == ("source", "is the ledger's own")


@pytest.mark.parametrize("missing", ["reason", "actor", "approver"])
def test_a_correction_needs_a_reason_an_actor_and_an_approver(missing: str) -> None:
    assert refusal(make(Adjust, **{missing: ""})) == (missing, "is missing")


@pytest.mark.parametrize("approver", ["a", "A"])
def test_nobody_approves_their_own_correction(approver: str) -> None:
    told = refusal(make(Adjust, actor="a", approver=approver))
    assert told == ("approver", "must differ from actor")


def test_only_a_source_that_may_takes_a_part_back() -> None:
    partial = make(Rollback, amount=1)
    assert refusal(partial) == ("amount", "this source's rollbacks take all back")
    allowed = Policy(policy_id=2, tenant="t", source="studio", partial_rollback=True)
    check_operation(partial, Policies([allowed]))
    assert refusal(make(Rollback, amount=0), Policies([allowed]))[0] == "amount"
    elsewhere = Policy(policy_id=2, tenant="t", source="other", partial_rollback=True)
    assert refusal(partial, Policies([elsewhere]))[0] == "amount"


def set_policy(**values: Any) -> SetPolicy:
    fields: dict[str, Any] = {"key": Key("t", "office", "1"), "source": "studio"}
    return SetPolicy(**(fields | values))


@pytest.mark.parametrize(
    ("sound", "broken", "told"),
    [
        ({"source": "a" * 64}, {"source": "a" * 65}, ("source", "must be at most 64 bytes")),
        ({"source": "psp:a"}, {"source": ""}, ("source", "is missing")),
        ({}, {"source": "wallet:rules"}, ("source", "is the ledger's own")),
        ({}, {"player_id": PLAYER}, ("player_id", "must be empty: it concerns no player")),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": MINOR_UNITS_MAX},
            {"rollback_win_short": WinShort.DEBT, "debt_limit": MINOR_UNITS_MAX + 1},
            ("debt_limit", f"must be 0 to {MINOR_UNITS_MAX}"),
        ),
        (
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 1},
            {"rollback_win_short": WinShort.DEBT},
            ("debt_limit", "must be more than 0 with a debt, and 0 without"),
        ),
        (
            {"rollback_win_short": WinShort.REFUSE},
            {"rollback_win_short": WinShort.REFUSE, "debt_limit": 1},
            ("debt_limit", "must be more than 0 with a debt, and 0 without"),
        ),
        (
            {"key_scope": KeyScope.SOURCE_AND_KIND},
            {"key_scope": KeyScope.SOURCE_AND_KIND, "source": "psp:a"},
            ("key_scope", "may differ for providers only"),
        ),
        (
            {"reason": "a" * 2_000},
            {"reason": "a" * 2_001},
            ("reason", "must be at most 2000 bytes"),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_policy_is_taken_up_to_its_edges_and_refused_beyond(
    sound: dict[str, Any], broken: dict[str, Any], told: tuple[str, str]
) -> None:
    check_operation(set_policy(**sound), Policies([]))
    assert refusal(set_policy(**broken)) == told


def test_a_group_sets_no_policy() -> None:
    with pytest.raises(InvalidOperationError, match="group: must not set a policy"):
        check_units([Group((set_policy(), set_policy()))])
    check_units([set_policy(), make(Bet)])


def test_a_batch_counts_the_legs_of_its_groups() -> None:
    bet = make(Bet)
    group = Group((bet,) * 100)
    check_units([group] * 10)
    check_units([Group((bet,))])
    check_units([bet])
    for units, field, rule in (
        ([], "operations", "must be 1 to 1000"),
        ([bet] * 1_001, "operations", "must be 1 to 1000"),
        ([*[group] * 10, bet], "operations", "must be 1 to 1000"),
        ([Group((bet,) * 101)], "group", "must have 1 to 100 operations"),
        ([bet, Group(())], "group", "must have 1 to 100 operations"),
    ):
        with pytest.raises(InvalidOperationError) as caught:
            check_units(units)  # type: ignore[arg-type]
        assert (caught.value.field, caught.value.rule) == (field, rule)


def test_a_group_is_of_one_player_and_one_tenant() -> None:
    bet = make(Bet)
    for other, rule in (
        (make(Bet, player_id=bytes(16)), "must be of one player"),
        (make(Bet, key=Key("u", "studio", "1")), "must be of one tenant"),
    ):
        with pytest.raises(InvalidOperationError) as caught:
            check_units([Group((bet, other))])
        assert (caught.value.field, caught.value.rule) == ("group", rule)
