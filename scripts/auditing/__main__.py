"""Proves the ledger of a wallet, or makes anew what is only summed up: `scripts/ledger`."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.engine import make_url

from services.kit.database import Database
from services.wallet.domain.history import Finding
from services.wallet.verify import Anchor, Audit, Progress, rebuild

app = typer.Typer(add_completion=False, no_args_is_help=True)

_HASH_BYTES = 32
_PROGRESS_EVERY_S = 1.0
_SHOWN_MAX = 100
_DEFAULT = "sqlite+aiosqlite:///var/databases/wallet.db"

Address = Annotated[
    str, typer.Option("--database", metavar="URL", help="The ledger, as SQLAlchemy names it.")
]
Shard = Annotated[int, typer.Option(min=0, help="Which shard.")]


def _anchor(text: str) -> Anchor:
    number, _, digits = text.partition(":")
    try:
        anchor = Anchor(int(number), bytes.fromhex(digits))
    except ValueError:
        raise typer.BadParameter("an anchor is BATCH:HASH, as an audit prints its head") from None
    if len(anchor.hash) != _HASH_BYTES:
        raise typer.BadParameter(f"the hash of an anchor has {_HASH_BYTES} bytes")
    return anchor


Anchors = Annotated[
    list[str],
    typer.Option("--anchor", metavar="BATCH:HASH", help="A head of the chain that was noted."),
]


class Report:
    """Prints events as they come, and counts what is wrong."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.findings = 0
        self.corrected: int | None = None
        self.last: Progress | None = None
        self._began = self._shown = time.monotonic()

    async def follow(self, events: AsyncIterator[Progress | Finding | int]) -> None:
        """Prints all events."""
        async for event in events:
            if isinstance(event, Finding):
                self.findings += 1
                if self.findings <= _SHOWN_MAX:
                    self.console.print(f"[red]{event.check}[/]: {event.place}: {event.message}")
            elif isinstance(event, Progress):
                self._progress(event)
            else:
                self.corrected = event

    def end(self) -> None:
        """Prints what it came to."""
        if self.findings > _SHOWN_MAX:
            self.console.print(f"… and {self.findings - _SHOWN_MAX} more")
        if self.last is not None:
            seconds = time.monotonic() - self._began
            head = f"{self.last.head.batch_no}:{self.last.head.hash.hex()}"
            self.console.print(f"{self.last.transfers} transfers in {seconds:.1f} s; head {head}")

    def _progress(self, progress: Progress) -> None:
        self.last = progress
        if time.monotonic() - self._shown > _PROGRESS_EVERY_S:
            self._shown = time.monotonic()
            self.console.print(f"{progress.transfers} of {progress.of} transfers")


@app.callback()
def ledger() -> None:
    """Audits of the wallet's ledger."""


@app.command()
def verify(
    database: Address = _DEFAULT,
    shard: Shard = 0,
    anchor: Anchors = [],  # noqa: B006 (typer's way)
) -> None:
    """Checks chain, history and everything that sums it up. Exit code 1 if anything is wrong.

    It may run beside the writer. Without an anchor a tail that was cut off cleanly does not show.
    """
    report = Report()
    anchors = [_anchor(text) for text in anchor]

    async def run() -> None:
        opened = _open(database)
        try:
            await report.follow(Audit(opened, shard=shard).run(anchors))
        finally:
            await opened.close()

    asyncio.run(run())
    report.end()
    if report.findings:
        report.console.print(f"[red]{report.findings} findings[/]")
        raise typer.Exit(1)
    report.console.print("[green]the ledger is sound[/]")


@app.command("rebuild")
def rebuild_caches(database: Address = _DEFAULT, shard: Shard = 0) -> None:
    """Makes balances, holds, rounds, bonuses and limits what history says.

    The writer must be stopped; a new epoch keeps it off. Exit code 1 if that was not possible.
    """
    report = Report()

    async def run() -> None:
        opened = _open(database)
        try:
            await report.follow(rebuild(opened, shard=shard))
        finally:
            await opened.close()

    asyncio.run(run())
    report.end()
    if report.corrected is None:
        report.console.print("[red]nothing was changed[/]: history itself is in doubt")
        raise typer.Exit(1)
    report.console.print(f"[green]{report.corrected} rows corrected[/]")


def _open(url: str) -> Database:
    address = make_url(url)
    missing = address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file()
    if missing:
        raise typer.BadParameter(f"there is no file {address.database}")
    return Database(url, schema="wallet")


if __name__ == "__main__":
    app()
