"""Names what differs between an operation and the one that already has its key."""

from typing import Any

from services.wallet.domain import operations
from services.wallet.domain.operations import Operation
from services.wallet.domain.result import Flag, result_of
from services.wallet.domain.rows import Posting
from services.wallet.domain.values import IfRefused, unpack_key


def differing_fields(known: Posting, operation: Operation) -> tuple[str, ...]:
    """Lists the differing fields, sorted.

    A transfer does not keep every word of the request that made it. When none of those that it
    keeps differ, the others are the answer, since the fingerprints say that something does.
    """
    stored = known.transfer
    if stored.kind is not operation.KIND:
        return ("kind",)
    kept = _kept(known)
    differing = {
        name
        for name in operation.CONTENT
        if name in kept and kept[name] != _plain(getattr(operation, name))
    }
    unknown = {name for name in operation.CONTENT if name not in kept}
    return tuple(sorted(differing or unknown))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value


def _kept(known: Posting) -> dict[str, Any]:
    stored = known.transfer
    # A refusal keeps in its detail what it named and the ledger did not know.
    kept: dict[str, Any] = {"round_key": "", "reference": ""} | result_of(known).detail
    kept["player_id"] = stored.player_id
    kept["game_id"] = stored.game_id
    kept["chargeback"] = int(bool(stored.flags & Flag.CHARGEBACK))
    kept["close_round"] = int(bool(stored.flags & Flag.CLOSE_ROUND))
    kept["if_refused"] = int(
        IfRefused.LOCK if stored.flags & Flag.LOCK_IF_REFUSED else IfRefused.REFUSE
    )
    if stored.currency_code is not None:
        kept["currency_code"] = stored.currency_code
    if stored.kind in _AMOUNT_IS_GIVEN:
        kept["amount"] = stored.amount
    if stored.hold_id is not None:
        kept["hold_id"] = stored.hold_id
    if stored.bonus_id is not None:
        kept["bonus_id"] = stored.bonus_id
    if known.round_key is not None:
        kept["round_key"] = known.round_key
    if known.reference is not None:
        kept["reference"] = unpack_key(known.reference)
    return kept


# A capture or a rollback without an amount stores the amount that it came to.
_AMOUNT_IS_GIVEN = frozenset(
    each.KIND
    for each in (
        operations.Deposit,
        operations.HoldDeposit,
        operations.Withdraw,
        operations.Bet,
        operations.Win,
        operations.Move,
        operations.Adjust,
        operations.GrantBonus,
    )
)
