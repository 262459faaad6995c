"""Copies a whole ledger, as of one moment, into a file of its own, and from there into a database.

The file is an SQLite ledger, whichever engine it was copied from: everything that reads a ledger
reads it, and it needs no server to be proven.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from services.kit.ids import new_id
from services.wallet.tables import METADATA, SHARD

PACKAGE = "services.wallet"
SCHEMA = "wallet"
# 1 MiB with SQLite's usual pages.
_PAGES_A_STEP = 256
_ROWS_A_STEP = 5_000
_BUSY_TIMEOUT_S = 5.0
_FAULTS_TOLD_MAX = 5


class DamagedError(Exception):
    """A file is no ledger, or not a whole one."""


class RevisionError(Exception):
    """A ledger's tables are of another version than this code."""


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a copy has come."""

    done: int
    of: int
    unit: str


Tell = Callable[[Copied], None]


def file_url(path: Path) -> str:
    """Writes the address of a ledger in a file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


async def copy_out(database_url: str, target: Path, tell: Tell) -> None:
    """Copies a ledger into an empty file while its writer goes on.

    Raises:
        DamagedError: There is no ledger, or it cannot be read.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        await asyncio.to_thread(_copy_file, Path(url.database or ""), target, tell)
        return
    source = Database(database_url, schema=SCHEMA)
    try:
        await _export(source, target, tell)
    except DBAPIError as error:
        message = f"the ledger cannot be read: {error.orig}"
        raise DamagedError(message) from error
    finally:
        await source.close()


async def load(source: Path, target: Database, tell: Tell) -> None:
    """Copies all rows of a file into the migrated tables of a PostgreSQL schema.

    What the migrations have put there gives way to what the file holds.
    """
    async with target.transaction() as connection:
        with closing(open_file(source, "ro", immutable=True)) as reading:
            tables = _tables(reading)
            # History refuses to be deleted, also the first rows of a schema that nobody uses yet.
            for name in tables:
                await connection.execute(text(f'ALTER TABLE "{name}" DISABLE TRIGGER USER'))
            for name in reversed(tables):
                await connection.execute(text(f'DELETE FROM "{name}"'))  # noqa: S608 (our tables)
            raw = await connection.get_raw_connection()
            driver_connection: Any = raw.driver_connection
            done, of = 0, _count(reading, tables)
            for name in tables:
                columns = _columns(reading, name)
                rows = reading.execute(_select(name, columns))
                while some := await asyncio.to_thread(rows.fetchmany, _ROWS_A_STEP):
                    await driver_connection.copy_records_to_table(
                        name, records=some, columns=columns, schema_name=target.schema
                    )
                    done += len(some)
                    tell(Copied(done, of, "rows"))
            for name in tables:
                await connection.execute(text(f'ALTER TABLE "{name}" ENABLE TRIGGER USER'))
                await connection.execute(text(f'ANALYZE "{name}"'))


async def bring_up(database_url: str, *, schema: str = "", revision: str = "head") -> None:
    """Brings the tables of a copy to a revision.

    Raises:
        RevisionError: This code does not know the copy's revision, or the one that is wanted.
    """
    try:
        await migrations.upgrade(database_url, PACKAGE, revision, schema=schema)
    except CommandError as error:
        raise RevisionError(str(error)) from error


async def check_current(database: Database) -> None:
    """Raises unless the tables are those that this code knows.

    Raises:
        RevisionError: They are older or newer.
    """
    if not await migrations.is_current(database, PACKAGE):
        message = "the tables of the ledger are of another version than this code"
        raise RevisionError(message)


async def read_shards(database: Database) -> list[Mapping[str, Any]]:
    """Reads the rows of all shards."""
    async with database.snapshot() as connection:
        rows = await connection.execute(select(SHARD).order_by(SHARD.c.shard))
        return [dict(row) for row in rows.mappings()]


async def begin_incarnation(database: Database, *, epoch: int) -> str:
    """Marks a log as another one from here on, under a new epoch, and returns the mark.

    Followers of the log stop at it, and a writer of an earlier epoch can commit nothing more.
    """
    incarnation = new_id()
    async with database.transaction() as connection:
        await connection.execute(update(SHARD).values(epoch=epoch, incarnation=incarnation))
    return incarnation


def check_file(path: Path) -> str:
    """Checks the pages, indexes and references of a file, and returns its revision.

    The file is only read, and must be complete in itself.

    Raises:
        DamagedError: Something is wrong with it.
    """
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(f"{path.name}{suffix}")
        if beside.exists() and beside.stat().st_size:
            message = f"{beside.name} lies beside it: it is a database in use, and no backup"
            raise DamagedError(message)
    with _damage_told(), closing(open_file(path, "ro", immutable=True)) as file:
        faults = [row[0] for row in file.execute(f"PRAGMA integrity_check({_FAULTS_TOLD_MAX})")]
        if faults != ["ok"]:
            raise DamagedError("; ".join(faults))
        broken = file.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            message = f"a row of {broken[0]} refers to one of {broken[2]} that is not there"
            raise DamagedError(message)
        missing = {"shard", "transfer", "entry", "batch"} - set(_tables(file))
        if missing:
            message = f"it holds no ledger: no table {min(missing)}"
            raise DamagedError(message)
        return str(file.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def open_file(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """Opens a file that is there; `immutable` leaves nothing behind beside it."""
    address = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    return sqlite3.connect(
        address, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
    )


def finish_file(path: Path) -> None:
    """Makes a file complete in itself, and durable. Nobody may have it open.

    Raises:
        DamagedError: It cannot be done.
    """
    with _damage_told(), closing(open_file(path, "rw")) as file:
        [mode] = file.execute("PRAGMA journal_mode=DELETE").fetchone()
        if mode != "delete":
            message = f"{path.name} is in use"
            raise DamagedError(message)
    sync(path)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _copy_file(source: Path, target: Path, tell: Tell) -> None:
    def progress(state: int, left: int, of: int) -> None:
        del state
        tell(Copied(of - left, of, "pages"))

    if not source.is_file():
        message = f"there is no file {source}"
        raise DamagedError(message)
    with (
        _damage_told(),
        closing(open_file(source, "ro")) as reading,
        closing(open_file(target, "rw")) as writing,
    ):
        # A read that stays open: every step sees the same state. Otherwise SQLite would start
        # anew whenever the writer commits between two steps, and never end beside a busy one.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=_PAGES_A_STEP, progress=progress)
        reading.execute("ROLLBACK")


async def _export(source: Database, target: Path, tell: Tell) -> None:
    async with source.snapshot() as connection:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        await bring_up(file_url(target), revision=revision)
        with closing(open_file(target, "rw")) as writing:
            # Until all is written it is worth nothing, and then it is synced as a whole.
            for pragma in ("journal_mode=DELETE", "journal_mode=OFF", "synchronous=OFF"):
                writing.execute(f"PRAGMA {pragma}")
            tables = _tables(writing)
            done, of = 0, 0
            for name in tables:
                of += await connection.scalar(text(f'SELECT count(*) FROM "{name}"'))  # noqa: S608 (our tables)
            with _unguarded(writing):
                for name in reversed(tables):
                    writing.execute(f'DELETE FROM "{name}"')  # noqa: S608 (our tables)
                for name in tables:
                    columns = _columns(writing, name)
                    marks = ", ".join("?" * len(columns))
                    insert = f'INSERT INTO "{name}" ({_names(columns)}) VALUES ({marks})'  # noqa: S608 (our tables)
                    rows = await connection.stream(text(_select(name, columns)))
                    async for some in rows.partitions(_ROWS_A_STEP):
                        await asyncio.to_thread(writing.executemany, insert, map(tuple, some))
                        done += len(some)
                        tell(Copied(done, of, "rows"))


@contextmanager
def _unguarded(file: sqlite3.Connection) -> Iterator[None]:
    """Takes the triggers away that refuse changes, for one transaction, and puts them back."""
    file.execute("BEGIN")
    triggers = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        file.execute(f'DROP TRIGGER "{name}"')
    yield
    for _, sql in triggers:
        file.execute(sql)
    file.execute("COMMIT")


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DamagedError(str(error)) from error


def _tables(file: sqlite3.Connection) -> list[str]:
    """Lists the tables of a ledger; what a table refers to comes before it."""
    found = {
        name
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_") and name != "alembic_version"
    }
    known = [table.name for table in METADATA.sorted_tables if table.name in found]
    return [*known, *sorted(found - set(known))]


def _columns(file: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in file.execute(f'PRAGMA table_info("{table}")')]


def _names(columns: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _select(table: str, columns: list[str]) -> str:
    """Writes the query of a whole table, in the order of the key for the ones that are large."""
    keyed = METADATA.tables.get(table)
    order = [] if keyed is None else [each.name for each in keyed.primary_key]
    ordered = f" ORDER BY {_names(order)}" if order else ""
    return f'SELECT {_names(columns)} FROM "{table}"{ordered}'  # noqa: S608 (our tables)


def _count(file: sqlite3.Connection, tables: list[str]) -> int:
    return sum(
        file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 (our tables)
        for name in tables
    )
