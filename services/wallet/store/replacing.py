"""Puts a restored ledger in the place of another, which is kept under another name.

The new one is made beside the old one and takes its place when it is complete and proven; until
then nobody sees it. The caller holds the ledger meanwhile, so that no writer begins.
"""

import asyncio
import fcntl
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from services.kit.database import Database
from services.wallet.store.copying import (
    SCHEMA,
    Copied,
    Tell,
    bring_up,
    file_url,
    finish_file,
    load,
    open_file,
    sync,
)
from services.wallet.store.session import LeaseTakenError, Session, open_session

_RESTORING = f"{SCHEMA}_restoring"
_SHARD = 0


@dataclass(frozen=True, slots=True)
class Occupant:
    """The ledger that is at an address.

    Attributes:
        last_seq: Its last transfer; None if it cannot be read.
        epoch: Its last reign, or 0.
    """

    last_seq: int | None
    epoch: int


class Place(Protocol):
    """Where a ledger is, or is to be."""

    def held(self) -> AbstractAsyncContextManager[None]:
        """Keeps every writer off for as long as the block lasts.

        Raises:
            LeaseTakenError: A writer reigns.
            ConnectionLostError: The server does not answer.
        """

    async def find_occupant(self) -> Occupant | None:
        """Looks at what is there; None if there is nothing."""

    async def stage(self, backup: Path, revision: str, tell: Tell) -> Database:
        """Makes a ledger from a backup, beside the one that is there, and migrates it.

        Args:
            backup: A file that was checked.
            revision: Its revision.
            tell: Told of progress.

        Raises:
            RevisionError: It is of a version that this code does not know.
        """

    async def discard(self) -> None:
        """Removes what `stage` has made."""

    async def put_in_place(self, stamp: str) -> str:
        """Puts the staged ledger in place, and returns the name under which the old one is kept.

        Nobody may have the staged one open any more. The name is empty if nothing was there.
        """


class FilePlace:
    """A ledger in an SQLite file."""

    def __init__(self, database_url: str) -> None:
        self._path = Path(make_url(database_url).database or "").absolute()
        self._staged = self._path.with_name(f".{self._path.name}.restoring")
        self._readable = False

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Takes the lock file of the writer."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = os.open(_beside(self._path, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another process writes {self._path.name}"
                raise LeaseTakenError(message) from None
            yield
        finally:
            os.close(lock_file)

    async def find_occupant(self) -> Occupant | None:
        """Looks into the file, if there is one."""
        if not self._path.exists():
            return None
        try:
            # Read-only, since SQLite deletes a log that it cannot use: evidence, where all is lost.
            with closing(open_file(self._path, "ro")) as file:
                if not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return None
                last_seq, epoch = file.execute(
                    "SELECT max(last_seq), max(epoch) FROM shard"
                ).fetchone()
                self._readable = True
                return Occupant(last_seq, epoch or 0)
        except sqlite3.Error:
            return Occupant(None, 0)

    async def stage(self, backup: Path, revision: str, tell: Tell) -> Database:
        """Copies the backup into a file in the same folder."""
        del revision  # the file says it itself
        await self.discard()
        await asyncio.to_thread(self._copy, backup, tell)
        url = file_url(self._staged)
        await bring_up(url)
        return Database(url, schema=SCHEMA)

    async def discard(self) -> None:
        """Removes that file."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            _beside(self._staged, suffix).unlink(missing_ok=True)

    async def put_in_place(self, stamp: str) -> str:
        """Renames the files."""
        return await asyncio.to_thread(self._swap, stamp)

    def _copy(self, backup: Path, tell: Tell) -> None:
        opened = os.open(self._staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with backup.open("rb") as reading, os.fdopen(opened, "wb") as writing:
            shutil.copyfileobj(reading, writing)
        size = self._staged.stat().st_size
        tell(Copied(size, size, "bytes"))

    def _swap(self, stamp: str) -> str:
        finish_file(self._staged)
        kept = _beside(self._path, f".replaced-{stamp}")
        self._settle()
        # Frames that could not be written back belong to the old file, and would destroy another.
        log = _beside(self._path, "-wal")
        old = self._path if self._path.exists() else None
        _like(old or self._path.parent, self._staged, mode=old is not None)
        if old is not None and not log.exists():
            # Under both names, so that at each moment there is a ledger at the address.
            os.link(self._path, kept)
        elif old is not None:
            self._path.rename(kept)
        if log.exists():
            log.rename(_beside(kept, "-wal"))
        _beside(self._path, "-shm").unlink(missing_ok=True)
        sync(self._path.parent)
        self._staged.replace(self._path)
        sync(self._path.parent)
        return kept.name if old is not None else ""

    def _settle(self) -> None:
        """Writes back what is in the log of the old file, if it can be read at all."""
        if not self._readable:
            return
        with suppress(sqlite3.Error), closing(open_file(self._path, "rw")) as file:
            file.execute("PRAGMA journal_mode=DELETE")


class SchemaPlace:
    """A ledger in a schema of a PostgreSQL database."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._session: Session | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Takes the lease of the writer."""
        self._session = open_session(self._url)
        try:
            await self._session.open(shard=_SHARD)
            yield
        finally:
            await self._session.close()
            self._session = None

    async def find_occupant(self) -> Occupant | None:
        """Looks into the schema, if there is one."""
        database = Database(self._url, schema=SCHEMA)
        try:
            async with database.snapshot() as connection:
                wanted = text("SELECT count(*) FROM pg_tables WHERE schemaname = :schema")
                if not await connection.scalar(wanted, {"schema": SCHEMA}):
                    return None
                row = (
                    await connection.execute(text("SELECT max(last_seq), max(epoch) FROM shard"))
                ).one()
                return Occupant(row[0], row[1] or 0)
        except DBAPIError:
            return Occupant(None, 0)
        finally:
            await database.close()

    async def stage(self, backup: Path, revision: str, tell: Tell) -> Database:
        """Loads the backup into another schema."""
        await self.discard()
        await bring_up(self._url, schema=_RESTORING, revision=revision)
        staged = Database(self._url, schema=_RESTORING)
        try:
            await load(backup, staged, tell)
            await bring_up(self._url, schema=_RESTORING)
        except BaseException:
            await staged.close()
            raise
        return staged

    async def discard(self) -> None:
        """Drops that schema."""
        await self._run(f'DROP SCHEMA IF EXISTS "{_RESTORING}" CASCADE')

    async def put_in_place(self, stamp: str) -> str:
        """Renames the schemas, in one transaction."""
        kept = f"{SCHEMA}_replaced_{stamp.lower()}"
        if self._session is not None:
            # A lease whose connection was lost keeps nobody off; this tells.
            await self._session.begin()
            await self._session.rollback()
        database = Database(self._url, schema=SCHEMA)
        try:
            async with database.transaction() as connection:
                there = await connection.scalar(
                    text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}
                )
                if there:
                    await connection.execute(text(f'ALTER SCHEMA "{SCHEMA}" RENAME TO "{kept}"'))
                await connection.execute(text(f'ALTER SCHEMA "{_RESTORING}" RENAME TO "{SCHEMA}"'))
        finally:
            await database.close()
        return f"schema {kept}" if there else ""

    async def _run(self, statement: str) -> None:
        database = Database(self._url, schema=SCHEMA)
        try:
            async with database.transaction() as connection:
                await connection.execute(text(statement))
        finally:
            await database.close()


def open_place(database_url: str) -> Place:
    """Makes the place that an address names."""
    if make_url(database_url).get_backend_name() == "sqlite":
        return FilePlace(database_url)
    return SchemaPlace(database_url)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _like(model: Path, path: Path, *, mode: bool) -> None:
    """Gives a file the owner of another, for a restore by root, and perhaps its rights."""
    owner = model.stat()
    if mode:
        path.chmod(owner.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)
