"""Keeps the words of a request in its transfer, and names what differs under a key used again.

A transfer keeps what its operation came to; the request may have said more, or have said it in
another way: a round that nobody knows, an amount that was left open. What its columns do not say,
the detail does, so that a caller who reuses a key is told exactly which fields differ.
"""

from typing import Any

from services.wallet.domain import operations
from services.wallet.domain.book import Draft
from services.wallet.domain.operations import Operation
from services.wallet.domain.result import Flag, result_of
from services.wallet.domain.rows import Posting
from services.wallet.domain.values import Kind, unpack_key

_EMPTY = ("", None)
_FLAGS = {
    "close_round": Flag.CLOSE_ROUND,
    "if_refused": Flag.LOCK_IF_REFUSED,
    "chargeback": Flag.CHARGEBACK,
}
_COLUMNS = frozenset({"currency_code", "game_id", "hold_id", "bonus_id"})
# Where a column cannot tell what was asked: a rollback takes the round of its original, and it or
# a capture without an amount the amount that it came to; a hold's end is on a row that changes.
# The first of these words is kept even if it is empty. A transfer without it was written by a
# version that kept none of them, and nobody knows what they were.
_BESIDE_COLUMNS = {
    Kind.ROLLBACK: ("round_key", "amount", "reference_kind"),
    Kind.CAPTURE: ("amount",),
    Kind.HOLD_DEPOSIT: ("expire_time",),
}


def keep_words(draft: Draft) -> None:
    """Keeps all that the operation says, whether or not it was judged to its end."""
    operation = draft.operation
    beside = _BESIDE_COLUMNS.get(draft.kind, ())
    for name in operation.CONTENT:
        value = getattr(operation, name)
        if name in _FLAGS:
            draft.flags |= _FLAGS[name] if value else 0
        elif name in _COLUMNS:
            setattr(draft, name, value)
        elif name in beside:
            if value not in _EMPTY or name == beside[0]:
                draft.detail[name] = _plain(value)
        elif name == "amount":
            draft.amount = value
        elif value not in _EMPTY and not _is_told(draft, name):
            draft.detail[name] = _plain(value)


def _is_told(draft: Draft, name: str) -> bool:
    """Tells whether a join finds the word by what the transfer refers to."""
    if name == "round_key":
        return draft.round is not None
    if name == "reference":
        return draft.original_seq is not None
    return name == "player_id"


def differing_fields(known: Posting, operation: Operation) -> tuple[str, ...]:
    """Lists the fields that are known to differ, sorted; never one that does not.

    Nothing is listed only for transfers of versions that kept fewer words, if the difference lies
    in one of several that were not kept.
    """
    stored = known.transfer
    if stored.kind is not operation.KIND:
        return ("kind",)
    kept = _kept(known)
    unknown = _unknown(known, kept)
    differing = [
        name
        for name in operation.CONTENT
        if name not in unknown and not _same(kept.get(name), _plain(getattr(operation, name)))
    ]
    if not differing and len(unknown) == 1:
        # The fingerprints say that something differs.
        return unknown
    return tuple(sorted(differing))


def _same(one: Any, other: Any) -> bool:
    return one == other or (one in _EMPTY and other in _EMPTY)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value


def _kept(known: Posting) -> dict[str, Any]:
    stored = known.transfer
    kept: dict[str, Any] = {
        "player_id": stored.player_id,
        "currency_code": stored.currency_code,
        "game_id": stored.game_id,
        "hold_id": stored.hold_id,
        "bonus_id": stored.bonus_id,
        "round_key": known.round_key,
        "reference": None if known.reference is None else unpack_key(known.reference),
    }
    kept |= {name: int(bool(stored.flags & flag)) for name, flag in _FLAGS.items()}
    if stored.kind in _AMOUNT_IS_GIVEN:
        kept["amount"] = stored.amount
    return kept | result_of(known).detail


def _unknown(known: Posting, kept: dict[str, Any]) -> tuple[str, ...]:
    kind = known.transfer.kind
    beside = _BESIDE_COLUMNS.get(kind, ())
    if not beside or beside[0] in result_of(known).detail:
        return ()
    if kind is Kind.ROLLBACK and kept["reference"] is None:
        return (*beside, "reference")
    return beside


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
