"""The form of an operation: what is wrong with it whatever the ledger holds.

What fails here is recorded nowhere, so the same key may come again with the fault repaired.
"""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from services.kit.clock import to_micros
from services.kit.money import CURRENCIES, MINOR_UNITS_MAX
from services.wallet.domain import operations as o
from services.wallet.domain.policy import KeyScope, Policies, WinShort
from services.wallet.domain.values import KEY_BYTES_MAX, WALLET_SOURCE, Kind

BATCH_MAX = 1_000
GROUP_MAX = 100
# 500 characters, which is what contracts allow, of any script.
TEXT_BYTES_MAX = 2_000
TIME_MAX = to_micros(datetime(9999, 12, 31, tzinfo=UTC))
_NAME_BYTES_MAX = 64
_ID_BYTES = 16


class InvalidOperationError(ValueError):
    """An operation, or what it is sent with, breaks a rule of form."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def check_operation(operation: o.Operation, policies: Policies) -> None:
    """Checks one operation.

    Raises:
        InvalidOperationError: Names the first field that breaks a rule.
    """
    key = operation.key
    _check_name("transaction_id", key.id, KEY_BYTES_MAX)
    _check_name("source", key.source, _NAME_BYTES_MAX)
    _check_name("tenant", key.tenant, _NAME_BYTES_MAX)
    if key.source == WALLET_SOURCE:
        raise InvalidOperationError("source", "is the ledger's own")
    kind = type(operation)
    for name, rule in _RULES[kind]:
        value = getattr(operation, name)
        if value is not None:
            rule(name, value)
    sense = _SENSE.get(kind)
    if sense is not None:
        sense(operation, policies)


def check_units(units: list[o.Operation | o.Group]) -> None:
    """Checks how many operations come together, and whose they are.

    Raises:
        InvalidOperationError: Too many, none, or a group over two players.
    """
    total = 0
    for unit in units:
        if isinstance(unit, o.Group):
            if not 1 <= len(unit.operations) <= GROUP_MAX:
                raise InvalidOperationError("group", f"must have 1 to {GROUP_MAX} operations")
            if len({each.player_id for each in unit.operations}) > 1:
                raise InvalidOperationError("group", "must be of one player")
            if len({each.key.tenant for each in unit.operations}) > 1:
                raise InvalidOperationError("group", "must be of one tenant")
            if any(isinstance(each, o.SetPolicy) for each in unit.operations):
                raise InvalidOperationError("group", "must not set a policy")
            total += len(unit.operations)
        else:
            total += 1
    if not 1 <= total <= BATCH_MAX:
        raise InvalidOperationError("operations", f"must be 1 to {BATCH_MAX}")


def _check_name(name: str, text: str, most: int) -> None:
    if not text:
        raise InvalidOperationError(name, "is missing")
    _check_text(name, text, most)


def _check_text(name: str, text: str, most: int) -> None:
    if len(text) > most or (not text.isascii() and len(text.encode()) > most):
        raise InvalidOperationError(name, f"must be at most {most} bytes")
    if "\0" in text:
        # PostgreSQL cannot store it.
        raise InvalidOperationError(name, "must not contain NUL")


# The rules of single fields.


def _is_id(name: str, value: bytes) -> None:
    if len(value) != _ID_BYTES:
        raise InvalidOperationError(name, f"must be {_ID_BYTES} bytes")


def _is_nobody(name: str, value: bytes) -> None:
    if value:
        raise InvalidOperationError(name, "must be empty: it concerns no player")


def _is_currency(name: str, value: str) -> None:
    if value not in CURRENCIES:
        raise InvalidOperationError(name, "is not a known currency")


def _is_amount(name: str, value: int) -> None:
    if not 1 <= value <= MINOR_UNITS_MAX:
        raise InvalidOperationError(name, f"must be 1 to {MINOR_UNITS_MAX}")


def _is_amount_or_zero(name: str, value: int) -> None:
    if not 0 <= value <= MINOR_UNITS_MAX:
        raise InvalidOperationError(name, f"must be 0 to {MINOR_UNITS_MAX}")


def _is_correction(name: str, value: int) -> None:
    _is_amount(name, abs(value))


def _is_time(name: str, value: int) -> None:
    if not 0 <= value <= TIME_MAX:
        raise InvalidOperationError(name, "is out of range")


def _is_provider_id(name: str, value: str) -> None:
    _check_text(name, value, KEY_BYTES_MAX)


def _is_game_id(name: str, value: str) -> None:
    _check_text(name, value, _NAME_BYTES_MAX)


def _is_source(name: str, value: str) -> None:
    _check_name(name, value, _NAME_BYTES_MAX)
    if value == WALLET_SOURCE:
        raise InvalidOperationError(name, "is the ledger's own")


def _is_text(name: str, value: str) -> None:
    _check_text(name, value, TEXT_BYTES_MAX)


def _is_weight(name: str, value: int) -> None:
    if not 0 <= value <= o.WEIGHT_MAX:
        raise InvalidOperationError(name, f"must be 0 to {o.WEIGHT_MAX}")


_Rule = Callable[[str, Any], None]
_BY_NAME: dict[str, _Rule] = {
    "player_id": _is_id,
    "hold_id": _is_id,
    "bonus_id": _is_id,
    "trace_id": _is_id,
    "currency_code": _is_currency,
    "amount": _is_amount,
    "wager_required": _is_amount_or_zero,
    "max_bet": _is_amount_or_zero,
    "max_amount": _is_amount_or_zero,
    "debt_limit": _is_amount_or_zero,
    "effective_time": _is_time,
    "expire_time": _is_time,
    "start_time": _is_time,
    "round_key": _is_provider_id,
    "reference": _is_provider_id,
    "game_id": _is_game_id,
    "source": _is_source,
    "reason": _is_text,
    "actor": _is_text,
    "approver": _is_text,
    "authorization_number": _is_text,
    "wager_weight": _is_weight,
}
# Where nothing is an amount too: a free round, a loss. Where a sign is, and where nobody is meant.
_BY_KIND: dict[tuple[type[o.Operation], str], _Rule] = {
    (o.Bet, "amount"): _is_amount_or_zero,
    (o.Win, "amount"): _is_amount_or_zero,
    (o.Adjust, "amount"): _is_correction,
    (o.SetPolicy, "player_id"): _is_nobody,
}
_RULES: dict[type[o.Operation], list[tuple[str, _Rule]]] = {
    kind: [
        (field.name, _BY_KIND.get((kind, field.name), _BY_NAME[field.name]))
        for field in dataclasses.fields(kind)
        if field.name in _BY_NAME
    ]
    for kind in o.OPERATIONS
}


# The rules between fields.


def _check_close_round(operation: o.CloseRound, policies: Policies) -> None:
    del policies
    if not operation.round_key:
        raise InvalidOperationError("round_key", "is missing")


def _check_move(operation: o.Move, policies: Policies) -> None:
    del policies
    if operation.debit is operation.credit:
        raise InvalidOperationError("credit", "must differ from debit")


def _check_adjust(operation: o.Adjust, policies: Policies) -> None:
    del policies
    for name in ("reason", "actor", "approver"):
        if not getattr(operation, name):
            raise InvalidOperationError(name, "is missing")
    if operation.approver.lower() == operation.actor.lower():
        raise InvalidOperationError("approver", "must differ from actor")


def _check_rollback(operation: o.Rollback, policies: Policies) -> None:
    if not operation.reference:
        raise InvalidOperationError("reference", "is missing")
    if operation.reference_kind not in {None, Kind.BET, Kind.WIN}:
        raise InvalidOperationError("reference_kind", "must be a bet or a win")
    policy = policies.of(operation.key.tenant, operation.key.source)
    if operation.amount is not None and not policy.partial_rollback:
        raise InvalidOperationError("amount", "this source's rollbacks take all back")


def _check_set_policy(operation: o.SetPolicy, policies: Policies) -> None:
    del policies
    if (operation.rollback_win_short is WinShort.DEBT) is not (operation.debt_limit > 0):
        raise InvalidOperationError("debt_limit", "must be more than 0 with a debt, and 0 without")
    # The names of our own services have a colon, and they ask for what they did by its id alone.
    if operation.key_scope is not KeyScope.SOURCE and ":" in operation.source:
        raise InvalidOperationError("key_scope", "may differ for providers only")


_SENSE: dict[type[o.Operation], Callable[[Any, Policies], None]] = {
    o.CloseRound: _check_close_round,
    o.Move: _check_move,
    o.Adjust: _check_adjust,
    o.Rollback: _check_rollback,
    o.SetPolicy: _check_set_policy,
}
