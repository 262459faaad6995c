"""What operators read: balances of the past, statements, and what is owed to all players."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, Row, Select, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.database import Database
from services.wallet.domain.rows import Transfer
from services.wallet.domain.values import Bucket, Micros, PlayerId
from services.wallet.store import decode
from services.wallet.store.reader import StatementLine
from services.wallet.tables import ACCOUNT, ENTRY, PLAYER, ROUND, SHARD, TRANSFER

# How many places of an account one step of a search looks at: 10 million entries take 4 steps.
_PROBES = 64
# Balances are summed in two halves, since SQLite stops a sum that leaves 64 bits with an error.
_HALF_BITS = 31


@dataclass(frozen=True, slots=True)
class PastBalance:
    """A player's money in one currency, as it was.

    Attributes:
        cash: What could be played with and withdrawn; so the other two, each in its way.
        pending_out: What was set aside, not contained in the three.
        seq: The last transfer that had changed it; 0 if none had.
    """

    currency_code: str
    cash: int
    bonus: int
    locked: int
    pending_out: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementQuery:
    """One of a player's accounts, and a period: from `start` to before `end`."""

    player_id: PlayerId
    currency_code: str
    bucket: Bucket
    start: Micros
    end: Micros


@dataclass(frozen=True, slots=True)
class Period:
    """The entries of an account in a period, by their versions: after `first`, up to `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A page of a statement, oldest first, with the balances around the whole period."""

    lines: list[StatementLine]
    opening_balance: int
    closing_balance: int


@dataclass(frozen=True, slots=True)
class Liability:
    """What players own in one currency, and what the house's accounts say to it."""

    currency_code: str
    cash: int
    bonus: int
    locked: int
    house: int


class Reports:
    """Reads the ledger's past and its sums, as committed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_known(self, player_id: PlayerId) -> bool:
        """Tells whether the ledger knows a player."""
        wanted = select(PLAYER.c.player_id).where(PLAYER.c.player_id == player_id)
        async with self._database.snapshot() as connection:
            return await connection.scalar(wanted) is not None

    async def find_balance_at(
        self, player_id: PlayerId, currency_code: str, before: Micros
    ) -> PastBalance | None:
        """Returns what the entries before a moment come to; None if there is no such wallet."""
        async with self._database.snapshot() as connection:
            accounts = await _accounts(connection, player_id, currency_code)
            if not accounts:
                return None
            last = [
                found
                for account in accounts
                if (found := await _last_entry(connection, account, before)) is not None
            ]
        if not last:
            return PastBalance(currency_code, 0, 0, 0, 0, 0)
        # Each transfer notes what the player could spend after it, in all three.
        newest = max(last, key=lambda row: row.seq)
        available = newest.cash_after + newest.bonus_after + newest.locked_after
        return PastBalance(
            currency_code=currency_code,
            cash=newest.cash_after,
            bonus=newest.bonus_after,
            locked=newest.locked_after,
            pending_out=sum(row.balance_after for row in last) - available,
            seq=newest.seq,
        )

    async def find_period(self, query: StatementQuery) -> Period | None:
        """Finds the entries of a statement; None if there is no such account."""
        async with self._database.snapshot() as connection:
            for account in await _accounts(connection, query.player_id, query.currency_code):
                if account.bucket == query.bucket:
                    last = await _version_before(connection, account, query.end)
                    first = await _version_before(connection, account, query.start)
                    return Period(min(first, last), last)
        return None

    async def page_statement(
        self, query: StatementQuery, period: Period, *, after: int, limit: int
    ) -> Statement:
        """Returns entries of a period after a version, and the balances before and after all."""
        account_id = (
            select(ACCOUNT.c.account_id)
            .where(
                ACCOUNT.c.player_id == query.player_id,
                ACCOUNT.c.currency_code == query.currency_code,
                ACCOUNT.c.bucket == query.bucket,
            )
            .scalar_subquery()
        )
        same = and_(TRANSFER.c.shard == ENTRY.c.shard, TRANSFER.c.seq == ENTRY.c.seq)
        wanted = (
            select(TRANSFER, ENTRY, ROUND.c.round_key)
            .select_from(
                ENTRY.join(TRANSFER, same).outerjoin(ROUND, ROUND.c.round_id == TRANSFER.c.round_id)
            )
            .where(
                ENTRY.c.account_id == account_id,
                ENTRY.c.account_version > max(after, period.first),
                ENTRY.c.account_version <= period.last,
            )
            .order_by(ENTRY.c.account_version)
            .limit(limit)
        )
        edges = select(ENTRY.c.account_version, ENTRY.c.balance_after).where(
            ENTRY.c.account_id == account_id,
            ENTRY.c.account_version.in_((period.first, period.last)),
        )
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(wanted)).all()
            balances = {row[0]: row[1] for row in await connection.execute(edges)}
        split = len(Transfer._fields)
        return Statement(
            lines=[
                StatementLine(decode.entry_of(row[split:-1]), decode.transfer_of(row), row[-1])
                for row in rows
            ],
            opening_balance=balances.get(period.first, 0),
            closing_balance=balances.get(period.last, 0),
        )

    async def sum_liabilities(self) -> tuple[list[Liability], int]:
        """Sums all accounts, by currency, and tells the last transfer that is counted."""
        balance = ACCOUNT.c.credits_posted - ACCOUNT.c.debits_posted
        wanted = select(
            ACCOUNT.c.currency_code,
            # 0 for the accounts of the house.
            ACCOUNT.c.bucket,
            func.sum(balance.bitwise_rshift(literal(_HALF_BITS, Integer()))),
            func.sum(balance.bitwise_and((1 << _HALF_BITS) - 1)),
        ).group_by(ACCOUNT.c.currency_code, ACCOUNT.c.bucket)
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(wanted)).all()
            seq = await connection.scalar(select(func.max(SHARD.c.last_seq)))
        sums = {
            (code, bucket): (int(high) << _HALF_BITS) + int(low) for code, bucket, high, low in rows
        }
        liabilities = [
            Liability(
                currency_code=code,
                cash=sums.get((code, Bucket.CASH), 0),
                bonus=sums.get((code, Bucket.BONUS), 0),
                locked=sums.get((code, Bucket.LOCKED), 0),
                house=sums.get((code, 0), 0),
            )
            for code in sorted({code for code, _ in sums})
        ]
        return liabilities, seq or 0


async def _accounts(
    connection: AsyncConnection, player_id: PlayerId, currency_code: str
) -> Sequence[Row[Any]]:
    wanted: Select[Any] = select(ACCOUNT.c.account_id, ACCOUNT.c.bucket, ACCOUNT.c.version).where(
        ACCOUNT.c.player_id == player_id, ACCOUNT.c.currency_code == currency_code
    )
    found: Sequence[Row[Any]] = (await connection.execute(wanted)).all()
    return found


async def _last_entry(
    connection: AsyncConnection, account: Row[Any], before: Micros
) -> Row[Any] | None:
    version = await _version_before(connection, account, before)
    wanted: Select[Any] = _with_transfers(
        select(
            ENTRY.c.seq,
            ENTRY.c.balance_after,
            TRANSFER.c.cash_after,
            TRANSFER.c.bonus_after,
            TRANSFER.c.locked_after,
        )
    ).where(ENTRY.c.account_id == account.account_id, ENTRY.c.account_version == version)
    found: Row[Any] | None = (await connection.execute(wanted)).one_or_none()
    return found


async def _version_before(connection: AsyncConnection, account: Row[Any], before: Micros) -> int:
    """Finds the last entry of an account before a moment; 0 if there is none.

    Versions are dense and time never goes back, so a few looks at places known beforehand do.
    """
    low, high = 0, int(account.version)
    while low < high:
        step = max(1, (high - low) // _PROBES)
        wanted = _with_transfers(select(ENTRY.c.account_version, TRANSFER.c.create_time)).where(
            ENTRY.c.account_id == account.account_id,
            ENTRY.c.account_version.in_(range(low + step, high + 1, step)),
        )
        probes = (await connection.execute(wanted)).all()
        earlier = [version for version, time in probes if time < before]
        later = [version for version, time in probes if time >= before]
        low = max(earlier, default=low)
        high = min(later) - 1 if later else high
        if not probes:
            message = f"account {account.account_id} has a gap after entry {low}"
            raise LookupError(message)
    return low


def _with_transfers(wanted: Select[Any]) -> Select[Any]:
    same = and_(TRANSFER.c.shard == ENTRY.c.shard, TRANSFER.c.seq == ENTRY.c.seq)
    return wanted.select_from(ENTRY.join(TRANSFER, same))
