"""The commands that copy a ledger, and that bring one back."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import DBAPIError

from scripts.auditing.options import (
    DEFAULT_DATABASE,
    REFUSED,
    UNSOUND,
    Address,
    Anchors,
    fail,
    open_ledger,
    parse_anchor,
    told_anchor,
)
from scripts.auditing.report import Report
from services.kit.clock import SystemClock
from services.wallet.backup import (
    OccupiedError,
    Restored,
    TargetExistsError,
    UnsoundError,
    adopt,
    back_up,
    restore,
)
from services.wallet.store import ConnectionLostError, LeaseTakenError, UnsafeSettingsError
from services.wallet.store.copying import DamagedError, RevisionError

R = TypeVar("R")


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="A file that is not there yet, or a folder.")
    ],
    database: Address = DEFAULT_DATABASE,
    *,
    verify: Annotated[bool, typer.Option(help="Audit the copy before it gets its name.")] = True,
) -> None:
    """Copies a ledger into one file, while the wallet serves, and proves the copy.

    The file is an SQLite ledger, from PostgreSQL too, and `restore` makes either of it.

    On PostgreSQL it stands beside physical backups with an archived log, and not in their place.

    Exit code 1: the ledger or its copy is not sound, and no file was made. 2: nothing was done.
    """
    report = Report()
    made = _run(
        report,
        back_up(database, target, clock=SystemClock(), tell=report.tell, verified=verify),
        "no backup was made",
    )
    megabytes = made.size / 1_000_000
    report.console.print(
        f"{made.path}: {made.last_seq} transfers, {megabytes:.1f} MB in {report.seconds:.1f} s;"
        f" head {told_anchor(made.head)}",
        markup=False,
    )
    report.console.print(
        "[green]the copy is sound[/]" if made.verified else "[yellow]the copy was not verified[/]"
    )


def restore_backup(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` has made.")],
    database: Address = DEFAULT_DATABASE,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a ledger; it is kept under another name.")
    ] = False,
    anchor: Anchors = [],  # noqa: B006 (typer's way)
) -> None:
    """Makes a ledger from a backup, as another incarnation. The wallet must be stopped.

    The new ledger takes its place when it is complete and proven; a failure leaves the old one.

    Exit code 1: the backup is damaged or not sound. 2: refused, and nothing was done.
    """
    if not backup.is_file():
        raise typer.BadParameter(f"there is no file {backup}")
    report = Report()
    made = _run(
        report,
        restore(
            backup,
            database,
            clock=SystemClock(),
            tell=report.tell,
            replace=replace,
            anchors=[parse_anchor(text) for text in anchor],
        ),
        "nothing was replaced",
    )
    report.console.print(
        f"restored {made.last_seq} transfers in {report.seconds:.1f} s;"
        f" head {told_anchor(made.head)}"
    )
    if made.replaced:
        report.console.print(
            f"the ledger that was there is kept as {made.replaced}, until you remove it",
            markup=False,
        )
    _tell_next(report, made)


def adopt_restored(
    database: Address = DEFAULT_DATABASE,
    anchor: Anchors = [],  # noqa: B006 (typer's way)
) -> None:
    """Proves a ledger that other tools brought back, and begins its new incarnation.

    After a pg_basebackup, a recovery to a point in time or a snapshot, before the wallet starts.

    Exit code 1: it is not sound, and nothing was changed. 2: refused, and nothing was done.
    """
    report = Report()

    async def run() -> Restored:
        await open_ledger(database).close()
        return await adopt(
            database, tell=report.tell, anchors=[parse_anchor(text) for text in anchor]
        )

    made = _run(report, run(), "nothing was changed")
    report.console.print(f"{made.last_seq} transfers; head {told_anchor(made.head)}")
    _tell_next(report, made)


def _tell_next(report: Report, made: Restored) -> None:
    say = report.console.print
    say(f"[green]the ledger is sound[/]; incarnation {made.incarnation}")
    if made.lost:
        say(
            f"[yellow]{made.lost} transfers that were acknowledged are not in it[/]:"
            f" {made.last_seq + 1} to {made.last_seq + made.lost} of the ledger that was replaced"
        )
    elif made.lost is None:
        say(f"[yellow]whatever was acknowledged after transfer {made.last_seq} is not in it[/]")
    say("Next:", markup=False)
    for number, step in enumerate(_NEXT, start=1):
        filled = step.format(seq=made.last_seq, incarnation=made.incarnation)
        say(f"  {number}. {filled}", markup=False)


_NEXT = (
    (
        "Start the wallet. Providers and PSPs repeat what they hold no answer for; what they hold"
        " an answer for and the ledger has lost, find in their reports and book by hand."
    ),
    (
        "Followers of the feed (analytics and game) stop with"
        " ERROR_REASON_INCARNATION_CHANGED, and their health says so."
    ),
    (
        "One whose row of feed_cursor for `wallet` has seq <= {seq} has seen nothing that is lost:"
        " set its incarnation to {incarnation}, and start it again."
    ),
    (
        "One that is further has derived facts from transfers that are lost. Bring its store back"
        " to before them, or clear what it derived; then set its cursor likewise."
    ),
    "The store of payments is a database of its own: hold it against the ledger.",
)


def _run(report: Report, work: Coroutine[Any, Any, R], otherwise: str) -> R:
    try:
        return asyncio.run(work)
    except UnsoundError:
        report.end()
        fail(f"{report.findings} findings: {otherwise}", UNSOUND)
    except DamagedError as error:
        fail(f"damaged: {error}; {otherwise}", UNSOUND)
    except OccupiedError as error:
        fail(f"{error}; --replace keeps it under another name", REFUSED)
    except LeaseTakenError as error:
        fail(f"{error}: stop the wallet; {otherwise}", REFUSED)
    except (
        ConnectionLostError,
        OSError,
        RevisionError,
        TargetExistsError,
        UnsafeSettingsError,
    ) as error:
        fail(f"{error}; {otherwise}", REFUSED)
    except DBAPIError as error:
        fail(f"the database says: {error.orig}; {otherwise}", REFUSED)
