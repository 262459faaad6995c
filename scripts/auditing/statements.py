"""The command that writes a player's statement as CSV."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from sqlalchemy.exc import DBAPIError

from scripts.auditing.options import (
    DEFAULT_DATABASE,
    REFUSED,
    UNSOUND,
    Address,
    fail,
    open_ledger,
    parse_time,
)
from services.kit.clock import EPOCH, SystemClock, to_micros
from services.kit.errors import ServiceError
from services.wallet.domain import Bucket, Micros, PlayerId
from services.wallet.domain.values import pack_id
from services.wallet.reporting import ReportingService
from services.wallet.statement_csv import ContradictionError, Written, write_statement
from services.wallet.store import StatementQuery


class BucketName(StrEnum):
    """The buckets, as they are typed."""

    CASH = "cash"
    BONUS = "bonus"
    LOCKED = "locked"


def statement(  # noqa: PLR0913 (the options of a command)
    *,
    player: Annotated[str, typer.Option(metavar="ID", help="The player.")],
    currency: Annotated[str, typer.Option(metavar="CODE", help="Such as EUR.")],
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Begin, included; UTC.")
    ] = EPOCH.date().isoformat(),
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="End, excluded; UTC. By default now.")
    ] = "",
    bucket: Annotated[BucketName, typer.Option(help="Which balance.")] = BucketName.CASH,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that is not there yet.")
    ] = None,
    database: Address = DEFAULT_DATABASE,
) -> None:
    """Writes a player's statement as CSV: opening balance, entries oldest first, closing balance.

    Amounts stand in minor units and in decimals. Without its closing line it is not complete.

    Ids that a spreadsheet would take for formulas begin with an apostrophe.

    Exit code 1: the entries do not add up. 2: there is no such account, or the file exists.
    """
    query = StatementQuery(
        player_id=_player(player),
        currency_code=currency,
        bucket=Bucket[bucket.name],
        start=Micros(to_micros(parse_time(start))),
        end=Micros(to_micros(parse_time(end) if end else SystemClock().now())),
    )
    try:
        with _opened(output) as out:
            written = asyncio.run(_write(database, query, out))
    except ServiceError as error:
        fail(str(error), REFUSED)
    except ContradictionError as error:
        fail(f"{error}: run `verify`", UNSOUND)
    except OSError as error:
        fail(str(error), REFUSED)
    except DBAPIError as error:
        fail(f"the database says: {error.orig}", REFUSED)
    if output is not None:
        typer.echo(
            f"{output}: {written.entries} entries, from {written.opening_balance}"
            f" to {written.closing_balance} minor units"
        )


async def _write(url: str, query: StatementQuery, out: TextIO) -> Written:
    database = open_ledger(url)
    try:
        return await write_statement(ReportingService(database, SystemClock()), query, out)
    finally:
        await database.close()


def _player(text: str) -> PlayerId:
    try:
        return PlayerId(pack_id(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Opens standard output, or a file that gets its name only when it is complete."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a text file as long as nobody replaces it
        yield sys.stdout
        return
    if output.exists():
        raise FileExistsError(f"there is a file {output} already")
    opened, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(opened, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(opened)
        os.link(name, output)
    finally:
        Path(name).unlink()
