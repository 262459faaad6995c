"""What a caller can ask of the ledger: one frozen value for each operation.

The fields named in `CONTENT` are what an operation *is*: they make its fingerprint. The others may
differ between two tries of the same operation.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from services.wallet.domain.policy import SWITCHES, KeyScope, Stance, WinShort
from services.wallet.domain.values import (
    NOBODY,
    BonusId,
    Bucket,
    HoldId,
    IfRefused,
    Key,
    Kind,
    LimitKind,
    Micros,
    Period,
    PlayerId,
    Restriction,
    Scope,
    SpendOrder,
)

WEIGHT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What all operations carry.

    Attributes:
        key: Names the operation.
        player_id: Whose money it is.
        effective_time: When it happened, as the caller says; the ledger does not judge by it.
        trace_id: The trace that brought it here, stored beside it.
        trace: Whatever the telemetry hook wants back after the commit. Never stored.
    """

    KIND: ClassVar[Kind]
    CONTENT: ClassVar[tuple[str, ...]]

    key: Key
    player_id: PlayerId
    effective_time: Micros | None = None
    trace_id: bytes | None = None
    trace: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWallet(Operation):
    """Makes the player known, with accounts in a currency. Opening an open wallet is applied."""

    KIND = Kind.OPEN_WALLET
    CONTENT = ("player_id", "currency_code")

    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit(Operation):
    """Books money that has been received.

    Attributes:
        authorization_number: The issuer's or bank's number that authorizes it, if there is one.
        actor: The operator by whose hand it is; empty for payments. Stored, and not content: a
            colleague may repeat it.
    """

    KIND = Kind.DEPOSIT
    CONTENT = ("player_id", "currency_code", "amount", "if_refused", "authorization_number")

    currency_code: str
    amount: int
    if_refused: IfRefused = IfRefused.REFUSE
    authorization_number: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldDeposit(Operation):
    """Announces money that is to come, once restrictions and limits allow it."""

    KIND = Kind.HOLD_DEPOSIT
    CONTENT = ("player_id", "currency_code", "amount", "expire_time")

    currency_code: str
    amount: int
    expire_time: Micros | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Operation):
    """Sets the player's cash aside for a payment. It never expires by itself."""

    KIND = Kind.WITHDRAW
    CONTENT = ("player_id", "currency_code", "amount")

    currency_code: str
    amount: int
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Operation):
    """Posts a hold, or part of it; what is left is freed. Without an amount it posts the whole."""

    KIND = Kind.CAPTURE
    CONTENT = ("player_id", "hold_id", "amount")

    hold_id: HoldId
    amount: int | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Operation):
    """Frees a hold; nothing is posted."""

    KIND = Kind.RELEASE
    CONTENT = ("player_id", "hold_id")

    hold_id: HoldId
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet(Operation):
    """Takes a stake. An amount of zero is a free round: stored, and nothing is booked.

    Attributes:
        round_key: The provider's name of the round; empty if it has none.
        wager_weight: How much of the stake counts towards a bonus, in basis points. Set by the
            catalogue and not by the caller, so it is not part of the content.
    """

    KIND = Kind.BET
    CONTENT = ("player_id", "currency_code", "amount", "round_key", "game_id", "close_round")

    currency_code: str
    amount: int
    round_key: str = ""
    game_id: str = ""
    close_round: bool = False
    wager_weight: int = WEIGHT_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Win(Operation):
    """Pays a win. Zero is a loss, told by the provider.

    Attributes:
        reference: The caller's id of the bet that won; empty if the protocol has no such field.
    """

    KIND = Kind.WIN
    CONTENT = (
        "player_id",
        "currency_code",
        "amount",
        "round_key",
        "reference",
        "game_id",
        "close_round",
    )

    currency_code: str
    amount: int
    round_key: str = ""
    reference: str = ""
    game_id: str = ""
    close_round: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback(Operation):
    """Takes a bet or a win back. Without an amount it takes back all that is left of it.

    Attributes:
        reference: The caller's id of the original.
        reference_kind: What the original is, for sources that use one id for a bet and its win.
    """

    KIND = Kind.ROLLBACK
    CONTENT = (
        "player_id",
        "currency_code",
        "reference",
        "reference_kind",
        "amount",
        "round_key",
        "game_id",
        "close_round",
    )

    currency_code: str
    reference: str
    reference_kind: Kind | None = None
    amount: int | None = None
    round_key: str = ""
    game_id: str = ""
    close_round: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRound(Operation):
    """Ends a round. A round that nobody has seen is recorded as closed."""

    KIND = Kind.CLOSE_ROUND
    CONTENT = ("player_id", "currency_code", "round_key", "game_id")

    currency_code: str
    round_key: str
    game_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Operation):
    """Moves money between a player's buckets, or through the house's exchange account.

    Attributes:
        debit: The bucket that pays; None is the exchange account, in the second half of an
            exchange.
        credit: The bucket that receives; None is the exchange account.
        rate: The rate of the exchange that it is a half of, as it was given.
    """

    KIND = Kind.MOVE
    CONTENT = (
        "player_id",
        "currency_code",
        "amount",
        "debit",
        "credit",
        "reason",
        "actor",
        "rate",
    )

    currency_code: str
    amount: int
    debit: Bucket | None
    credit: Bucket | None
    reason: str
    actor: str
    rate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(Operation):
    """Corrects a balance against the house.

    Attributes:
        amount: Positive raises the bucket, negative lowers it.
        actor: Who corrects, as the access token proves.
        approver: Who approved it, as the actor says: another one. Nobody proves it here.
        chargeback: The money was taken back by a bank: it may use the player's debt limit.
    """

    KIND = Kind.ADJUST
    CONTENT = (
        "player_id",
        "currency_code",
        "amount",
        "bucket",
        "reason",
        "actor",
        "approver",
        "chargeback",
    )

    currency_code: str
    amount: int
    bucket: Bucket
    reason: str
    actor: str
    approver: str
    chargeback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantBonus(Operation):
    """Gives a bonus, or queues it behind the one that counts at present.

    Attributes:
        wager_required: The weighted stakes after which the bonus becomes cash.
        max_bet: The largest stake that may use bonus money; None is no maximum.
        spend_order: Overrides the policy of the game's source while the bonus is active.
        expire_time: When what is left of it is forfeited.
        rules_version: The version of the terms that the player accepted.
    """

    KIND = Kind.GRANT_BONUS
    CONTENT = (
        "player_id",
        "currency_code",
        "amount",
        "wager_required",
        "max_bet",
        "spend_order",
        "expire_time",
        "rules_version",
        "reason",
        "actor",
    )

    currency_code: str
    amount: int
    wager_required: int
    expire_time: Micros
    max_bet: int | None = None
    spend_order: SpendOrder | None = None
    rules_version: int = 1
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForfeitBonus(Operation):
    """Ends a bonus: what is left of its money returns to the house."""

    KIND = Kind.FORFEIT_BONUS
    CONTENT = ("player_id", "bonus_id", "reason", "actor")

    bonus_id: BonusId
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit(Operation):
    """Sets or lifts a limit.

    Attributes:
        max_amount: None lifts the limit.
        start_time: When the new maximum begins; None or the past is at once.
    """

    KIND = Kind.SET_LIMIT
    CONTENT = (
        "player_id",
        "currency_code",
        "scope",
        "limit_kind",
        "period",
        "max_amount",
        "start_time",
        "reason",
        "actor",
    )

    currency_code: str
    scope: Scope
    limit_kind: LimitKind
    period: Period
    max_amount: int | None
    start_time: Micros | None = None
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRestriction(Operation):
    """Replaces the restrictions that stand on one party's behalf.

    Attributes:
        reason: Why, if that is known. Stored, and not content, like the actor: a repeat of what was
            sent before anybody told is still the same.
        actor: Who wanted it, if that is known.
    """

    KIND = Kind.SET_RESTRICTION
    CONTENT = ("player_id", "scope", "restrictions")

    scope: Scope
    restrictions: Restriction
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPolicy(Operation):
    """Sets the policy that judges a source from now on, whole. It concerns no player.

    Attributes:
        source: Whom it judges.
    """

    KIND = Kind.SET_POLICY
    CONTENT = ("source", *SWITCHES, "reason", "actor")

    player_id: PlayerId = NOBODY
    source: str
    rollback_unknown: Stance = Stance.ACCEPT
    rollback_win_short: WinShort = WinShort.CLAMP
    debt_limit: int = 0
    rollback_settled_bet: Stance = Stance.ACCEPT
    win_without_reference: Stance = Stance.ACCEPT
    win_after_close: Stance = Stance.ACCEPT
    spend_order: SpendOrder = SpendOrder.CASH_FIRST
    split_stake: bool = True
    partial_rollback: bool = False
    key_scope: KeyScope = KeyScope.SOURCE
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Operations of one player that apply whole or not at all."""

    operations: tuple[Operation, ...]


GameOperation = Bet | Win | Rollback | CloseRound

OPERATIONS: tuple[type[Operation], ...] = (
    OpenWallet,
    Deposit,
    HoldDeposit,
    Withdraw,
    Capture,
    Release,
    Bet,
    Win,
    Rollback,
    CloseRound,
    Move,
    Adjust,
    GrantBonus,
    ForfeitBonus,
    SetLimit,
    SetRestriction,
    SetPolicy,
)
"""Everything that a caller can ask for."""
