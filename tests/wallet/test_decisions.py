"""The decision tables: what each operation comes to, by the state that it meets.

`TABLE` has one row an operation and one column a state; `OBSTACLES` are the refusals that an
operation can meet, and of any two that apply at once the earlier one answers. The numbers of
`Outcome` are the order of the checks.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    GrantBonus,
    HoldDeposit,
    IfRefused,
    Move,
    Operation,
    Outcome,
    PlayerId,
    Policy,
    Release,
    Restriction,
    Reused,
    Rollback,
    Stance,
    Win,
    WinShort,
    Withdraw,
)
from services.wallet.domain.policy import Policies
from services.wallet.domain.values import HoldId, Kind, Micros
from tests.wallet.passbook import HOUR, OTHER
from tests.wallet.scenes import AMOUNT, Scene

Obstacle = Callable[[Scene], None]
BY_CASH = {"reason": "r", "actor": "a"}
# What stands in every operation's way: a player of another tenant, and counters that are full.
WHOSE: dict[Outcome, Obstacle] = {Outcome.PLAYER_NOT_FOUND: Scene.another_tenant}
WHICH: dict[Outcome, Obstacle] = WHOSE | {Outcome.ACCOUNT_NOT_FOUND: Scene.no_account}
FULL: dict[Outcome, Obstacle] = {Outcome.COUNTER_LIMIT: Scene.full_counters}
REFERENCES: dict[Outcome, Obstacle] = {
    Outcome.REFERENCE_NOT_FOUND: Scene.refers_to_nothing,
    Outcome.REFERENCE_MISMATCH: Scene.refers_to_anothers,
}
RECEIVED: dict[Outcome, Obstacle] = WHICH | {
    Outcome.PLAYER_RESTRICTED: Scene.restricted,
    Outcome.LIMIT_REACHED: Scene.limited,
    Outcome.COUNTER_LIMIT: Scene.full_counters,
}
PAID: dict[Outcome, Obstacle] = WHICH | {Outcome.INSUFFICIENT_FUNDS: Scene.poor} | FULL
HELD: dict[Outcome, Obstacle] = WHOSE | {
    Outcome.REFERENCE_MISMATCH: Scene.hold_of_another,
    Outcome.HOLD_NOT_FOUND: Scene.hold_of_nobody,
    Outcome.HOLD_ALREADY_POSTED: Scene.hold_posted,
    Outcome.HOLD_ALREADY_VOIDED: Scene.hold_voided,
    Outcome.HOLD_EXPIRED: Scene.hold_expired,
}
ONE_OF = (
    # Each of these is another word in the same place, or another end of the same hold.
    {
        Outcome.REFERENCE_NOT_FOUND,
        Outcome.REFERENCE_MISMATCH,
        Outcome.REFERENCE_REFUSED,
        Outcome.REFERENCE_REVERSED,
    },
    set(HELD) - set(WHOSE),
    {Outcome.REFERENCE_NOT_FOUND, Outcome.REFERENCE_SETTLED},
    {Outcome.REFERENCE_MISMATCH, Outcome.REFERENCE_SETTLED},
)

OBSTACLES: dict[str, tuple[type[Operation], dict[str, Any], dict[Outcome, Obstacle]]] = {
    "deposit": (Deposit, {"amount": AMOUNT}, RECEIVED),
    "announced deposit": (HoldDeposit, {"amount": AMOUNT}, RECEIVED),
    "withdrawal": (
        Withdraw,
        {"amount": AMOUNT},
        PAID | {Outcome.PLAYER_RESTRICTED: Scene.restricted},
    ),
    "capture": (
        Capture,
        {"hold": True},
        HELD | {Outcome.CAPTURE_TOO_LARGE: Scene.too_much} | FULL,
    ),
    "release": (Release, {"hold": True}, HELD),
    "bet": (
        Bet,
        {"amount": AMOUNT, "round_key": "played"},
        PAID
        | {
            Outcome.PLAYER_RESTRICTED: Scene.restricted,
            Outcome.REFERENCE_MISMATCH: Scene.round_in_another_currency,
            Outcome.ROUND_CLOSED: Scene.closed,
            Outcome.LIMIT_REACHED: Scene.limited,
            Outcome.BONUS_MAX_BET: Scene.bonus_of_small_stakes,
        },
    ),
    "win": (
        Win,
        {"amount": AMOUNT, "round_key": "played", "reference": "bet"},
        WHICH
        | REFERENCES
        | {
            Outcome.REFERENCE_REFUSED: Scene.refers_to_a_refusal,
            Outcome.REFERENCE_REVERSED: Scene.refers_to_what_was_reversed,
            Outcome.ROUND_CLOSED: Scene.closed,
        }
        | FULL,
    ),
    "rollback of a bet": (
        Rollback,
        {"reference": "bet"},
        WHICH
        | REFERENCES
        | {
            Outcome.REFERENCE_SETTLED: Scene.closed,
            Outcome.OVER_REVERSED: Scene.too_much,
        }
        | FULL,
    ),
    "rollback of a win": (
        Rollback,
        {"reference": "won"},
        WHICH
        | REFERENCES
        | {
            Outcome.OVER_REVERSED: Scene.too_much,
            Outcome.INSUFFICIENT_FUNDS: Scene.poor,
        }
        | FULL,
    ),
    "close": (CloseRound, {"round_key": "played"}, WHICH),
    "move": (
        Move,
        {"amount": AMOUNT, "debit": Bucket.CASH, "credit": None} | BY_CASH,
        PAID,
    ),
    "correction": (
        Adjust,
        {"amount": -AMOUNT, "bucket": Bucket.CASH, "approver": "b"} | BY_CASH,
        PAID,
    ),
    "bonus": (
        GrantBonus,
        {"amount": AMOUNT, "wager_required": 10, "expire_time": Micros(2**52)},
        WHICH | {Outcome.PLAYER_RESTRICTED: Scene.restricted} | FULL,
    ),
}
# What forbids or stops everything comes last, so that the others can be arranged.
LAST = (Outcome.PLAYER_RESTRICTED, Outcome.COUNTER_LIMIT)
# The policy under which everything that can be refused is.
STRICT: dict[str, Any] = {
    "rollback_unknown": Stance.REFUSE,
    "rollback_win_short": WinShort.REFUSE,
    "rollback_settled_bet": Stance.REFUSE,
    "win_after_close": Stance.REFUSE,
    "partial_rollback": True,
}


def before(name: str) -> tuple[Scene, type[Operation]]:
    kind, fields, _ = OBSTACLES[name]
    scene = Scene(**STRICT)
    scene.fields = dict(fields)
    if scene.fields.pop("hold", False):
        scene.fields["hold_id"] = scene.hold(expire_time=Micros(scene.now + HOUR))
    return scene, kind


def judged(name: str, *met: Outcome) -> tuple[Scene, Outcome]:
    scene, kind = before(name)
    obstacles = OBSTACLES[name][2]
    for outcome in sorted(met, key=lambda each: (each in LAST, each)):
        obstacles[outcome](scene)
    return scene, scene.run(kind, **scene.fields).outcome


def pairs() -> list[tuple[str, Outcome, Outcome]]:
    return [
        (name, first, second)
        for name, (_, _, obstacles) in OBSTACLES.items()
        for first, second in itertools.combinations(sorted(obstacles), 2)
        if not any({first, second} <= exclusive for exclusive in ONE_OF)
    ]


@pytest.mark.parametrize("name", OBSTACLES)
def test_nothing_in_the_way(name: str) -> None:
    assert judged(name)[1] is Outcome.APPLIED


@pytest.mark.parametrize(
    ("name", "met"),
    [(name, met) for name, (_, _, obstacles) in OBSTACLES.items() for met in obstacles],
    ids=str,
)
def test_one_refusal(name: str, met: Outcome) -> None:
    scene, outcome = judged(name, met)
    assert outcome is met
    assert [each for each in scene.entries if each.seq == scene.transfers[-1].seq] == []


@pytest.mark.parametrize(("name", "first", "second"), pairs(), ids=str)
def test_of_two_refusals_the_earlier_one_answers(
    name: str, first: Outcome, second: Outcome
) -> None:
    assert judged(name, first, second)[1] is first


# What the key decides, whatever stands in the way.


def everything_in_the_way(scene: Scene, name: str) -> None:
    for outcome, obstacle in sorted(OBSTACLES[name][2].items()):
        if not any(outcome in exclusive for exclusive in ONE_OF) and outcome not in LAST:
            obstacle(scene)
    scene.restricted()
    scene.full_counters()
    scene.fields.pop("tenant", None)


@pytest.mark.parametrize("name", OBSTACLES)
def test_a_tombstone_answers_first(name: str) -> None:
    scene, kind = before(name)
    scene.policies = Policies([Policy(policy_id=2, tenant="t", source="studio")])
    barred = scene.run(Rollback, reference="k")
    assert barred.outcome is Outcome.NOTHING_TO_REVERSE
    everything_in_the_way(scene, name)
    assert scene.run(kind, id="k", **scene.fields).outcome is Outcome.TOMBSTONED


@pytest.mark.parametrize("name", OBSTACLES)
def test_a_known_key_answers_next(name: str) -> None:
    scene, kind = before(name)
    fields = dict(scene.fields)
    first = scene.answer(scene.build(kind, id="k", **fields))
    everything_in_the_way(scene, name)
    again = scene.answer(scene.build(kind, id="k", **fields))
    assert again.replayed
    assert again.result == first.result
    # And then that it names something else.
    of_another = scene.build(kind, id="k", **fields | {"player_id": OTHER})
    assert isinstance(scene.submit(of_another), Reused)


# The state that an operation meets.

A, R = Outcome.APPLIED, Outcome.PLAYER_RESTRICTED
COLUMNS: dict[str, Obstacle] = {
    "restricted": Scene.restricted,
    "unknown": Scene.refers_to_nothing,
    "refused": Scene.refers_to_a_refusal,
    "reversed": Scene.refers_to_what_was_reversed,
    "closed": Scene.closed,
    "limit": Scene.limited,
    "short": Scene.poor,
}
MONEY = {"amount": AMOUNT}
PLAYED = MONEY | {"round_key": "played"}
NO_REFERENCE = (None, None, None)
TABLE: dict[str, tuple[type[Operation], dict[str, Any], tuple[Outcome | None, ...]]] = {
    # restricted; reference unknown, refused, reversed; round closed; limit hit; short of funds
    "deposit": (Deposit, MONEY, (R, *NO_REFERENCE, A, Outcome.LIMIT_REACHED, A)),
    "deposit or lock": (
        Deposit,
        MONEY | {"if_refused": IfRefused.LOCK},
        (Outcome.APPLIED_LOCKED, *NO_REFERENCE, A, Outcome.APPLIED_LOCKED, A),
    ),
    "announced deposit": (HoldDeposit, MONEY, (R, *NO_REFERENCE, A, Outcome.LIMIT_REACHED, A)),
    "bonus": (
        GrantBonus,
        MONEY | {"wager_required": 10, "expire_time": Micros(2**52)},
        (R, *NO_REFERENCE, A, A, A),
    ),
    "withdrawal": (Withdraw, MONEY, (R, *NO_REFERENCE, A, A, Outcome.INSUFFICIENT_FUNDS)),
    "move": (
        Move,
        MONEY | {"debit": Bucket.CASH, "credit": Bucket.LOCKED} | BY_CASH,
        (A, *NO_REFERENCE, A, A, Outcome.INSUFFICIENT_FUNDS),
    ),
    "correction down": (
        Adjust,
        {"amount": -AMOUNT, "bucket": Bucket.CASH, "approver": "b"} | BY_CASH,
        (A, *NO_REFERENCE, A, A, Outcome.INSUFFICIENT_FUNDS),
    ),
    "correction up": (
        Adjust,
        {"amount": AMOUNT, "bucket": Bucket.CASH, "approver": "b"} | BY_CASH,
        (A, *NO_REFERENCE, A, A, A),
    ),
    "bet": (
        Bet,
        PLAYED,
        (
            R,
            *NO_REFERENCE,
            Outcome.ROUND_CLOSED,
            Outcome.LIMIT_REACHED,
            Outcome.INSUFFICIENT_FUNDS,
        ),
    ),
    "win with a reference": (
        Win,
        PLAYED | {"reference": "bet"},
        (
            A,
            Outcome.REFERENCE_NOT_FOUND,
            Outcome.REFERENCE_REFUSED,
            Outcome.REFERENCE_REVERSED,
            Outcome.APPLIED_LATE,
            A,
            A,
        ),
    ),
    "win without one": (Win, PLAYED, (A, *NO_REFERENCE, Outcome.APPLIED_LATE, A, A)),
    "rollback of a bet": (
        Rollback,
        {"reference": "bet"},
        (
            A,
            Outcome.NOTHING_TO_REVERSE,
            Outcome.NOTHING_TO_REVERSE,
            Outcome.ALREADY_REVERSED,
            A,
            A,
            A,
        ),
    ),
    "rollback of a win": (
        Rollback,
        {"reference": "won", "reference_kind": Kind.WIN},
        (A, Outcome.NOTHING_TO_REVERSE, None, None, A, A, Outcome.APPLIED_CLAMPED),
    ),
    "close": (
        CloseRound,
        {"round_key": "played"},
        (A, *NO_REFERENCE, Outcome.ALREADY_CLOSED, A, A),
    ),
}


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (row, column, outcome)
        for row, (_, _, outcomes) in TABLE.items()
        for column, outcome in zip(COLUMNS, outcomes, strict=True)
        if outcome is not None
    ],
    ids=str,
)
def test_an_operation_by_the_state_that_it_meets(row: str, column: str, expected: Outcome) -> None:
    kind, fields, _ = TABLE[row]
    scene = Scene()
    scene.fields = dict(fields)
    COLUMNS[column](scene)
    result = scene.run(kind, **scene.fields)
    assert result.outcome is expected
    if not result.outcome.posted:
        assert result.moved == ()


@pytest.mark.parametrize("state", ["refused", "reversed"])
def test_a_rollback_of_a_win_that_is_none(state: str) -> None:
    scene = Scene(win_without_reference=Stance.REFUSE)
    if state == "refused":
        assert scene.run(Win, id="w", amount=1).outcome is Outcome.REFERENCE_NOT_FOUND
        expected = Outcome.NOTHING_TO_REVERSE
    else:
        scene.run(Win, id="w", amount=1, reference="bet")
        scene.run(Rollback, reference="w")
        expected = Outcome.ALREADY_REVERSED
    assert scene.run(Rollback, reference="w").outcome is expected


@pytest.mark.parametrize(
    ("bit", "stopped"),
    [
        (Restriction.NO_BET, {"bet"}),
        (Restriction.NO_DEPOSIT, {"deposit", "announced deposit"}),
        (Restriction.NO_WITHDRAW, {"withdrawal"}),
        (Restriction.NO_BONUS, {"bonus"}),
        (Restriction.SELF_EXCLUDED, {"bet", "deposit", "announced deposit", "bonus"}),
    ],
)
@pytest.mark.parametrize("row", TABLE)
def test_each_restriction_stops_its_own_and_nothing_else(
    bit: Restriction, stopped: set[str], row: str
) -> None:
    kind, fields, _ = TABLE[row]
    scene = Scene()
    scene.restricted(bit)
    result = scene.run(kind, **fields)
    locked = row == "deposit or lock" and bit & Restriction.NO_DEPOSIT
    expected = Outcome.APPLIED_LOCKED if locked else R if row in stopped else A
    assert result.outcome is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Scene.hold_of_nobody, Outcome.HOLD_NOT_FOUND),
        (None, Outcome.APPLIED),
        (Scene.hold_posted, Outcome.HOLD_ALREADY_POSTED),
        (Scene.hold_voided, Outcome.HOLD_ALREADY_VOIDED),
        (Scene.hold_expired, Outcome.HOLD_EXPIRED),
    ],
)
@pytest.mark.parametrize("kind", [Capture, Release])
@pytest.mark.parametrize("held", [Withdraw, HoldDeposit])
def test_a_hold_by_its_state(
    kind: type[Operation], held: type[Operation], state: Obstacle | None, expected: Outcome
) -> None:
    scene = Scene()
    end = {"expire_time": Micros(scene.now + HOUR)} if held is HoldDeposit else {}
    if state is Scene.hold_expired and held is Withdraw:
        # A withdrawal never expires by itself.
        expected = Outcome.APPLIED
    scene.fields = {"hold_id": scene.hold(held, **end)}
    if state is not None:
        state(scene)
    assert scene.run(kind, **scene.fields).outcome is expected


def test_a_hold_that_was_refused_is_none() -> None:
    scene = Scene()
    refused = scene.run(Withdraw, amount=10**6)
    assert (refused.outcome, refused.hold_id) == (Outcome.INSUFFICIENT_FUNDS, None)
    unknown = PlayerId(bytes(16))
    assert scene.run(Release, hold_id=HoldId(unknown)).outcome is Outcome.HOLD_NOT_FOUND
