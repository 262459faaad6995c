"""The form of an operation: what is wrong with it whatever the ledger holds.

What fails here is recorded nowhere, so the same key may come again with the fault repaired.
"""

from datetime import UTC, datetime

from services.kit.clock import to_micros
from services.kit.money import CURRENCIES, MINOR_UNITS_MAX
from services.wallet.domain import operations as o
from services.wallet.domain.policy import Policies
from services.wallet.domain.values import KEY_BYTES_MAX, WALLET_SOURCE, Kind

BATCH_MAX = 1_000
GROUP_MAX = 100
TEXT_BYTES_MAX = 1_024
TIME_MAX = to_micros(datetime(9999, 12, 31, tzinfo=UTC))
_NAME_BYTES_MAX = 64
_ID_BYTES = 16

# Where nothing is a valid amount: a free round, a loss.
_MAY_BE_ZERO = (o.Bet, o.Win)


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
    _check_key(operation)
    _check_ids(operation)
    currency_code = getattr(operation, "currency_code", None)
    if currency_code is not None and currency_code not in CURRENCIES:
        raise InvalidOperationError("currency_code", "is not a known currency")
    _check_amounts(operation)
    _check_times(operation)
    _check_texts(operation)
    _check_sense(operation, policies)


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
            total += len(unit.operations)
        else:
            total += 1
    if not 1 <= total <= BATCH_MAX:
        raise InvalidOperationError("operations", f"must be 1 to {BATCH_MAX}")


def _check_key(operation: o.Operation) -> None:
    key = operation.key
    _check_length("transaction_id", key.id, KEY_BYTES_MAX, minimum=1)
    _check_length("source", key.source, _NAME_BYTES_MAX, minimum=1)
    _check_length("tenant", key.tenant, _NAME_BYTES_MAX, minimum=1)
    if key.source == WALLET_SOURCE:
        raise InvalidOperationError("source", "is the ledger's own")


def _check_ids(operation: o.Operation) -> None:
    for name in ("player_id", "hold_id", "bonus_id"):
        value = getattr(operation, name, None)
        if value is not None and len(value) != _ID_BYTES:
            raise InvalidOperationError(name, f"must be {_ID_BYTES} bytes")
    if operation.trace_id is not None and len(operation.trace_id) != _ID_BYTES:
        raise InvalidOperationError("trace_id", f"must be {_ID_BYTES} bytes")


def _check_amounts(operation: o.Operation) -> None:
    amount = getattr(operation, "amount", None)
    if amount is not None:
        if isinstance(operation, o.Adjust):
            in_range = 0 < abs(amount) <= MINOR_UNITS_MAX
        else:
            smallest = 0 if isinstance(operation, _MAY_BE_ZERO) else 1
            in_range = smallest <= amount <= MINOR_UNITS_MAX
        if not in_range:
            raise InvalidOperationError("amount", "is out of range")
    for name in ("wager_required", "max_bet", "max_amount"):
        value = getattr(operation, name, None)
        if value is not None and not 0 <= value <= MINOR_UNITS_MAX:
            raise InvalidOperationError(name, "is out of range")


def _check_times(operation: o.Operation) -> None:
    for name in ("effective_time", "expire_time", "start_time"):
        value = getattr(operation, name, None)
        if value is not None and not 0 <= value <= TIME_MAX:
            raise InvalidOperationError(name, "is out of range")


def _check_texts(operation: o.Operation) -> None:
    _check_length("round_key", getattr(operation, "round_key", ""), KEY_BYTES_MAX)
    _check_length("reference", getattr(operation, "reference", ""), KEY_BYTES_MAX)
    _check_length("game_id", getattr(operation, "game_id", ""), _NAME_BYTES_MAX)
    for name in ("reason", "actor", "approver", "authorization_number"):
        _check_length(name, getattr(operation, name, ""), TEXT_BYTES_MAX)


def _check_sense(operation: o.Operation, policies: Policies) -> None:
    if isinstance(operation, o.CloseRound) and not operation.round_key:
        raise InvalidOperationError("round_key", "is missing")
    if isinstance(operation, o.Bet) and not 0 <= operation.wager_weight <= o.WEIGHT_MAX:
        raise InvalidOperationError("wager_weight", f"must be 0 to {o.WEIGHT_MAX}")
    if isinstance(operation, o.Move) and operation.debit is operation.credit:
        raise InvalidOperationError("credit", "must differ from debit")
    if isinstance(operation, o.Adjust) and not (operation.reason and operation.approver):
        raise InvalidOperationError("reason", "a correction needs a reason and an approver")
    if isinstance(operation, o.Rollback):
        if not operation.reference:
            raise InvalidOperationError("reference", "is missing")
        if operation.reference_kind not in {None, Kind.BET, Kind.WIN}:
            raise InvalidOperationError("reference_kind", "must be a bet or a win")
        policy = policies.of(operation.key.tenant, operation.key.source)
        if operation.amount is not None and not policy.partial_rollback:
            raise InvalidOperationError("amount", "this source's rollbacks take all back")


def _check_length(name: str, text: str, most: int, *, minimum: int = 0) -> None:
    if "\0" in text:
        # PostgreSQL cannot store it.
        raise InvalidOperationError(name, "must not contain NUL")
    if not minimum <= len(text.encode()) <= most:
        raise InvalidOperationError(name, f"must be {minimum} to {most} bytes")
