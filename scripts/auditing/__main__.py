"""Proves the ledger of a wallet, copies it, brings it back, and tells from it: `scripts/ledger`."""

import asyncio

import typer

from scripts.auditing.backups import adopt_restored, backup, restore_backup
from scripts.auditing.options import (
    DEFAULT_DATABASE,
    Address,
    Anchors,
    Shard,
    open_ledger,
    parse_anchor,
)
from scripts.auditing.report import Report
from scripts.auditing.statements import statement
from services.wallet.verify import Audit, rebuild

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """Audits, backups and statements of the wallet's ledger."""


@app.command()
def verify(
    database: Address = DEFAULT_DATABASE,
    shard: Shard = 0,
    anchor: Anchors = [],  # noqa: B006 (typer's way)
) -> None:
    """Checks chain, history and everything that sums it up. Exit code 1 if anything is wrong.

    It may run beside the writer. Without an anchor a tail that was cut off cleanly does not show.
    """
    report = Report()
    anchors = [parse_anchor(text) for text in anchor]

    async def run() -> None:
        opened = open_ledger(database)
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
def rebuild_caches(database: Address = DEFAULT_DATABASE, shard: Shard = 0) -> None:
    """Makes balances, holds, rounds, bonuses, limits and policies what history says.

    The writer must be stopped; a new epoch keeps it off. Exit code 1 if that was not possible.
    """
    report = Report()

    async def run() -> None:
        opened = open_ledger(database)
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


app.command("backup")(backup)
app.command("restore")(restore_backup)
app.command("adopt")(adopt_restored)
app.command("statement")(statement)


if __name__ == "__main__":
    app(prog_name="./scripts/ledger")
