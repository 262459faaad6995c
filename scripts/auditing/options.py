"""What the ledger's commands take, and how they read it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from sqlalchemy.engine import make_url

from services.kit.database import Database
from services.wallet.verify import Anchor

_HASH_BYTES = 32
DEFAULT_DATABASE = "sqlite+aiosqlite:///var/databases/wallet.db"
UNSOUND = 1
REFUSED = 2
"""As a usage error: nothing was done."""

Address = Annotated[
    str, typer.Option("--database", metavar="URL", help="The ledger, as SQLAlchemy names it.")
]
Shard = Annotated[int, typer.Option(min=0, help="Which shard.")]
Anchors = Annotated[
    list[str],
    typer.Option("--anchor", metavar="BATCH:HASH", help="A head of the chain that was noted."),
]


def parse_anchor(text: str) -> Anchor:
    """Reads a head of the chain as an audit prints it."""
    number, _, digits = text.partition(":")
    try:
        anchor = Anchor(int(number), bytes.fromhex(digits))
    except ValueError:
        raise typer.BadParameter("an anchor is BATCH:HASH, as an audit prints its head") from None
    if len(anchor.hash) != _HASH_BYTES:
        raise typer.BadParameter(f"the hash of an anchor has {_HASH_BYTES} bytes")
    return anchor


def told_anchor(anchor: Anchor) -> str:
    """Writes a head of the chain as `parse_anchor` reads it."""
    return f"{anchor.batch_no}:{anchor.hash.hex()}"


def parse_time(text: str) -> datetime:
    """Reads a day or a moment; UTC if it says nothing else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"not a time such as 2027-01-31 or 2027-01-31T12:00Z: {text}"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def open_ledger(url: str) -> Database:
    """Opens a ledger that is there."""
    address = make_url(url)
    missing = address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file()
    if missing:
        raise typer.BadParameter(f"there is no file {address.database}")
    return Database(url, schema="wallet")


def fail(message: str, code: int) -> NoReturn:
    """Says on standard error what is wrong, and ends."""
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(message)
    raise typer.Exit(code)
