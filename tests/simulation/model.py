"""The ledger in a few hundred obvious lines: what the engine is held against.

Plain values, one operation at a time, no batches, no versions, no rows. It is written from the
rules in `docs/ledger.md` and shares with the engine only the words: operations and enumerations.
Given an operation and the time of its commit it tells the outcome, and what everybody has then.
"""

import calendar
import copy
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kit.money import CURRENCIES, MINOR_UNITS_MAX
from services.wallet.domain import (
    Adjust,
    Bet,
    BonusState,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    HoldDeposit,
    HoldState,
    HouseKind,
    IfRefused,
    KeyScope,
    Kind,
    LimitKind,
    Move,
    OpenWallet,
    Operation,
    Outcome,
    Period,
    Policy,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetRestriction,
    SpendOrder,
    Stance,
    Win,
    WinShort,
    Withdraw,
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
    time: int
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
    start: int = 0
    end: int = 0
    next_most: int | None = None
    next_time: int | None = None

    def most_at(self, now: int) -> int | None:
        """The maximum in force."""
        return self.next_most if self._changes(now) else self.most

    def used_at(self, now: int) -> int:
        """What is used of the window that is open."""
        return self.used if now < self.end else 0

    def count(self, amount: int, now: int, period: Period) -> None:
        """Adds to the open window, or to a new one."""
        if self._changes(now):
            self.most, self.next_most, self.next_time = self.next_most, None, None
        if now >= self.end:
            self.used, self.start, self.end = 0, now, window_end(now, period)
        self.used += amount

    def take_back(self, amount: int, counted: int, now: int) -> None:
        """Takes off what was counted in the window that is open still."""
        if self.start <= counted and now < self.end:
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
    """An operation under its key. `shares` is how its amount fell on cash and bonus."""

    operation: Operation
    tombstone: bool = False
    reply: Reply = Reply(None)
    time: int = 0
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


class Ledger:
    """Everybody's money, and every key."""

    def __init__(self, policies: dict[tuple[str, str], Policy] | None = None) -> None:
        self.policies = policies or {}
        self.players: dict[bytes, Player] = {}
        self.house: defaultdict[tuple[HouseKind, str], int] = defaultdict(int)
        self.stored: dict[Name, Stored] = {}
        self._undo: list[Stored] = []
        self._made: list[Name] = []

    # Doing.

    def apply(self, operation: Operation, now: int, new_id: bytes | None = None) -> Reply:
        """Runs one operation. `new_id` names the hold or bonus that it may create."""
        if self.malformed(operation):
            return INVALID
        self.wake(operation.player_id, now)
        reply = self._one(operation, now, new_id)
        self.settle(operation.player_id)
        return reply

    def apply_group(
        self, operations: list[Operation], now: int, new_ids: Sequence[bytes | None] | None = None
    ) -> list[Reply]:
        """Runs linked operations: all, or none."""
        if self.malformed_group(operations):
            return [INVALID] * len(operations)
        player_id = operations[0].player_id
        ids = new_ids or [None] * len(operations)
        self.wake(player_id, now)
        player = self.players.get(player_id)
        before = None if player is None else player.copy(), self.house.copy()
        self._undo, self._made = [], []
        replies: list[Reply] = []
        for operation, new_id in zip(operations, ids, strict=True):
            replies.append(self._one(operation, now, new_id))
            if not replies[-1].success:
                break
        if replies[-1].success:
            self.settle(player_id)
            return replies
        failed, refused = len(replies) - 1, replies[-1]
        barred = refused.outcome is Outcome.REFERENCE_NOT_FOUND
        self._restore(player_id, *before)
        return [
            self._fail_leg(operation, now, refused if index == failed else None, barred=barred)
            for index, operation in enumerate(operations)
        ]

    def wake(self, player_id: bytes, now: int) -> None:
        """Expires what is due, before anything else happens to the player."""
        player = self.players.get(player_id)
        if player is None:
            return
        for hold in player.holds.values():
            due = hold.expires is not None and hold.expires <= now
            if due and hold.state is HoldState.PENDING:
                self._free(player, hold, HoldState.EXPIRED, now)
        for bonus in player.bonuses.values():
            if bonus.state <= BonusState.ACTIVE and bonus.expires <= now:
                self._end(player, bonus, BonusState.EXPIRED)
        self._activate(player)

    def malformed(self, operation: Operation) -> bool:
        """Tells whether an operation is wrong whatever the ledger holds."""
        if not operation.key.id or operation.key.source == "wallet":
            return True
        if getattr(operation, "currency_code", "EUR") not in CURRENCIES:
            return True
        amount = getattr(operation, "amount", None)
        least = 0 if isinstance(operation, Bet | Win) else 1
        if isinstance(operation, Adjust):
            amount = abs(operation.amount)
        if amount is not None and not least <= amount <= MINOR_UNITS_MAX:
            return True
        partial = isinstance(operation, Rollback) and operation.amount is not None
        return partial and not self._policy(operation).partial_rollback

    def malformed_group(self, operations: list[Operation]) -> bool:
        """Tells the same of linked operations."""
        owners = {(each.key.tenant, each.player_id) for each in operations}
        return len(owners) > 1 or any(map(self.malformed, operations))

    # Keys.

    def _policy(self, operation: Operation) -> Policy:
        key = operation.key
        return self.policies.get((key.tenant, key.source), Policy(policy_id=1))

    def name(self, operation: Operation, id_: str = "", kind: Kind | None = None) -> Name:
        """The key of an operation, or of one that it refers to, as far as it must be unique."""
        key = operation.key
        by_kind = self._policy(operation).key_scope is KeyScope.SOURCE_AND_KIND
        return (
            key.tenant,
            key.source,
            id_ or key.id,
            (kind or operation.KIND) if by_kind else None,
        )

    def _one(self, operation: Operation, now: int, new_id: bytes | None) -> Reply:
        known = self.stored.get(self.name(operation))
        if known is not None:
            if known.tombstone:
                return known.reply
            if content(known.operation) == content(operation):
                return dataclasses.replace(known.reply, replayed=True)
            return KEY_REUSED
        currency = getattr(operation, "currency_code", "")
        stored = Stored(operation, time=now, currency=currency)
        tombstone = False
        try:
            player = self._player(operation)
            getattr(self, "_do_" + operation.KIND.name.lower())(operation, player, stored, new_id)
        except Refusal as refusal:
            stored.outcome = refusal.outcome
            stored.shares, stored.progress, stored.shortfall = (0, 0), 0, 0
        if isinstance(operation, Rollback):
            tombstone = self._bars(operation, stored)
        self._store(stored)
        if tombstone:
            self._bar(operation, stored)
        return stored.reply

    def _store(self, stored: Stored) -> None:
        operation = stored.operation
        stored.reply = Reply(
            stored.outcome,
            available=self._available(operation, stored.currency),
            amount=stored.amount,
            shortfall=stored.shortfall,
            currency=stored.currency,
        )
        self.stored[self.name(operation)] = stored
        self._made.append(self.name(operation))

    def _bars(self, operation: Rollback, stored: Stored) -> bool:
        """Tells whether a rollback must bar an original that nobody has seen."""
        unknown = (Outcome.NOTHING_TO_REVERSE, Outcome.REFERENCE_NOT_FOUND)
        reference = self._reference(operation)
        return (
            stored.outcome in unknown
            and reference not in self.stored
            and reference != self.name(operation)
        )

    def _bar(self, operation: Operation, cause: Stored) -> None:
        name = self._reference(operation)
        reply = dataclasses.replace(cause.reply, outcome=Outcome.TOMBSTONED, amount=0)
        self.stored[name] = Stored(
            operation, tombstone=True, reply=reply, currency=cause.currency, time=cause.time
        )
        self._made.append(name)

    def _reference(self, operation: Any) -> Name:
        kind = getattr(operation, "reference_kind", None) or Kind.BET
        return self.name(operation, operation.reference, kind)

    # Groups.

    def _fail_leg(
        self, operation: Operation, now: int, refused: Reply | None, *, barred: bool
    ) -> Reply:
        name = self.name(operation)
        if name in self.stored or (refused is not None and refused.outcome is None):
            return self._one(operation, now, None)
        currency = getattr(operation, "currency_code", "")
        stored = Stored(operation, time=now, currency=currency, outcome=Outcome.LINKED_FAILED)
        if refused is not None and refused.outcome is not None:
            stored.outcome, stored.currency = refused.outcome, refused.currency
        self._store(stored)
        if refused is not None and barred and isinstance(operation, Rollback):
            self._bar(operation, stored)
        return stored.reply

    def _restore(
        self, player_id: bytes, player: Player | None, house: defaultdict[Any, int]
    ) -> None:
        self.house = house
        for stored in reversed(self._undo):
            self.stored[self.name(stored.operation)] = stored
        for name in self._made:
            self.stored.pop(name, None)
        if player is None:
            self.players.pop(player_id, None)
        else:
            self.players[player_id] = player

    # Looking.

    def _player(self, operation: Operation) -> Player:
        player = self.players.get(operation.player_id)
        if player is None and isinstance(operation, OpenWallet):
            player = self.players[operation.player_id] = Player(operation.key.tenant)
        if player is None or player.tenant != operation.key.tenant:
            raise Refusal(Outcome.PLAYER_NOT_FOUND)
        currency = getattr(operation, "currency_code", None)
        if currency is not None and currency not in player.wallets:
            if not isinstance(operation, OpenWallet):
                raise Refusal(Outcome.ACCOUNT_NOT_FOUND)
            player.wallets[currency] = Wallet()
        return player

    def _available(self, operation: Operation, currency: str) -> tuple[int, int, int] | None:
        player = self.players.get(operation.player_id)
        if player is None or player.tenant != operation.key.tenant:
            return None
        wallet = player.wallets.get(currency)
        if wallet is None:
            return None
        return (wallet.available(CASH), wallet.available(BONUS), wallet.available(LOCKED))

    def _post(
        self, house: HouseKind, wallet: Wallet, currency: str, bucket: Bucket, by: int
    ) -> None:
        wallet.balance[bucket] += by
        self.house[house, currency] -= by

    def _refuse_beyond_limits(
        self, player: Player, currency: str, now: int, amounts: dict[LimitKind, int]
    ) -> None:
        for (_, kind, limited, _), limit in player.limits.items():
            amount, most = amounts.get(kind, 0), limit.most_at(now)
            if limited != currency or amount <= 0 or most is None:
                continue
            if limit.used_at(now) + amount > most:
                raise Refusal(Outcome.LIMIT_REACHED)

    def _count(
        self, player: Player, currency: str, now: int, amounts: dict[LimitKind, int]
    ) -> None:
        for (_, kind, limited, period), limit in player.limits.items():
            if limited == currency and amounts.get(kind):
                limit.count(amounts[kind], now, period)

    def _take_back(
        self, player: Player, currency: str, times: tuple[int, int], amounts: dict[LimitKind, int]
    ) -> None:
        counted, now = times
        for (_, kind, limited, _), limit in player.limits.items():
            if limited == currency and kind in amounts:
                limit.take_back(amounts[kind], counted, now)

    # The player.

    def _do_open_wallet(self, op: OpenWallet, player: Player, it: Stored, new_id: Any) -> None:
        """The wallet was opened on the way here."""

    def _do_set_restriction(
        self, op: SetRestriction, player: Player, it: Stored, new_id: Any
    ) -> None:
        player.restrictions[op.scope] = op.restrictions

    def _do_set_limit(self, op: SetLimit, player: Player, it: Stored, new_id: Any) -> None:
        name = (op.scope, op.limit_kind, op.currency_code, op.period)
        limit = player.limits.setdefault(name, Limit())
        if op.start_time is None or op.start_time <= it.time:
            limit.most, limit.next_most, limit.next_time = op.max_amount, None, None
        else:
            limit.most = limit.most_at(it.time)
            limit.next_most, limit.next_time = op.max_amount, op.start_time

    # Deposits and withdrawals.

    def _do_deposit(self, op: Deposit, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        bucket = CASH
        try:
            self._admit_deposit(player, op, it)
        except Refusal:
            if op.if_refused is IfRefused.REFUSE:
                raise
            bucket, it.outcome = LOCKED, Outcome.APPLIED_LOCKED
        self._post(HouseKind.PSP, wallet, op.currency_code, bucket, op.amount)

    def _admit_deposit(self, player: Player, op: Deposit | HoldDeposit, it: Stored) -> None:
        if player.may_not(Restriction.NO_DEPOSIT):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        amounts = {LimitKind.DEPOSIT: op.amount}
        self._refuse_beyond_limits(player, op.currency_code, it.time, amounts)
        self._count(player, op.currency_code, it.time, amounts)

    def _do_hold_deposit(self, op: HoldDeposit, player: Player, it: Stored, new_id: bytes) -> None:
        it.amount = op.amount
        self._admit_deposit(player, op, it)
        player.wallets[op.currency_code].announced += op.amount
        player.holds[new_id] = Hold(op.currency_code, True, op.amount, it.time, op.expire_time)

    def _do_withdraw(self, op: Withdraw, player: Player, it: Stored, new_id: bytes) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        if player.may_not(Restriction.NO_WITHDRAW):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        if wallet.available(CASH) < op.amount:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        wallet.reserved += op.amount
        player.holds[new_id] = Hold(op.currency_code, False, op.amount, it.time, None)

    def _pending(self, op: Capture | Release, player: Player, it: Stored) -> Hold:
        hold = player.holds.get(op.hold_id)
        if hold is None:
            elsewhere = any(op.hold_id in other.holds for other in self.players.values())
            raise Refusal(Outcome.REFERENCE_MISMATCH if elsewhere else Outcome.HOLD_NOT_FOUND)
        it.currency = hold.currency
        refused = {
            HoldState.POSTED: Outcome.HOLD_ALREADY_POSTED,
            HoldState.VOIDED: Outcome.HOLD_ALREADY_VOIDED,
            HoldState.EXPIRED: Outcome.HOLD_EXPIRED,
        }.get(hold.state)
        if refused is not None:
            raise Refusal(refused)
        return hold

    def _do_capture(self, op: Capture, player: Player, it: Stored, new_id: Any) -> None:
        it.amount = op.amount or 0
        hold = self._pending(op, player, it)
        it.amount = amount = hold.amount if op.amount is None else op.amount
        if amount > hold.amount:
            raise Refusal(Outcome.CAPTURE_TOO_LARGE)
        wallet, bucket = player.wallets[hold.currency], CASH
        freed = hold.amount - amount
        if hold.incoming and player.may_not(Restriction.NO_DEPOSIT):
            bucket, it.outcome = LOCKED, Outcome.APPLIED_LOCKED
        self._free(player, hold, HoldState.POSTED, it.time, freed)
        hold.posted = amount
        signed = amount if hold.incoming else -amount
        self._post(HouseKind.PSP, wallet, hold.currency, bucket, signed)

    def _do_release(self, op: Release, player: Player, it: Stored, new_id: Any) -> None:
        hold = self._pending(op, player, it)
        it.amount = hold.amount
        self._free(player, hold, HoldState.VOIDED, it.time)

    def _free(
        self, player: Player, hold: Hold, state: HoldState, now: int, freed: int | None = None
    ) -> None:
        """Ends a hold; what was not captured of a deposit no longer counts."""
        wallet, hold.state = player.wallets[hold.currency], state
        if not hold.incoming:
            wallet.reserved -= hold.amount
            return
        wallet.announced -= hold.amount
        unused = {LimitKind.DEPOSIT: hold.amount if freed is None else freed}
        self._take_back(player, hold.currency, (hold.time, now), unused)

    # Games.

    def _round(self, op: Any, player: Player, key: str = "") -> Round | None:
        """The round that an operation names, if it is known."""
        known = player.rounds.get((op.key.source, key or op.round_key))
        if known is not None and known.currency != op.currency_code:
            raise Refusal(Outcome.REFERENCE_MISMATCH)
        return known

    def _round_for(self, op: Any, player: Player, it: Stored) -> Round | None:
        """The round that an operation takes part in, opened if need be."""
        if not op.round_key:
            return None
        it.round = (op.key.source, op.round_key)
        played = player.rounds.setdefault(it.round, Round(op.currency_code))
        played.closed = played.closed or getattr(op, "close_round", True)
        return played

    def _split(self, op: Bet, player: Player) -> tuple[int, int, bool]:
        """What a stake takes from cash and from bonus, and whether that is all of it."""
        wallet, active = player.wallets[op.currency_code], player.active(op.currency_code)
        policy = self._policy(op)
        order = policy.spend_order
        if active is not None and active[1].order is not None:
            order = active[1].order
        room = {bucket: max(wallet.available(bucket), 0) for bucket in (CASH, BONUS)}
        first, second = (CASH, BONUS) if order is SpendOrder.CASH_FIRST else (BONUS, CASH)
        # What nobody can pay is asked of the second.
        taken = {first: min(room[first], op.amount)}
        if not policy.split_stake:
            taken[first] = 0 if room[first] < op.amount <= room[second] else op.amount
        taken[second] = op.amount - taken[first]
        enough = all(taken[bucket] <= room[bucket] for bucket in taken)
        return taken[CASH], taken[BONUS], enough

    def _do_bet(self, op: Bet, player: Player, it: Stored, new_id: Any) -> None:
        it.amount = op.amount
        if player.may_not(Restriction.NO_BET):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        known = self._round(op, player)
        if known is not None and known.closed:
            raise Refusal(Outcome.ROUND_CLOSED)
        cash, bonus, enough = self._split(op, player)
        amounts = {LimitKind.WAGER: op.amount, LimitKind.LOSS: cash}
        self._refuse_beyond_limits(player, op.currency_code, it.time, amounts)
        active = player.active(op.currency_code)
        most = active[1].max_bet if active is not None else None
        if most is not None and bonus and op.amount > most:
            raise Refusal(Outcome.BONUS_MAX_BET)
        if not enough:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        wallet, it.shares = player.wallets[op.currency_code], (cash, bonus)
        self._post(HouseKind.GAME, wallet, op.currency_code, CASH, -cash)
        self._post(HouseKind.GAME, wallet, op.currency_code, BONUS, -bonus)
        self._count(player, op.currency_code, it.time, amounts)
        if active is not None:
            it.bonus_id, it.progress = active[0], op.amount * op.wager_weight // 10_000
            active[1].done += it.progress
        played = self._round_for(op, player, it)
        if played is not None:
            played.staked = (played.staked[0] + cash, played.staked[1] + bonus)
            if bonus:
                played.bonus_id = it.bonus_id

    def _original(self, op: Win | Rollback) -> Stored | None:
        """What an operation refers to, if it is of the same player, kind and currency."""
        original = self.stored.get(self._reference(op))
        if original is None:
            return None
        other = original.operation
        kinds = {Kind.BET} if isinstance(op, Win) else {Kind.BET, Kind.WIN}
        if isinstance(op, Rollback) and op.reference_kind is not None:
            kinds = {op.reference_kind}
        same = other.player_id == op.player_id and original.currency == op.currency_code
        if not same or not (original.tombstone or other.KIND in kinds):
            raise Refusal(Outcome.REFERENCE_MISMATCH)
        return original

    def _do_win(self, op: Win, player: Player, it: Stored, new_id: Any) -> None:
        policy, it.amount = self._policy(op), op.amount
        bet = self._original(op) if op.reference else None
        if bet is None and (op.reference or policy.win_without_reference is Stance.REFUSE):
            raise Refusal(Outcome.REFERENCE_NOT_FOUND)
        if bet is not None and bet.outcome not in SUCCESSES:
            raise Refusal(Outcome.REFERENCE_REFUSED)
        if bet is not None and (bet.tombstone or bet.gone):
            raise Refusal(Outcome.REFERENCE_REVERSED)
        known = self._round(op, player)
        if known is not None and known.closed:
            if policy.win_after_close is Stance.REFUSE:
                raise Refusal(Outcome.ROUND_CLOSED)
            it.outcome = Outcome.APPLIED_LATE
        shares: tuple[int, int] = (0, 0)
        if known is not None and any(known.staked):
            shares, it.bonus_id = known.staked, known.bonus_id
        elif bet is not None:
            shares, it.bonus_id = bet.left, bet.bonus_id
        bonus = op.amount * shares[1] // sum(shares) if sum(shares) else 0
        cash = op.amount - bonus
        it.shares = (cash, bonus)
        wallet = player.wallets[op.currency_code]
        self._post(HouseKind.GAME, wallet, op.currency_code, CASH, cash)
        self._post_bonus_share(player, op.currency_code, it.bonus_id, bonus)
        # A win makes up for losses of the window that is open, and opens none.
        times = (it.time, it.time)
        self._take_back(player, op.currency_code, times, {LimitKind.LOSS: cash})
        played = self._round_for(op, player, it)
        if played is not None:
            played.won = (played.won[0] + cash, played.won[1] + bonus)
            played.wins += 1

    def _place(self, player: Player, bonus_id: bytes | None) -> Bucket | None:
        """Where money of a bonus is now; None is back with the house."""
        state = player.bonuses[bonus_id].state if bonus_id is not None else BonusState.ACTIVE
        if state is BonusState.RELEASED:
            return CASH
        return BONUS if state is BonusState.ACTIVE else None

    def _post_bonus_share(
        self, player: Player, currency: str, bonus_id: bytes | None, amount: int
    ) -> None:
        place = self._place(player, bonus_id) if amount else BONUS
        if place is not None:
            self._post(HouseKind.GAME, player.wallets[currency], currency, place, amount)
        else:
            self.house[HouseKind.GAME, currency] -= amount
            self.house[HouseKind.BONUS_COST, currency] += amount

    def _do_rollback(self, op: Rollback, player: Player, it: Stored, new_id: Any) -> None:
        policy = self._policy(op)
        it.amount = op.amount or 0
        original = self._original(op)
        if original is None:
            if policy.rollback_unknown is Stance.REFUSE:
                raise Refusal(Outcome.REFERENCE_NOT_FOUND)
            it.outcome = Outcome.NOTHING_TO_REVERSE
        elif original.tombstone or original.gone:
            it.outcome = Outcome.ALREADY_REVERSED
        elif original.outcome not in SUCCESSES:
            it.outcome = Outcome.NOTHING_TO_REVERSE
        else:
            self._reverse(op, player, it, original)
        if op.close_round:
            self._close_after(op, player, original if it.outcome.posted else None)

    def _close_after(self, op: Rollback, player: Player, original: Stored | None) -> None:
        """Closes the round of what was reversed, else the round that the rollback names."""
        name = original.round if original is not None else None
        name = name or ((op.key.source, op.round_key) if op.round_key else None)
        if name is None:
            return
        played = player.rounds.setdefault(name, Round(op.currency_code))
        if played.currency == op.currency_code:
            played.closed = True

    def _reverse(self, op: Rollback, player: Player, it: Stored, original: Stored) -> None:
        is_bet = original.operation.KIND is Kind.BET
        played = player.rounds.get(original.round) if original.round is not None else None
        settled = is_bet and played is not None and (played.closed or played.wins > 0)
        policy = self._policy(op)
        if settled and policy.rollback_settled_bet is Stance.REFUSE:
            raise Refusal(Outcome.REFERENCE_SETTLED)
        left = original.left
        it.amount = amount = sum(left) if op.amount is None else op.amount
        if amount > sum(left):
            raise Refusal(Outcome.OVER_REVERSED)
        bonus = share(left[1], amount, sum(left))
        progress = share(original.progress - original.undone, amount, sum(left))
        cash = amount - bonus
        times = (original.time, it.time)
        if is_bet:
            wallet = player.wallets[op.currency_code]
            self._post(HouseKind.GAME, wallet, op.currency_code, CASH, cash)
            self._post_bonus_share(player, op.currency_code, original.bonus_id, bonus)
            undone = {LimitKind.WAGER: amount, LimitKind.LOSS: cash}
        else:
            self._claw_back(op, player, it, original.bonus_id, (cash, bonus))
            undone = {LimitKind.LOSS: -cash}
        self._take_back(player, op.currency_code, times, undone)
        if played is not None and is_bet:
            played.staked = (played.staked[0] - cash, played.staked[1] - bonus)
        elif played is not None:
            played.won = (played.won[0] - cash, played.won[1] - bonus)
        self._undo.append(copy.copy(original))
        original.reversed = (original.reversed[0] + cash, original.reversed[1] + bonus)
        original.reversals += 1
        marked = player.bonuses.get(original.bonus_id) if original.bonus_id is not None else None
        if is_bet and marked is not None and marked.state is BonusState.ACTIVE:
            marked.done -= progress
            original.undone += progress

    def _claw_back(
        self,
        op: Rollback,
        player: Player,
        it: Stored,
        bonus_id: bytes | None,
        shares: tuple[int, int],
    ) -> None:
        """Takes a win from where it went, as far as it is there still."""
        policy, currency = self._policy(op), op.currency_code
        wallet = player.wallets[currency]
        want = {CASH: shares[0], BONUS: 0}
        place = self._place(player, bonus_id)
        if place is not None:
            want[place] += shares[1]
        in_debt = policy.rollback_win_short is WinShort.DEBT
        room = {CASH: policy.debt_limit if in_debt else 0, BONUS: 0}
        took = {
            bucket: min(want[bucket], max(wallet.available(bucket) + room[bucket], 0))
            for bucket in (CASH, BONUS)
        }
        it.shortfall = sum(want.values()) - sum(took.values())
        if it.shortfall and policy.rollback_win_short is WinShort.REFUSE:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        for bucket in (CASH, BONUS):
            self._post(HouseKind.GAME, wallet, currency, bucket, -took[bucket])
        if place is None:
            self.house[HouseKind.GAME, currency] += shares[1]
            self.house[HouseKind.BONUS_COST, currency] -= shares[1]
        if it.shortfall:
            it.outcome = Outcome.APPLIED_CLAMPED
            self.house[HouseKind.GAME, currency] += it.shortfall
            self.house[HouseKind.ROLLBACK_LOSS, currency] -= it.shortfall

    def _do_close_round(self, op: CloseRound, player: Player, it: Stored, new_id: Any) -> None:
        known = self._round(op, player)
        if known is not None and known.closed:
            it.outcome = Outcome.ALREADY_CLOSED
        self._round_for(op, player, it)

    # The back office.

    def _do_move(self, op: Move, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        if op.debit is not None and wallet.available(op.debit) < op.amount:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        for bucket, by in ((op.debit, -op.amount), (op.credit, op.amount)):
            if bucket is not None:
                self._post(HouseKind.FX, wallet, op.currency_code, bucket, by)

    def _do_adjust(self, op: Adjust, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        policy, room = self._policy(op), 0
        if op.chargeback and op.bucket is CASH and policy.rollback_win_short is WinShort.DEBT:
            room = policy.debt_limit
        if op.amount < 0 and wallet.available(op.bucket) + op.amount < -room:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        self._post(HouseKind.ADJUSTMENT, wallet, op.currency_code, op.bucket, op.amount)

    def _do_grant_bonus(self, op: GrantBonus, player: Player, it: Stored, new_id: bytes) -> None:
        it.amount = op.amount
        if player.may_not(Restriction.NO_BONUS):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        player.bonuses[new_id] = Bonus(
            op.currency_code,
            op.amount,
            op.wager_required,
            op.expire_time,
            op.max_bet,
            op.spend_order,
        )
        self._activate(player)

    def _do_forfeit_bonus(self, op: ForfeitBonus, player: Player, it: Stored, new_id: Any) -> None:
        bonus = player.bonuses.get(op.bonus_id)
        if bonus is None:
            elsewhere = any(op.bonus_id in other.bonuses for other in self.players.values())
            raise Refusal(Outcome.REFERENCE_MISMATCH if elsewhere else Outcome.BONUS_NOT_FOUND)
        it.currency = bonus.currency
        if bonus.state not in {BonusState.QUEUED, BonusState.ACTIVE}:
            raise Refusal(Outcome.BONUS_NOT_ACTIVE)
        it.amount = self._end(player, bonus, BonusState.FORFEITED)

    # The life of a bonus.

    def _end(self, player: Player, bonus: Bonus, state: BonusState) -> int:
        """Empties the bonus bucket: to cash if the bonus is released, else to the house."""
        wallet, left = player.wallets[bonus.currency], 0
        if bonus.state is BonusState.ACTIVE:
            left = wallet.available(BONUS)
            self._post(HouseKind.BONUS_COST, wallet, bonus.currency, BONUS, -left)
        if state is BonusState.RELEASED:
            self._post(HouseKind.BONUS_COST, wallet, bonus.currency, CASH, left)
        bonus.state = state
        return left

    def _activate(self, player: Player) -> None:
        """Lets the bonus that was granted first begin, where none counts."""
        for bonus in player.bonuses.values():
            waits = bonus.state is BonusState.QUEUED and player.active(bonus.currency) is None
            if waits and not player.may_not(Restriction.NO_BONUS):
                bonus.state = BonusState.ACTIVE
                wallet = player.wallets[bonus.currency]
                self._post(HouseKind.BONUS_COST, wallet, bonus.currency, BONUS, bonus.granted)

    def settle(self, player_id: bytes) -> None:
        """Turns bonuses that have been wagered into cash, and lets the next begin."""
        player = self.players.get(player_id)
        if player is None:
            return
        self._activate(player)
        for bonus in player.bonuses.values():
            if bonus.state is BonusState.ACTIVE and bonus.done >= bonus.required:
                self._end(player, bonus, BonusState.RELEASED)
                self._activate(player)


def content(operation: Operation) -> tuple[Any, ...]:
    """What makes two operations under one key the same."""
    return (
        operation.KIND,
        *(
            getattr(operation, each.name)
            for each in dataclasses.fields(operation)
            if each.name not in NOT_CONTENT
        ),
    )


def share(part: int, amount: int, whole: int) -> int:
    """How much of a part falls on an amount of the whole, rounded down."""
    return part * amount // whole if whole else 0


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
