"""What everybody has, and what is stored of each operation."""

import calendar
import copy
import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.wallet.domain import (
    BonusState,
    Bucket,
    HoldState,
    Kind,
    LimitKind,
    Operation,
    Outcome,
    Period,
    Restriction,
    Scope,
    SpendOrder,
)

CASH, BONUS, LOCKED = Bucket.CASH, Bucket.BONUS, Bucket.LOCKED
SUCCESSES = frozenset(outcome for outcome in Outcome if outcome < Outcome.TOMBSTONED)
NOT_CONTENT = frozenset({"key", "effective_time", "trace_id", "trace", "wager_weight"})

Name = tuple[str, str, str, Kind | None]
LimitName = tuple[Scope, LimitKind, str, Period]


@dataclass
class Wallet:
    """A player's money in one currency; `reserved` and `announced` are the holds on cash."""

    balance: dict[Bucket, int] = field(default_factory=lambda: dict.fromkeys(Bucket, 0))
    reserved: int = 0
    announced: int = 0
    floor: int = 0

    def available(self, bucket: Bucket) -> int:
        """What may be taken from a bucket without a debt."""
        return self.balance[bucket] - (self.reserved if bucket is CASH else 0)


@dataclass
class Hold:
    currency: str
    incoming: bool
    amount: int
    place: int
    expires: int | None
    state: HoldState = HoldState.PENDING
    posted: int = 0


@dataclass
class Round:
    currency: str
    closed: bool = False
    staked: tuple[int, int] = (0, 0)
    won: tuple[int, int] = (0, 0)
    wins: int = 0
    bonus_id: bytes | None = None


@dataclass
class Bonus:
    currency: str
    granted: int
    required: int
    expires: int
    max_bet: int | None
    order: SpendOrder | None
    state: BonusState = BonusState.QUEUED
    done: int = 0


@dataclass
class Limit:
    most: int | None = None
    used: int = 0
    opener: int = 0
    end: int = 0
    next_most: int | None = None
    next_time: int | None = None

    def most_at(self, now: int) -> int | None:
        """The maximum in force."""
        return self.next_most if self._changes(now) else self.most

    def used_at(self, now: int) -> int:
        """What is used of the window that is open."""
        return self.used if now < self.end else 0

    def count(self, amount: int, now: int, period: Period, place: int) -> None:
        """Adds to the open window, or to a new one."""
        if self._changes(now):
            self.most, self.next_most, self.next_time = self.next_most, None, None
        if now >= self.end:
            self.used, self.opener, self.end = 0, place, window_end(now, period)
        self.used += amount

    def take_back(self, amount: int, counted: int, now: int) -> None:
        """Takes off what was counted in the window that is open still."""
        if self.opener <= counted and now < self.end:
            self.used -= amount

    def _changes(self, now: int) -> bool:
        return self.next_time is not None and now >= self.next_time


@dataclass
class Player:
    tenant: str
    restrictions: dict[Scope, Restriction] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    bonuses: dict[bytes, Bonus] = field(default_factory=dict)
    rounds: dict[tuple[str, str], Round] = field(default_factory=dict)
    limits: dict[LimitName, Limit] = field(default_factory=dict)

    def copy(self) -> "Player":
        """A copy of its own, down to each wallet, hold, bonus, round and limit."""
        made = copy.copy(self)
        made.restrictions = dict(self.restrictions)
        made.wallets = {
            name: dataclasses.replace(each, balance=dict(each.balance))
            for name, each in self.wallets.items()
        }
        made.holds = {name: copy.copy(each) for name, each in self.holds.items()}
        made.bonuses = {name: copy.copy(each) for name, each in self.bonuses.items()}
        made.rounds = {name: copy.copy(each) for name, each in self.rounds.items()}
        made.limits = {name: copy.copy(each) for name, each in self.limits.items()}
        return made

    def may_not(self, bit: Restriction) -> bool:
        """Tells whether either party forbids it."""
        return any(bits & bit for bits in self.restrictions.values())

    def active(self, currency: str) -> tuple[bytes, Bonus] | None:
        """The bonus that counts at present."""
        for bonus_id, bonus in self.bonuses.items():
            if bonus.currency == currency and bonus.state is BonusState.ACTIVE:
                return bonus_id, bonus
        return None


@dataclass(frozen=True)
class Reply:
    """What the caller is told. `outcome` is None where nothing is stored under the key."""

    outcome: Outcome | None
    error: str = ""
    replayed: bool = False
    available: tuple[int, int, int] | None = None
    amount: int = 0
    shortfall: int = 0
    currency: str = ""

    @property
    def success(self) -> bool:
        return self.outcome in SUCCESSES


@dataclass
class Stored:
    """An operation under its key.

    `shares` is how its amount fell on cash and bonus, `place` where it stands in the order of all.
    """

    operation: Operation
    tombstone: bool = False
    reply: Reply = Reply(None)
    time: int = 0
    place: int = 0
    currency: str = ""
    amount: int = 0
    shares: tuple[int, int] = (0, 0)
    progress: int = 0
    bonus_id: bytes | None = None
    round: tuple[str, str] | None = None
    reversed: tuple[int, int] = (0, 0)
    undone: int = 0
    reversals: int = 0
    shortfall: int = 0
    outcome: Outcome = Outcome.APPLIED

    @property
    def gone(self) -> bool:
        """Nothing of it is left to reverse."""
        return self.reversals > 0 and sum(self.left) == 0

    @property
    def left(self) -> tuple[int, int]:
        """What may still be reversed, in cash and in bonus."""
        return self.shares[0] - self.reversed[0], self.shares[1] - self.reversed[1]


class Refusal(Exception):  # noqa: N818 (it is an answer)
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome


INVALID, KEY_REUSED = Reply(None, "INVALID_ARGUMENT"), Reply(None, "KEY_REUSED")


def window_end(start: int, period: Period) -> int:
    """A day, a week, or to the same day of the next month, or its last."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)
    if period is not Period.MONTH:
        length = timedelta(days=1 if period is Period.DAY else 7)
        return start + length // timedelta(microseconds=1)
    year, month = moment.year + moment.month // 12, moment.month % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    end = moment.replace(year=year, month=month, day=day)
    return start + (end - moment) // timedelta(microseconds=1)
