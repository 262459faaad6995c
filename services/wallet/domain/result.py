"""What a caller is told: a pure function of one transfer and its entries.

No row that can change takes part, so a replay years later is the same answer.
"""

import json
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

from services.wallet.domain.rows import Posting
from services.wallet.domain.values import (
    BonusId,
    Bucket,
    HoldId,
    Key,
    Kind,
    LimitKind,
    Micros,
    Outcome,
    Period,
    PlayerId,
    RoundState,
    Scope,
    account_code,
    unpack_key,
)

_ROUND_KEY: Final = '{"round_key":'
# Two words and nothing else.
_ROUND_KEY_QUOTES: Final = 4


class Flag:
    """The yes-or-no content of an operation, as stored: bits of a plain number."""

    CLOSE_ROUND: Final = 1
    LOCK_IF_REFUSED: Final = 2
    CHARGEBACK: Final = 4


class Moved(NamedTuple):
    """What a transfer changed in one bucket: its balance, and what is pending out and in."""

    bucket: Bucket
    posted: int
    pending_out: int
    pending_in: int


class Available(NamedTuple):
    """What the player could spend after a transfer, by bucket."""

    cash: int
    bonus: int
    locked: int


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """The limit that refused an operation. `window_end` is None if its window is not open."""

    scope: Scope
    kind: LimitKind
    period: Period
    max_amount: int
    used: int
    window_end: Micros | None


class Result(NamedTuple):
    """The answer to an operation. A tuple, since one is made for each operation.

    Attributes:
        bonus_amount: The bonus's share of `amount`, for bets, wins and rollbacks.
        original_seq: The transfer that it refers to.
        shortfall: What a clamped rollback could not take from the player.
        settled: The bet that was rolled back had been settled; worth reconciling.
        detail: What else the transfer keeps of the request: the content that has no columns.
    """

    key: Key
    kind: Kind
    shard: int
    seq: int
    outcome: Outcome
    player_id: PlayerId
    currency_code: str | None
    amount: int
    bonus_amount: int
    moved: tuple[Moved, ...]
    available: Available | None
    hold_id: HoldId | None
    bonus_id: BonusId | None
    round_id: int | None
    round_state: RoundState | None
    original_seq: int | None
    reversal_no: int | None
    group_no: int | None
    wager_delta: int
    limit: LimitFacts | None
    shortfall: int
    settled: bool
    game_id: str
    effective_time: Micros | None
    create_time: Micros
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A result, and whether it was stored before this call."""

    result: Result
    replayed: bool


@dataclass(frozen=True, slots=True)
class Reused:
    """The key names another operation. Nothing was recorded.

    Attributes:
        fields: What differs from the operation that the key names.
    """

    key: Key
    fields: tuple[str, ...]


def result_of(posting: Posting) -> Result:
    """Tells the answer that a transfer is."""
    transfer = posting.transfer
    detail = read_detail(transfer.detail) if transfer.detail else {}
    limit = detail.pop("limit", None)
    return Result(
        Key(transfer.tenant, transfer.source, unpack_key(transfer.key)),
        transfer.kind,
        transfer.shard,
        transfer.seq,
        transfer.outcome,
        transfer.player_id,
        transfer.currency_code,
        transfer.amount,
        transfer.bonus_amount,
        _moved(posting) if posting.entries else (),
        _available(posting),
        transfer.hold_id,
        transfer.bonus_id,
        transfer.round_id,
        transfer.round_state,
        transfer.original_seq,
        transfer.reversal_no,
        transfer.group_no,
        transfer.wager_delta,
        None if limit is None else _limit(limit),
        detail.pop("shortfall", 0),
        detail.pop("settled", False),
        transfer.game_id,
        transfer.effective_time,
        transfer.create_time,
        detail,
    )


def _moved(posting: Posting) -> tuple[Moved, ...]:
    moved = []
    for entry in posting.entries:
        code = account_code(entry.account_id)
        if isinstance(code, Bucket):
            moved.append(
                Moved(
                    bucket=code,
                    posted=entry.credit_posted - entry.debit_posted,
                    pending_out=entry.debit_pending,
                    pending_in=entry.credit_pending,
                )
            )
    return tuple(moved)


def _available(posting: Posting) -> Available | None:
    transfer = posting.transfer
    if transfer.cash_after is None or transfer.bonus_after is None or transfer.locked_after is None:
        return None
    return Available(
        cash=transfer.cash_after, bonus=transfer.bonus_after, locked=transfer.locked_after
    )


def _limit(facts: dict[str, Any]) -> LimitFacts:
    return LimitFacts(
        scope=Scope(facts["scope"]),
        kind=LimitKind(facts["kind"]),
        period=Period(facts["period"]),
        max_amount=facts["max_amount"],
        used=facts["used"],
        window_end=facts["window_end"],
    )


def write_detail(detail: dict[str, Any]) -> str | None:
    """Writes a detail in its one canonical form: it is part of the audit chain."""
    if not detail:
        return None
    if len(detail) == 1 and "round_key" in detail:
        # A bet that opens its round is the commonest transfer of all: no writer is made for it.
        return f"{_ROUND_KEY}{encode_basestring(detail['round_key'])}}}"
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def read_detail(written: str) -> dict[str, Any]:
    """Reads a detail."""
    if (
        written.startswith(_ROUND_KEY)
        and written.count('"') == _ROUND_KEY_QUOTES
        and "\\" not in written
    ):
        return {"round_key": written[len(_ROUND_KEY) + 1 : -2]}
    detail: dict[str, Any] = json.loads(written)
    return detail
