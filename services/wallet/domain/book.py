"""The working copy on which a batch is planned, and the one way to change it.

A batch loads the rows that it touches, plans every operation in order on them, and hands back
what to write. Nothing here reads a clock or a database. Within a linked group each change leaves
its undo behind; outside of groups an operation checks first and changes afterwards.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from services.wallet.domain.operations import Operation
from services.wallet.domain.policy import Policies, Policy, policy_of
from services.wallet.domain.result import write_detail
from services.wallet.domain.rows import (
    NOT_STORED,
    Account,
    Bonus,
    Entry,
    Hold,
    LimitCounter,
    Player,
    PolicyVersion,
    Posting,
    Round,
    Row,
    Transfer,
    Wallet,
)
from services.wallet.domain.values import (
    COUNTER_MAX,
    BonusId,
    BonusState,
    Bucket,
    HoldId,
    HouseKind,
    Kind,
    Micros,
    Outcome,
    PlayerId,
    RoundState,
    account_id_of,
)

KeyName = tuple[str, str, bytes]
"""Tenant, source and packed id: what is unique for ever."""
RoundName = tuple[str, str, PlayerId, str]
"""Tenant, source, player and the provider's round: live tables share one id among players."""
HouseName = tuple[HouseKind, str, str]
"""Kind, source and currency."""
WalletName = tuple[PlayerId, str]

_FIRST_LEG = 0
_ROUND_CODE = 31

K = TypeVar("K")
V = TypeVar("V")


class Refused(Exception):  # noqa: N818 (a refusal is an outcome, and not an error)
    """An operation is turned down. Raised before anything was changed, caught by the planner."""

    def __init__(self, outcome: Outcome, **detail: Any) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome
        self.detail = detail


@dataclass(slots=True)
class Leg:
    """What a transfer does to one account."""

    account: Account
    debit: int = 0
    credit: int = 0
    debit_pending: int = 0
    credit_pending: int = 0


@dataclass(slots=True)
class Draft:
    """A transfer in the making.

    Attributes:
        bars: The key of an original that nobody has seen, and that a tombstone shall occupy.
    """

    operation: Operation
    key: bytes
    fingerprint: bytes
    policy: Policy
    kind: Kind
    seq: int
    outcome: Outcome = Outcome.APPLIED
    currency_code: str | None = None
    amount: int = 0
    bonus_amount: int = 0
    flags: int = 0
    original: Posting | None = None
    original_seq: int | None = None
    reversal_no: int | None = None
    hold_id: HoldId | None = None
    round: Round | None = None
    round_state: RoundState | None = None
    bonus_id: BonusId | None = None
    wager_delta: int = 0
    game_id: str = ""
    wallet: Wallet | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    bars: KeyName | None = None


@dataclass(slots=True)
class Loaded:
    """The rows that a batch touches, as the database has them.

    Attributes:
        houses: All house accounts of the shard, most of which a batch does not touch.
        sources: Which of the tenants and sources that were asked about have used a key.
    """

    players: dict[PlayerId, Player] = field(default_factory=dict)
    wallets: dict[WalletName, Wallet] = field(default_factory=dict)
    houses: dict[HouseName, Account] = field(default_factory=dict)
    rounds: dict[RoundName, Round] = field(default_factory=dict)
    holds: dict[HoldId, Hold] = field(default_factory=dict)
    bonuses: dict[BonusId, Bonus] = field(default_factory=dict)
    limits: dict[PlayerId, list[LimitCounter]] = field(default_factory=dict)
    postings: dict[KeyName, Posting] = field(default_factory=dict)
    reversals: dict[int, list[Transfer]] = field(default_factory=dict)
    sources: set[tuple[str, str]] = field(default_factory=set)


class Book:
    """The working copy of one batch of one shard."""

    def __init__(
        self, loaded: Loaded, policies: Policies, *, shard: int, next_seq: int, now: Micros
    ) -> None:
        self.shard = shard
        self.now = now
        self.next_seq = next_seq
        self.policies = policies
        self.players = loaded.players
        self.wallets = loaded.wallets
        self.rounds = loaded.rounds
        self.holds = loaded.holds
        self.bonuses = loaded.bonuses
        self.limits = loaded.limits
        self.known = loaded.postings
        self.reversals = loaded.reversals
        self.sources = loaded.sources
        self.policies_set: list[PolicyVersion] = []
        self.rounds_by_id = {each.round_id: each for each in loaded.rounds.values()}
        self.houses: dict[HouseName, Account] = {}
        self._stored_houses = loaded.houses
        self.transfers: list[Transfer] = []
        self.entries: list[Entry] = []
        self._undo: list[Callable[[], object]] | None = None
        self._saved: set[int] = set()

    # Finding.

    def wallet(self, player_id: PlayerId, currency_code: str, tenant: str) -> Wallet:
        """Finds a player's accounts, or refuses."""
        wallet = self.wallets.get((player_id, currency_code))
        if wallet is None:
            self.player(player_id, tenant)
            raise Refused(Outcome.ACCOUNT_NOT_FOUND)
        if wallet.player.tenant != tenant:
            raise Refused(Outcome.PLAYER_NOT_FOUND)
        return wallet

    def player(self, player_id: PlayerId, tenant: str) -> Player:
        """Finds a player, or refuses."""
        player = self.players.get(player_id)
        if player is None or player.tenant != tenant:
            raise Refused(Outcome.PLAYER_NOT_FOUND)
        return player

    def house(self, kind: HouseKind, source: str, currency_code: str) -> Account:
        """Finds a house account of this shard; one that was never used is made."""
        name = (kind, source, currency_code)
        account = self.houses.get(name)
        if account is None:
            account = self._stored_houses.get(name)
            if account is None:
                account = Account(
                    version=0,
                    stored_version=NOT_STORED,
                    account_id=account_id_of(shard=self.shard, seq=self.next_seq, code=kind),
                    shard=self.shard,
                    player_id=None,
                    house_kind=kind,
                    source=source,
                    currency_code=currency_code,
                    bucket=0,
                )
            self.add(self.houses, name, account)
        return account

    def active_bonus(self, player_id: PlayerId, currency_code: str) -> Bonus | None:
        """Finds the bonus that counts at present."""
        if not self.bonuses:
            return None
        for bonus in self.bonuses.values():
            if (
                bonus.state is BonusState.ACTIVE
                and bonus.player_id == player_id
                and bonus.currency_code == currency_code
            ):
                return bonus
        return None

    def has_keys(self, tenant: str, source: str) -> bool:
        """Tells whether a source that was asked about has used a key."""
        return (tenant, source) in self.sources

    # Changing.

    def touch(self, row: Row) -> None:
        """Announces a change of a row: counts its version up, once in a batch."""
        if self._undo is not None:
            self._save(row)
        if row.version == row.stored_version:
            row.version += 1

    def add(self, rows: MutableMapping[K, V], name: K, row: V) -> None:
        """Adds a row to one of the book's indexes."""
        rows[name] = row
        if self._undo is not None:
            self._undo.append(partial(rows.pop, name))

    def replace(self, rows: MutableMapping[K, V], name: K, row: V) -> None:
        """Puts a row in the place of another in one of the book's indexes."""
        old = rows.get(name)
        if self._undo is not None:
            self._undo.append(
                partial(rows.pop, name) if old is None else partial(rows.__setitem__, name, old)
            )
        rows[name] = row

    def open_round(self, draft: Draft, name: RoundName, state: RoundState) -> Round:
        """Makes a round that nobody has seen before. Its name is kept in history, by the opener."""
        assert draft.currency_code is not None  # noqa: S101 (rounds belong to operations on money)
        made = Round(
            version=1,
            stored_version=NOT_STORED,
            round_id=(self.shard << 55) | (draft.seq << 5) | _ROUND_CODE,
            shard=self.shard,
            tenant=name[0],
            source=name[1],
            player_id=name[2],
            round_key=name[3],
            currency_code=draft.currency_code,
            state=state,
        )
        draft.detail["round_key"] = name[3]
        self.add(self.rounds, name, made)
        self.add(self.rounds_by_id, made.round_id, made)
        return made

    def set_policy(self, version: PolicyVersion) -> None:
        """Adds a version of a policy. There is no way back: no group may do it."""
        self.policies_set.append(version)
        self.policies = self.policies.added(policy_of(version))

    def post(self, draft: Draft, legs: Iterable[Leg]) -> None:
        """Books the legs of a transfer, or refuses if a counter would grow too large.

        Raises:
            Refused: Nothing was changed.
        """
        legs = [each for each in legs if _moves(each)]
        for leg in legs:
            account = leg.account
            if (
                account.debits_posted + leg.debit > COUNTER_MAX
                or account.credits_posted + leg.credit > COUNTER_MAX
                or account.debits_pending + leg.debit_pending > COUNTER_MAX
                or account.credits_pending + leg.credit_pending > COUNTER_MAX
            ):
                raise Refused(Outcome.COUNTER_LIMIT)
        for number, leg in enumerate(legs, start=_FIRST_LEG):
            account = leg.account
            if self._undo is not None:
                self._save(account)
            account.debits_posted += leg.debit
            account.credits_posted += leg.credit
            account.debits_pending += leg.debit_pending
            account.credits_pending += leg.credit_pending
            # The version of an account is the number of its entries.
            account.version += 1
            draft.entries.append(
                Entry(
                    self.shard,
                    draft.seq,
                    number,
                    account.account_id,
                    account.version,
                    leg.debit,
                    leg.credit,
                    leg.debit_pending,
                    leg.credit_pending,
                    account.credits_posted - account.debits_posted,
                )
            )

    def record(self, draft: Draft, *, group_no: int | None = None) -> Posting:
        """Writes the draft down as the next transfer."""
        operation = draft.operation
        wallet = draft.wallet
        key = operation.key
        transfer = Transfer(
            self.shard,
            draft.seq,
            key.tenant,
            key.source,
            draft.key,
            draft.kind,
            draft.fingerprint,
            operation.player_id,
            draft.currency_code,
            draft.amount,
            draft.bonus_amount,
            draft.outcome,
            draft.flags,
            group_no,
            draft.original_seq,
            draft.reversal_no,
            draft.hold_id,
            draft.round.round_id if draft.round is not None else None,
            draft.round_state,
            draft.bonus_id,
            draft.wager_delta,
            draft.policy.policy_id,
            wallet.cash.available if wallet is not None else None,
            wallet.bonus.available if wallet is not None else None,
            wallet.locked.available if wallet is not None else None,
            draft.game_id,
            operation.effective_time,
            self.now,
            operation.trace_id,
            write_detail(draft.detail),
        )
        posting = Posting(
            transfer,
            tuple(draft.entries),
            draft.round.round_key if draft.round is not None else None,
            *_reference(draft),
        )
        self.transfers.append(transfer)
        self.entries.extend(draft.entries)
        if transfer.reversal_no is not None and transfer.original_seq is not None:
            reversals = self.reversals.setdefault(transfer.original_seq, [])
            reversals.append(transfer)
            if self._undo is not None:
                self._undo.append(reversals.pop)
        self.add(self.known, (key.tenant, key.source, draft.key), posting)
        self.next_seq = draft.seq + 1
        return posting

    # Undoing.

    def begin_undo(self) -> tuple[int, int, int]:
        """Starts to note how to undo. Returns the mark to which `undo` goes back."""
        self._undo = []
        self._saved = set()
        return len(self.transfers), len(self.entries), self.next_seq

    def undo(self, mark: tuple[int, int, int]) -> None:
        """Takes back all that was changed since the mark."""
        for step in reversed(self._undo or ()):
            step()
        transfers, entries, self.next_seq = mark
        del self.transfers[transfers:]
        del self.entries[entries:]
        self.end_undo()

    def end_undo(self) -> None:
        """Stops noting."""
        self._undo = None
        self._saved = set()

    def _save(self, row: Row) -> None:
        if self._undo is None or id(row) in self._saved:
            return
        self._saved.add(id(row))
        self._undo.append(partial(_restore, row, copy.copy(row)))


def _reference(draft: Draft) -> tuple[bytes | None, Kind | None]:
    """Names what a transfer refers to, as a join would find it once the batch is stored."""
    if draft.original is not None:
        return draft.original.transfer.key, draft.original.transfer.kind
    if draft.bars is not None:
        return draft.bars[2], Kind.TOMBSTONE
    return None, None


def _moves(leg: Leg) -> bool:
    return bool(leg.debit or leg.credit or leg.debit_pending or leg.credit_pending)


def _restore(row: Row, saved: Row) -> None:
    for each in dataclasses.fields(saved):
        setattr(row, each.name, getattr(saved, each.name))


def player_accounts(
    player: Player, currency_code: str, *, shard: int, seq: int
) -> tuple[Account, Account, Account]:
    """Makes a player's accounts in a currency: cash, bonus and locked."""
    cash, bonus, locked = (
        Account(
            version=0,
            stored_version=NOT_STORED,
            account_id=account_id_of(shard=shard, seq=seq, code=bucket),
            shard=shard,
            player_id=player.player_id,
            house_kind=0,
            source="",
            currency_code=currency_code,
            bucket=bucket,
        )
        for bucket in Bucket
    )
    return cash, bonus, locked
