"""What the writer of a shard reads and writes, over its own session."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from services.wallet.domain.book import Book, HouseName, Loaded
from services.wallet.domain.chain import GENESIS, Batch
from services.wallet.domain.planner import Needs
from services.wallet.domain.policy import Policies, policy_of
from services.wallet.domain.rows import (
    NOT_STORED,
    Account,
    Bonus,
    Hold,
    LimitCounter,
    Player,
    Round,
    Row,
    Wallet,
)
from services.wallet.domain.values import BonusId, BonusState, Bucket, HouseKind, Micros, PlayerId
from services.wallet.store import decode, statements
from services.wallet.store.cache import ShardCache
from services.wallet.store.session import DeposedError, Recorder, Session
from services.wallet.store.session import Row as StoredRow
from services.wallet.store.statements import SetStatement

RowT = TypeVar("RowT", bound=Row)


class LostUpdateError(Exception):
    """A row was not as this reign left it. Somebody changed the ledger behind its back."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """Where a shard stands: what the writer continues from."""

    shard: int
    epoch: int
    incarnation: str
    last_seq: int
    last_batch: int
    head_hash: bytes
    last_time: Micros


class _Columns(Generic[RowT]):
    """How a row becomes the columns of its insert and its update."""

    def __init__(self, insert: SetStatement, update: SetStatement) -> None:
        self.insert = insert
        self.update = update
        self.whole: Callable[[RowT], StoredRow] = attrgetter(*(name for name, _ in insert.given))
        self.changing: Callable[[RowT], StoredRow] = attrgetter(*(name for name, _ in update.given))


_PLAYER: _Columns[Player] = _Columns(statements.INSERT_PLAYERS, statements.UPDATE_PLAYERS)
_ACCOUNT: _Columns[Account] = _Columns(statements.INSERT_ACCOUNTS, statements.UPDATE_ACCOUNTS)
_ROUND: _Columns[Round] = _Columns(statements.INSERT_ROUNDS, statements.UPDATE_ROUNDS)
_HOLD: _Columns[Hold] = _Columns(statements.INSERT_HOLDS, statements.UPDATE_HOLDS)
_BONUS: _Columns[Bonus] = _Columns(statements.INSERT_BONUSES, statements.UPDATE_BONUSES)
_LIMIT: _Columns[LimitCounter] = _Columns(statements.INSERT_LIMITS, statements.UPDATE_LIMITS)


class ShardStore:
    """The statements of one shard's writer. The writer decides when a transaction begins."""

    def __init__(self, session: Session, *, shard: int) -> None:
        self._session = session
        self._cache = ShardCache()
        self.shard = shard

    # Reigning.

    async def begin_reign(self) -> ShardState:
        """Connects, and begins a new epoch: whoever wrote before can commit nothing more.

        Raises:
            LeaseTakenError: Another process writes this shard.
            ConnectionLostError: The database does not answer.
        """
        self._cache.forget()
        await self._session.open(shard=self.shard)
        state = await self.lock()
        epoch = state.epoch + 1
        changed = await self._session.execute(
            statements.BEGIN_REIGN, [(self.shard, epoch, state.epoch)]
        )
        if changed != 1:
            raise DeposedError
        await self._session.commit()
        return dataclasses.replace(state, epoch=epoch)

    async def reopen(self) -> ShardState:
        """Connects again after a lost connection, and tells where the shard stands.

        It waits for the shard's row, which the lost transaction held: getting it proves that the
        transaction has ended. The epoch stays, so that a rival who took over meanwhile shows.
        """
        self._cache.forget()
        await self._session.open(shard=self.shard)
        state = await self.lock()
        await self._session.rollback()
        return state

    async def lock(self) -> ShardState:
        """Begins a transaction that holds the shard's row."""
        row = await self._session.lock_shard(self.shard)
        last = await self._session.select(statements.LAST_BATCH, [(self.shard, row[4])])
        head_hash = bytes(row[5])
        return ShardState(
            shard=row[0],
            epoch=row[1],
            incarnation=row[2],
            last_seq=row[3],
            last_batch=row[4],
            head_hash=head_hash if row[4] else GENESIS,
            last_time=Micros(last[0][5] if last else 0),
        )

    async def close(self) -> None:
        """Gives the lease back."""
        await self._session.close()

    # Around a batch.

    def record(self, recorder: Recorder | None) -> None:
        """Notes the timings of the statements that follow, or stops to."""
        self._session.recorder = recorder

    async def begin_batch(self, *, epoch: int, batch_no: int) -> None:
        """Begins the transaction of a batch with the fence.

        Raises:
            DeposedError: This reign is over.
        """
        await self._session.begin()
        fence = (self.shard, epoch, batch_no, batch_no - 1)
        if await self._session.execute(statements.FENCE, [fence]) != 1:
            raise DeposedError

    async def commit(self) -> None:
        """Makes the batch durable."""
        await self._session.commit()

    async def rollback(self) -> None:
        """Drops the batch, and with it all that was remembered."""
        self._cache.forget()
        await self._session.rollback()

    async def end_reading(self) -> None:
        """Ends the transaction of a batch that changed nothing."""
        await self._session.rollback()

    def remember(self, book: Book) -> None:
        """Keeps the rows of a batch that is durable, so that the next one need not read them."""
        self._cache.remember(book)

    # Reading.

    async def load_policies(self) -> Policies:
        """Reads every version of every policy."""
        rows = await self._session.select(statements.POLICIES, [(0,)])
        return Policies([policy_of(decode.policy_version_of(row)) for row in rows])

    async def load(self, needs: Needs) -> Loaded:
        """Reads all rows that a batch touches, in a handful of statements."""
        if self._cache.houses is None:
            self._cache.houses = await self._load_houses()
        loaded = Loaded(houses=self._cache.houses)
        await self._load_postings(needs, loaded)
        await self._load_players(needs, loaded)
        rounds = await self._load_rounds(needs, loaded)
        await self._load_bonuses(needs, loaded, rounds)
        if needs.holds:
            rows = await self._session.select(statements.HOLDS_BY_ID, _singles(needs.holds))
            loaded.holds.update((each.hold_id, each) for each in map(decode.hold_of, rows))
        if needs.sources:
            rows = await self._session.select(statements.SOURCES, sorted(needs.sources))
            loaded.sources.update((row[0], row[1]) for row in rows)
        return loaded

    async def _load_houses(self) -> dict[HouseName, Account]:
        """Reads all house accounts of the shard: few, and the hottest rows there are."""
        rows = await self._session.select(statements.HOUSE_ACCOUNTS, [(self.shard,)])
        accounts = map(decode.account_of, rows)
        return {
            (HouseKind(each.house_kind), each.source, each.currency_code): each for each in accounts
        }

    async def _load_postings(self, needs: Needs, loaded: Loaded) -> None:
        keys = sorted(needs.keys)
        found = await self._session.select(statements.TRANSFERS_BY_KEY, keys)
        if not found:
            return
        entries: dict[tuple[int, int], list[Any]] = {}
        places = sorted({(row[0], row[1]) for row in found})
        for row in await self._session.select(statements.ENTRIES_OF_TRANSFERS, places):
            entries.setdefault((row[0], row[1]), []).append(decode.entry_of(row))
        for row in found:
            legs = sorted(entries.get((row[0], row[1]), ()), key=lambda entry: entry.leg)
            posting = decode.posting_of(row, tuple(legs))
            transfer = posting.transfer
            loaded.postings[transfer.tenant, transfer.source, transfer.key] = posting
        here = [(shard, seq) for shard, seq in places if shard == self.shard]
        for row in await self._session.select(statements.REVERSALS, here):
            reversal = decode.transfer_of(row)
            if reversal.original_seq is not None:
                loaded.reversals.setdefault(reversal.original_seq, []).append(reversal)

    async def _load_players(self, needs: Needs, loaded: Loaded) -> None:
        missing = self._cache.fill(needs.players, loaded)
        rows = await self._session.select(statements.PLAYERS, _singles(missing))
        # What few players have is asked for only where there is some.
        having: list[list[tuple[PlayerId]]] = [[], [], []]
        read: list[tuple[PlayerId]] = []
        for row in rows:
            player = decode.player_of(row)
            loaded.players[player.player_id] = player
            read.append((player.player_id,))
            for has, players in zip(row[5:], having, strict=True):
                if has:
                    players.append((player.player_id,))
        with_holds, with_bonuses, with_limits = having
        await self._load_wallets(loaded, read)
        for row in await self._session.select(statements.HOLDS_OF_PLAYERS, with_holds):
            hold = decode.hold_of(row)
            loaded.holds[hold.hold_id] = hold
        for row in await self._session.select(statements.BONUSES_OF_PLAYERS, with_bonuses):
            bonus = decode.bonus_of(row)
            loaded.bonuses[bonus.bonus_id] = bonus
        for row in await self._session.select(statements.LIMITS_OF_PLAYERS, with_limits):
            limit = decode.limit_of(row)
            loaded.limits.setdefault(limit.player_id, []).append(limit)
        for (player_id,) in with_limits:
            loaded.limits[player_id].sort(
                key=lambda each: (each.scope, each.kind, each.currency_code, each.period)
            )

    async def _load_wallets(self, loaded: Loaded, players: list[tuple[PlayerId]]) -> None:
        accounts: dict[tuple[PlayerId, str], dict[int, Account]] = {}
        for row in await self._session.select(statements.ACCOUNTS_OF_PLAYERS, players):
            account = decode.account_of(row)
            if account.player_id is not None:
                name = (account.player_id, account.currency_code)
                accounts.setdefault(name, {})[account.bucket] = account
        for (player_id, currency_code), buckets in accounts.items():
            loaded.wallets[player_id, currency_code] = Wallet(
                loaded.players[player_id],
                buckets[Bucket.CASH],
                buckets[Bucket.BONUS],
                buckets[Bucket.LOCKED],
            )

    async def _load_rounds(self, needs: Needs, loaded: Loaded) -> list[Round]:
        rows = await self._session.select(statements.ROUNDS_BY_NAME, sorted(needs.rounds))
        rounds = {each.round_id: each for each in map(decode.round_of, rows)}
        referenced = {
            posting.transfer.round_id
            for posting in loaded.postings.values()
            if posting.transfer.round_id is not None and posting.transfer.round_id not in rounds
        }
        for row in await self._session.select(statements.ROUNDS_BY_ID, _singles(referenced)):
            found = decode.round_of(row)
            rounds[found.round_id] = found
        for each in rounds.values():
            loaded.rounds[each.tenant, each.source, each.player_id, each.round_key] = each
        return list(rounds.values())

    async def _load_bonuses(self, needs: Needs, loaded: Loaded, rounds: list[Round]) -> None:
        """Reads bonuses that are named, also where they have ended: money follows them."""
        wanted: set[BonusId] = set(needs.bonuses)
        wanted.update(each.bonus_id for each in rounds if each.bonus_id is not None)
        for posting in loaded.postings.values():
            if posting.transfer.bonus_id is not None:
                wanted.add(posting.transfer.bonus_id)
        missing = _singles(wanted - loaded.bonuses.keys())
        for row in await self._session.select(statements.BONUSES_BY_ID, missing):
            bonus = decode.bonus_of(row)
            loaded.bonuses[bonus.bonus_id] = bonus

    # Writing.

    async def write(self, book: Book, batch: Batch) -> None:
        """Writes a planned batch: history in bulk, state where it changed.

        Raises:
            LostUpdateError: A row is not at the version from which the batch was planned.
        """
        await self._write_rows(book.players.values(), _PLAYER)
        accounts = [
            account
            for wallet in book.wallets.values()
            for account in (wallet.cash, wallet.bonus, wallet.locked)
        ]
        await self._write_rows([*accounts, *book.houses.values()], _ACCOUNT)
        await self._expect(statements.INSERT_TRANSFERS, book.transfers)
        await self._expect(statements.INSERT_ENTRIES, book.entries)
        await self._write_rows(book.rounds.values(), _ROUND)
        await self._write_rows(book.holds.values(), _HOLD)
        # What ends is written before what begins: only one bonus may be active at any moment.
        await self._write_rows(_in_states(book, _ENDED), _BONUS)
        await self._write_rows(_in_states(book, _LIVE), _BONUS)
        limits = [counter for counters in book.limits.values() for counter in counters]
        await self._write_rows(limits, _LIMIT)
        await self._expect(statements.INSERT_POLICIES, book.policies_set)
        await self._expect(statements.INSERT_BATCH, [batch])
        await self._expect(statements.SEAL_SHARD, [(self.shard, batch.last_seq, batch.hash)])

    async def _write_rows(self, rows: Iterable[RowT], columns: _Columns[RowT]) -> None:
        new, changed = [], []
        for row in rows:
            if row.stored_version == NOT_STORED:
                new.append(columns.whole(row))
            elif row.version != row.stored_version:
                changed.append(columns.changing(row))
        await self._expect(columns.insert, new)
        await self._expect(columns.update, changed)

    async def _expect(self, statement: SetStatement, rows: Sequence[Any]) -> None:
        if not rows:
            return
        changed = await self._session.execute(statement, rows)
        if changed != len(rows):
            raise LostUpdateError(f"{statement.name}: {changed} of {len(rows)} rows")


def _singles(values: Iterable[Any]) -> list[tuple[Any]]:
    """Makes rows of one column, in order, so that locks are taken in order too."""
    return [(value,) for value in sorted(values)]


def _in_states(book: Book, states: frozenset[BonusState]) -> list[Bonus]:
    return [bonus for bonus in book.bonuses.values() if bonus.state in states]


_LIVE = frozenset({BonusState.QUEUED, BonusState.ACTIVE})
_ENDED = frozenset(BonusState) - _LIVE
