"""Backup and restore of a ledger: a copy that is proven, and a place that is left whole.

A restored log is a new `incarnation`: what was committed after the backup is not in it, and
followers who have derived something from that must stop rather than skip what comes instead.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.kit.clock import Clock
from services.kit.database import Database
from services.wallet.domain.history import Finding
from services.wallet.store.copying import (
    SCHEMA,
    Copied,
    begin_incarnation,
    check_current,
    check_file,
    copy_out,
    file_url,
    finish_file,
    read_shards,
    sync,
)
from services.wallet.store.replacing import Occupant, open_place
from services.wallet.verify import Anchor, Audit, Progress

Tell = Callable[[Copied | Progress | Finding], None]
"""Told of progress and of findings, perhaps on another thread."""

_SHARD = 0
# To the microsecond: a name that was given is never given again.
_STAMP = "%Y%m%dT%H%M%S%fZ"
# More reigns than there can have been since the backup: no writer of the ledger that was lost has
# an epoch in which the restored one lets it write.
_EPOCHS_LEAPT = 1_000_000


class TargetExistsError(Exception):
    """A file is in the way; nothing is overwritten."""


class OccupiedError(Exception):
    """There is a ledger at the address already.

    Attributes:
        occupant: What it is.
    """

    def __init__(self, occupant: Occupant) -> None:
        state = (
            "cannot be read"
            if occupant.last_seq is None
            else f"reaches to transfer {occupant.last_seq}"
        )
        super().__init__(f"there is a ledger already; it {state}")
        self.occupant = occupant


class UnsoundError(Exception):
    """An audit has found something. What was made is removed, and nothing was replaced."""

    def __init__(self, findings: int) -> None:
        super().__init__(f"{findings} findings")
        self.findings = findings


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that is complete and on disk.

    Attributes:
        path: The file.
        size: In bytes.
        head: The end of its chain.
        last_seq: Its last transfer.
        verified: Whether an audit has proven it.
    """

    path: Path
    size: int
    head: Anchor
    last_seq: int
    verified: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger that a writer may take up.

    Attributes:
        head: The end of its chain.
        last_seq: Its last transfer.
        incarnation: The mark of its log from here on.
        replaced: The name under which the ledger that was there is kept; empty if there was none.
        lost: How many transfers the replaced one has beyond the head; None if nothing tells.
    """

    head: Anchor
    last_seq: int
    incarnation: str
    replaced: str = ""
    lost: int | None = None


async def back_up(
    database_url: str, target: Path, *, clock: Clock, tell: Tell, verified: bool = True
) -> BackedUp:
    """Copies a ledger, as of one moment, while its writer goes on.

    Args:
        database_url: The ledger.
        target: The file to make, or a folder to make one in.
        clock: Names a file in a folder.
        tell: Told of progress and findings.
        verified: Whether the copy is audited.

    Raises:
        TargetExistsError: There is such a file.
        DamagedError: The ledger cannot be read, or its copy is not whole.
        RevisionError: This code cannot audit tables of that version.
        UnsoundError: The audit has found something.
    """
    target, partial = await asyncio.to_thread(_begin_file, target, clock)
    try:
        await copy_out(database_url, partial, tell)
        database = Database(file_url(partial), schema=SCHEMA)
        try:
            if verified:
                await check_current(database)
                await _prove(database, (), tell)
            [shard] = await read_shards(database)
        finally:
            await database.close()
        size = await asyncio.to_thread(_publish, partial, target, verified=verified)
    finally:
        await asyncio.to_thread(_discard, partial)
    return BackedUp(
        path=target,
        size=size,
        head=Anchor(shard["last_batch"], bytes(shard["head_hash"])),
        last_seq=shard["last_seq"],
        verified=verified,
    )


async def restore(
    backup: Path,
    database_url: str,
    *,
    clock: Clock,
    tell: Tell,
    replace: bool = False,
    anchors: Sequence[Anchor] = (),
) -> Restored:
    """Makes a ledger from a backup; whatever fails, the one that is there stays as it is.

    Args:
        backup: A file that `back_up` has made, from either engine.
        database_url: Where the ledger is to be.
        clock: Names the ledger that is replaced.
        tell: Told of progress and findings.
        replace: Whether a ledger that is not empty may be replaced.
        anchors: Heads of the chain that the backup must contain.

    Raises:
        LeaseTakenError: A writer reigns.
        ConnectionLostError: The server does not answer.
        OccupiedError: There is a ledger that is not empty, and `replace` was not said.
        DamagedError: The backup is no ledger, or not a whole one.
        RevisionError: It is of a version that this code does not know.
        UnsoundError: The audit has found something in it.
    """
    revision = await asyncio.to_thread(check_file, backup)
    place = open_place(database_url)
    async with place.held():
        occupant = await place.find_occupant()
        if occupant is not None and occupant.last_seq != 0 and not replace:
            raise OccupiedError(occupant)
        try:
            head, last_seq, incarnation = await _prepare(
                await place.stage(backup, revision, tell), occupant, anchors, tell
            )
            replaced = await place.put_in_place(clock.now().strftime(_STAMP))
        except BaseException:
            # The first failure is the one to tell.
            with suppress(Exception):
                await place.discard()
            raise
    known = None if occupant is None else occupant.last_seq
    lost = None if known is None else max(0, known - last_seq)
    return Restored(head, last_seq, incarnation, replaced, lost)


async def adopt(database_url: str, *, tell: Tell, anchors: Sequence[Anchor] = ()) -> Restored:
    """Proves a ledger that other tools have restored, and begins its new incarnation.

    Raises:
        LeaseTakenError: A writer reigns.
        ConnectionLostError: The server does not answer.
        RevisionError: Its tables are of another version than this code.
        UnsoundError: The audit has found something; nothing was changed.
    """
    place = open_place(database_url)
    async with place.held():
        database = Database(database_url, schema=SCHEMA)
        try:
            await check_current(database)
            await _prove(database, anchors, tell)
            [shard] = await read_shards(database)
            incarnation = await begin_incarnation(database, epoch=shard["epoch"] + _EPOCHS_LEAPT)
        finally:
            await database.close()
    head = Anchor(shard["last_batch"], bytes(shard["head_hash"]))
    return Restored(head, shard["last_seq"], incarnation)


async def _prepare(
    database: Database, occupant: Occupant | None, anchors: Sequence[Anchor], tell: Tell
) -> tuple[Anchor, int, str]:
    """Proves a ledger that is to take the place of another, and begins its incarnation."""
    try:
        await _prove(database, anchors, tell)
        [shard] = await read_shards(database)
        known = max(shard["epoch"], occupant.epoch if occupant is not None else 0)
        incarnation = await begin_incarnation(database, epoch=known + _EPOCHS_LEAPT)
    finally:
        await database.close()
    head = Anchor(shard["last_batch"], bytes(shard["head_hash"]))
    return head, shard["last_seq"], incarnation


async def _prove(database: Database, anchors: Sequence[Anchor], tell: Tell) -> None:
    findings = 0
    async for event in Audit(database, shard=_SHARD).run(anchors):
        findings += isinstance(event, Finding)
        tell(event)
    if findings:
        raise UnsoundError(findings)


def _begin_file(target: Path, clock: Clock) -> tuple[Path, Path]:
    """Returns the file that is wanted, and an empty one beside it that only we may read."""
    if target.is_dir():
        target = target / f"wallet-{clock.now().strftime(_STAMP)}.db"
    _refuse_existing(target)
    opened, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    os.close(opened)
    return target, Path(name)


def _refuse_existing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        message = f"there is a file {target} already"
        raise TargetExistsError(message)


def _publish(partial: Path, target: Path, *, verified: bool) -> int:
    """Gives a complete file its name, unless another one has taken it; returns its size."""
    finish_file(partial)
    if verified:
        check_file(partial)
    try:
        # Fails if the name is taken, which a rename does not.
        os.link(partial, target)
    except FileExistsError:
        _refuse_existing(target)
        raise
    except OSError:
        # A file system without links.
        _refuse_existing(target)
        partial.rename(target)
    sync(target.parent)
    return target.stat().st_size


def _discard(partial: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        partial.with_name(f"{partial.name}{suffix}").unlink(missing_ok=True)
