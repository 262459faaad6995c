"""What an audit reads: history in pages, and the rows that cache it as of one transfer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.database import Database
from services.wallet.domain.chain import Batch
from services.wallet.domain.rows import Entry, Transfer
from services.wallet.store import decode
from services.wallet.tables import (
    ACCOUNT,
    BATCH,
    BONUS,
    ENTRY,
    HOLD,
    LIMIT_COUNTER,
    PLAYER,
    POLICY,
    ROUND,
    SHARD,
    TRANSFER,
)

Columns = dict[str, Any]
Identity = tuple[Any, ...]

CACHES = {
    table.name: table for table in (POLICY, PLAYER, ACCOUNT, HOLD, ROUND, BONUS, LIMIT_COUNTER)
}
"""The tables that follow from history, in the order in which one refers to another."""


@dataclass(frozen=True, slots=True)
class Caches:
    """The rows that cache history, all as of one moment.

    Attributes:
        shard: The row of the shard.
        ends: How far the tables of history really reach, by the names of its columns.
        tables: The rows of each table, by primary key.
    """

    shard: Columns
    ends: dict[str, int]
    tables: dict[str, dict[Identity, Columns]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch with all that it seals, in order."""

    batch: Batch
    transfers: list[Transfer]
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Correction:
    """A row that is to be made what history says.

    Attributes:
        columns: What is wrong in a row that is there, or all of one that is missing; None for a
            row of which history knows nothing, and which goes.
    """

    table: str
    identity: Identity
    columns: Columns | None
    missing: bool = False


class Auditing:
    """Reads a ledger as committed, beside its writer."""

    def __init__(self, database: Database, *, shard: int) -> None:
        self._database = database
        self._shard = shard

    async def read_caches(self) -> Caches | None:
        """Reads all caches in one snapshot; None if there is no such shard."""
        async with self._database.snapshot() as connection:
            return await _read_caches(connection, self._shard)

    async def follow(self, *, last_batch: int, page: int) -> AsyncIterator[Sealed]:
        """Yields the batches up to one, each page from a snapshot of its own.

        History only grows, so pages fit together, and no read lasts long enough to hinder the
        writer.
        """
        batch_no, seq = 0, 0
        while batch_no < last_batch:
            async with self._database.snapshot() as connection:
                batches = await self._batches(connection, after=batch_no, limit=page)
                if not batches:
                    return
                until = max(each.last_seq for each in batches)
                transfers = await self._transfers(connection, after=seq, until=until)
                entries = await self._entries(connection, after=seq, until=until)
            for batch in batches:
                if batch.batch_no <= last_batch:
                    yield Sealed(
                        batch,
                        _take(transfers, batch.last_seq),
                        _take(entries, batch.last_seq),
                    )
            batch_no, seq = batches[-1].batch_no, until

    async def _batches(self, connection: AsyncConnection, *, after: int, limit: int) -> list[Batch]:
        wanted = (
            select(BATCH)
            .where(BATCH.c.shard == self._shard, BATCH.c.batch_no > after)
            .order_by(BATCH.c.batch_no)
            .limit(limit)
        )
        return [Batch._make(row) for row in await connection.execute(wanted)]

    async def _transfers(
        self, connection: AsyncConnection, *, after: int, until: int
    ) -> list[Transfer]:
        wanted = (
            select(TRANSFER)
            .where(TRANSFER.c.shard == self._shard, TRANSFER.c.seq > after, TRANSFER.c.seq <= until)
            .order_by(TRANSFER.c.seq.desc())
        )
        return [decode.transfer_of(row) for row in await connection.execute(wanted)]

    async def _entries(self, connection: AsyncConnection, *, after: int, until: int) -> list[Entry]:
        wanted = (
            select(ENTRY)
            .where(ENTRY.c.shard == self._shard, ENTRY.c.seq > after, ENTRY.c.seq <= until)
            .order_by(ENTRY.c.seq.desc(), ENTRY.c.leg.desc())
        )
        return [decode.entry_of(row) for row in await connection.execute(wanted)]


async def correct_caches(
    database: Database, *, shard: int, as_of: int, corrections: list[Correction]
) -> bool:
    """Makes rows what history says, in one transaction.

    Args:
        database: The ledger, whose writer is stopped.
        shard: Which shard.
        as_of: The last batch of the history that was added up.
        corrections: The rows.

    Returns:
        Whether it was done: not if the ledger has grown meanwhile.
    """
    async with database.transaction() as connection:
        # A new epoch: whoever wrote before can commit nothing more.
        fence = update(SHARD).where(SHARD.c.shard == shard, SHARD.c.last_batch == as_of)
        changed = await connection.execute(fence.values(epoch=SHARD.c.epoch + 1))
        if changed.rowcount != 1:
            return False
        async with _policies_unguarded(connection, is_sqlite=database.is_sqlite):
            await _correct(connection, corrections)
    return True


async def _correct(connection: AsyncConnection, corrections: list[Correction]) -> None:
    # What refers to a row goes before it, and comes after it.
    order = list(CACHES)
    for each in sorted(corrections, key=lambda each: -order.index(each.table)):
        if each.columns is None:
            table = CACHES[each.table]
            await connection.execute(delete(table).where(*_is(table, each.identity)))
    for each in sorted(corrections, key=lambda each: order.index(each.table)):
        if each.columns is not None:
            await _write(connection, each, each.columns)


@asynccontextmanager
async def _policies_unguarded(
    connection: AsyncConnection, *, is_sqlite: bool
) -> AsyncIterator[None]:
    """Lets versions of policies be made what history says; otherwise they are only added to."""
    if not is_sqlite:
        await connection.execute(text("ALTER TABLE policy DISABLE TRIGGER USER"))
        yield
        await connection.execute(text("ALTER TABLE policy ENABLE TRIGGER USER"))
        return
    wanted = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name")
    triggers = (await connection.execute(wanted, {"name": POLICY.name})).all()
    for name, _ in triggers:
        await connection.execute(text(f'DROP TRIGGER "{name}"'))
    yield
    for _, sql in triggers:
        await connection.execute(text(sql))


async def _write(connection: AsyncConnection, correction: Correction, columns: Columns) -> None:
    table = CACHES[correction.table]
    if correction.missing:
        names = [column.name for column in table.primary_key]
        row = dict(zip(names, correction.identity, strict=True)) | columns
        await connection.execute(insert(table).values({"version": 1, **row}))
        return
    # An account's version is the number of its entries and a policy's its place among those of its
    # source, and no count of changes.
    count: Columns = {} if table in (ACCOUNT, POLICY) else {"version": table.c.version + 1}
    wanted = update(table).where(*_is(table, correction.identity))
    await connection.execute(wanted.values({**count, **columns}))


def _is(table: Table, identity: Identity) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(table.primary_key, identity, strict=True)]


async def _read_caches(connection: AsyncConnection, shard: int) -> Caches | None:
    found = (await connection.execute(select(SHARD).where(SHARD.c.shard == shard))).one_or_none()
    if found is None:
        return None
    ends = {}
    for table, column in (
        (TRANSFER, TRANSFER.c.seq),
        (ENTRY, ENTRY.c.seq),
        (BATCH, BATCH.c.batch_no),
    ):
        newest = select(column).where(table.c.shard == shard).order_by(column.desc()).limit(1)
        ends[table.name] = await connection.scalar(newest) or 0
    tables = {}
    for name, table in CACHES.items():
        rows = await connection.execute(_of_shard(table, shard))
        keys = [column.name for column in table.primary_key]
        tables[name] = {tuple(row[key] for key in keys): dict(row) for row in rows.mappings()}
    return Caches(dict(found._mapping), ends, tables)  # noqa: SLF001 (SQLAlchemy's own public name)


def _of_shard(table: Table, shard: int) -> Any:
    if "shard" in table.c:
        return select(table).where(table.c.shard == shard)
    if "player_id" not in table.c:
        return select(table)
    players = select(PLAYER.c.player_id).where(PLAYER.c.shard == shard)
    return select(table).where(table.c.player_id.in_(players))


def _take(rows: list[Any], until: int) -> list[Any]:
    """Takes from the end of a list in descending order what belongs to a batch."""
    taken = []
    while rows and rows[-1].seq <= until:
        taken.append(rows.pop())
    return taken
