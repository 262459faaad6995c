"""The rows of the ledger: history that is only ever added to, and the state that it sums up to.

History rows are named tuples in the order of their table's columns, so that they reach the
database as they are. State rows are mutable: a batch is planned on copies of its own.
"""

from dataclasses import dataclass
from typing import NamedTuple

from services.wallet.domain.values import (
    BonusId,
    BonusState,
    Bucket,
    HoldDirection,
    HoldId,
    HoldState,
    Kind,
    LimitKind,
    Micros,
    Outcome,
    Period,
    PlayerId,
    Restriction,
    RoundState,
    Scope,
    SpendOrder,
)

NOT_STORED = -1
"""The `stored_version` of a row that a batch has made."""

_SCOPE_BITS = 4


class Transfer(NamedTuple):
    """One operation under one key, applied or refused.

    Attributes:
        key: The packed caller's id.
        bonus_amount: The part of a stake, win or reversal that is the bonus's share.
        flags: The yes-or-no content of the operation: see `Flag`.
        group_no: The seq of the first transfer of its linked group.
        original_seq: The transfer that it refers to, in the same shard.
        reversal_no: Numbers the reversals of an original, from 1.
        cash_after: What the player could spend afterwards, holds taken off; so the other two.
    """

    shard: int
    seq: int
    tenant: str
    source: str
    key: bytes
    kind: Kind
    fingerprint: bytes
    player_id: PlayerId
    currency_code: str | None
    amount: int
    bonus_amount: int
    outcome: Outcome
    flags: int
    group_no: int | None
    original_seq: int | None
    reversal_no: int | None
    hold_id: HoldId | None
    round_id: int | None
    round_state: RoundState | None
    bonus_id: BonusId | None
    wager_delta: int
    policy_id: int
    cash_after: int | None
    bonus_after: int | None
    locked_after: int | None
    game_id: str
    effective_time: Micros | None
    create_time: Micros
    trace_id: bytes | None
    detail: str | None


class Entry(NamedTuple):
    """One leg of a transfer: what it added to the four counters of one account."""

    shard: int
    seq: int
    leg: int
    account_id: int
    account_version: int
    debit_posted: int
    credit_posted: int
    debit_pending: int
    credit_pending: int
    balance_after: int


class Posting(NamedTuple):
    """A transfer with its entries, and the names of what it refers to by number.

    Attributes:
        round_key: The provider's name of the round.
        reference: The packed key of the original.
        reference_kind: What the original is.
    """

    transfer: Transfer
    entries: tuple[Entry, ...]
    round_key: str | None = None
    reference: bytes | None = None
    reference_kind: Kind | None = None


class PolicyVersion(NamedTuple):
    """One version of a source's policy, with who set it, when and why.

    Attributes:
        source: Whom it judges; empty, as its tenant, for the default.
        switches: See `write_switches`.
        seq: The transfer that set it; None for the default, which was always there.
    """

    policy_id: int
    tenant: str
    source: str
    version: int
    switches: str
    create_time: Micros
    seq: int | None
    actor: str
    reason: str


@dataclass(slots=True)
class Row:
    """State with a version. `stored_version` is what the database has."""

    version: int
    stored_version: int


@dataclass(slots=True, kw_only=True)
class Player(Row):
    """A player as far as money is concerned. `restrictions` holds both parties' bits."""

    player_id: PlayerId
    tenant: str
    shard: int
    restrictions: int

    def restricted(self, by: Restriction) -> bool:
        """Tells whether either party forbids it."""
        if not self.restrictions:
            return False
        return bool((self.restrictions | self.restrictions >> _SCOPE_BITS) & by)

    def restrict(self, scope: Scope, bits: Restriction) -> None:
        """Replaces the bits of one party."""
        shift = _SCOPE_BITS * scope
        self.restrictions = self.restrictions & ~(Restriction.FROZEN << shift) | bits << shift


@dataclass(slots=True, kw_only=True)
class Account(Row):
    """One balance. `house_kind` is 0 and `source` empty for a player's account."""

    account_id: int
    shard: int
    player_id: PlayerId | None
    house_kind: int
    source: str
    currency_code: str
    bucket: int
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    floor: int = 0

    @property
    def balance(self) -> int:
        """What is posted: for a player what the house owes, for the house the reverse."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """The balance without what is set aside."""
        return self.credits_posted - self.debits_posted - self.debits_pending


@dataclass(slots=True)
class Wallet:
    """A player's three accounts in one currency."""

    player: Player
    cash: Account
    bonus: Account
    locked: Account

    def account(self, bucket: Bucket) -> Account:
        """Returns the account of a bucket."""
        if bucket is Bucket.CASH:
            return self.cash
        return self.bonus if bucket is Bucket.BONUS else self.locked


@dataclass(slots=True, kw_only=True)
class Hold(Row):
    """Money set aside."""

    hold_id: HoldId
    shard: int
    player_id: PlayerId
    account_id: int
    source: str
    currency_code: str
    direction: HoldDirection
    amount: int
    posted_amount: int
    state: HoldState
    expire_time: Micros | None
    create_time: Micros


@dataclass(slots=True, kw_only=True)
class Round(Row):
    """The money side of one player's game cycle. Stakes and wins are net of reversals.

    Attributes:
        wins: How many wins it has seen, losses told as a win of zero included.
        bonus_id: Whose money the bonus part of the latest such stake was.
    """

    round_id: int
    shard: int
    tenant: str
    source: str
    player_id: PlayerId
    round_key: str
    currency_code: str
    state: RoundState
    staked_cash: int = 0
    staked_bonus: int = 0
    won_cash: int = 0
    won_bonus: int = 0
    wins: int = 0
    bonus_id: BonusId | None = None


@dataclass(slots=True, kw_only=True)
class Bonus(Row):
    """A grant and how far it has been wagered."""

    bonus_id: BonusId
    shard: int
    player_id: PlayerId
    source: str
    currency_code: str
    granted: int
    wager_required: int
    wager_done: int
    max_bet: int | None
    spend_order: SpendOrder | None
    state: BonusState
    expire_time: Micros
    rules_version: int


@dataclass(slots=True, kw_only=True)
class LimitCounter(Row):
    """A limit and what has been used of it in the window that is open.

    Attributes:
        max_amount: None is no limit at present.
        window_seq: The transfer that opened the window; times do not tell what came before it.
        next_time: When `next_max` replaces `max_amount`; None is no change to come.
    """

    player_id: PlayerId
    scope: Scope
    kind: LimitKind
    currency_code: str
    period: Period
    max_amount: int | None
    used: int
    window_seq: int
    window_end: Micros
    next_max: int | None
    next_time: Micros | None
