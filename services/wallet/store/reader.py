"""What callers read: committed state, on connections of its own, never in the writer's way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.database import Database
from services.wallet.domain.rows import Entry, Posting, Transfer
from services.wallet.domain.values import Bucket, Micros, PlayerId
from services.wallet.store import decode
from services.wallet.tables import ACCOUNT, BONUS, ENTRY, HOLD, PLAYER, ROUND, SHARD, TRANSFER


@dataclass(frozen=True, slots=True)
class Balance:
    """A player's money in one currency.

    Attributes:
        cash: What may be played with and withdrawn now; so the other two, each in its way.
        pending_out: What is set aside for withdrawals, not contained in `cash`.
        pending_in: What has been announced and is not there yet.
        seq: The last transfer that changed it; 0 if none has.
    """

    player_id: PlayerId
    currency_code: str
    cash: int
    bonus: int
    locked: int
    pending_out: int
    pending_in: int
    seq: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """An entry of a player's account with the transfer that made it."""

    entry: Entry
    transfer: Transfer
    round_key: str | None


@dataclass(frozen=True, slots=True)
class LogHead:
    """How far a shard's log reaches, and since which restore it is the same log."""

    incarnation: str
    last_seq: int


class Reader:
    """Reads the ledger as committed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_balances(self, player_id: PlayerId) -> list[Balance] | None:
        """Returns the balances of a player, by currency; None if nobody knows the player."""
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(_BALANCES, {"player_id": player_id})).all()
            if not rows:
                known = select(PLAYER.c.player_id).where(PLAYER.c.player_id == player_id)
                return None if await connection.scalar(known) is None else []
        by_currency: dict[str, list[Row[Any]]] = {}
        for row in rows:
            by_currency.setdefault(row.currency_code, []).append(row)
        return [_balance(player_id, code, buckets) for code, buckets in by_currency.items()]

    async def page_entries(
        self,
        player_id: PlayerId,
        currency_code: str,
        bucket: Bucket,
        *,
        before_version: int | None,
        limit: int,
    ) -> list[StatementLine]:
        """Returns entries of one account, newest first, below a version."""
        account = select(ACCOUNT.c.account_id).where(
            ACCOUNT.c.player_id == player_id,
            ACCOUNT.c.currency_code == currency_code,
            ACCOUNT.c.bucket == bucket,
        )
        same = and_(TRANSFER.c.shard == ENTRY.c.shard, TRANSFER.c.seq == ENTRY.c.seq)
        wanted = (
            select(TRANSFER, ENTRY, ROUND.c.round_key)
            .select_from(
                ENTRY.join(TRANSFER, same).outerjoin(ROUND, ROUND.c.round_id == TRANSFER.c.round_id)
            )
            .where(ENTRY.c.account_id == account.scalar_subquery())
            .order_by(ENTRY.c.account_version.desc())
            .limit(limit)
        )
        if before_version is not None:
            wanted = wanted.where(ENTRY.c.account_version < before_version)
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(wanted)).all()
        split = len(Transfer._fields)
        return [
            StatementLine(decode.entry_of(row[split:-1]), decode.transfer_of(row), row[-1])
            for row in rows
        ]

    async def page_log(self, shard: int, *, after_seq: int, limit: int) -> list[Posting]:
        """Returns transfers with their entries, in order, after a seq."""
        page = {"shard": shard, "after_seq": after_seq, "page_size": limit}
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(_LOG_PAGE, page)).all()
            entries = await _entries_between(connection, shard, rows)
        return [decode.posting_of(row, tuple(entries.get(row[1], ()))) for row in rows]

    async def find_log_head(self, shard: int) -> LogHead | None:
        """Tells how far a shard's log reaches; None if there is no such shard."""
        async with self._database.snapshot() as connection:
            row = (await connection.execute(_LOG_HEAD, {"shard": shard})).one_or_none()
        return None if row is None else LogHead(row.incarnation, row.last_seq)

    async def find_due_players(self, shard: int, now: Micros, *, limit: int) -> list[PlayerId]:
        """Finds some players with a hold or a bonus whose time has come."""
        due = {"shard": shard, "now": now, "page_size": limit}
        async with self._database.snapshot() as connection:
            return [PlayerId(row[0]) for row in await connection.execute(_DUE_PLAYERS, due)]


async def _entries_between(
    connection: AsyncConnection, shard: int, rows: Sequence[Row[Any]]
) -> dict[int, list[Entry]]:
    if not rows:
        return {}
    between = {"shard": shard, "first_seq": rows[0].seq, "last_seq": rows[-1].seq}
    found: dict[int, list[Entry]] = {}
    for row in await connection.execute(_LOG_ENTRIES, between):
        found.setdefault(row.seq, []).append(decode.entry_of(row))
    return found


def _balance(player_id: PlayerId, currency_code: str, rows: list[Row[Any]]) -> Balance:
    available = {
        row.bucket: row.credits_posted - row.debits_posted - row.debits_pending for row in rows
    }
    return Balance(
        player_id=player_id,
        currency_code=currency_code,
        cash=available[Bucket.CASH],
        bonus=available[Bucket.BONUS],
        locked=available[Bucket.LOCKED],
        pending_out=sum(row.debits_pending for row in rows),
        pending_in=sum(row.credits_pending for row in rows),
        seq=max(row.seq or 0 for row in rows),
    )


# What is read for every commit or call is written once: to put it together takes longer than to
# run it.
_ORIGINAL = TRANSFER.alias("original")
_LOG_PAGE = (
    select(TRANSFER, ROUND.c.round_key, _ORIGINAL.c.key, _ORIGINAL.c.kind)
    .select_from(
        TRANSFER.outerjoin(ROUND, ROUND.c.round_id == TRANSFER.c.round_id).outerjoin(
            _ORIGINAL,
            and_(
                _ORIGINAL.c.shard == TRANSFER.c.shard,
                _ORIGINAL.c.seq == TRANSFER.c.original_seq,
            ),
        )
    )
    .where(TRANSFER.c.shard == bindparam("shard"), TRANSFER.c.seq > bindparam("after_seq"))
    .order_by(TRANSFER.c.seq)
    .limit(bindparam("page_size"))
)
_LOG_ENTRIES = (
    select(ENTRY)
    .where(
        ENTRY.c.shard == bindparam("shard"),
        ENTRY.c.seq.between(bindparam("first_seq"), bindparam("last_seq")),
    )
    .order_by(ENTRY.c.seq, ENTRY.c.leg)
)
_LOG_HEAD = select(SHARD.c.incarnation, SHARD.c.last_seq).where(SHARD.c.shard == bindparam("shard"))
_BALANCES = (
    select(ACCOUNT, ENTRY.c.seq)
    .select_from(
        ACCOUNT.outerjoin(
            ENTRY,
            and_(
                ENTRY.c.account_id == ACCOUNT.c.account_id,
                ENTRY.c.account_version == ACCOUNT.c.version,
            ),
        )
    )
    .where(ACCOUNT.c.player_id == bindparam("player_id"))
    .order_by(ACCOUNT.c.currency_code, ACCOUNT.c.bucket)
)
# States are spelled out: a partial index does not serve a parameter.
_DUE_PLAYERS = (
    select(HOLD.c.player_id)
    .where(
        HOLD.c.shard == bindparam("shard"),
        text("hold.state = 0"),
        HOLD.c.expire_time.is_not(None),
        HOLD.c.expire_time <= bindparam("now"),
    )
    .union(
        select(BONUS.c.player_id).where(
            BONUS.c.shard == bindparam("shard"),
            text("bonus.state <= 1"),
            BONUS.c.expire_time <= bindparam("now"),
        )
    )
    .limit(bindparam("page_size"))
)
