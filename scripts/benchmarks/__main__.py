"""Measures Croupier on this machine: `scripts/bench`."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.benchmarks import ledger as ledger_bench
from scripts.benchmarks import mesh as mesh_bench
from scripts.benchmarks import results
from scripts.benchmarks.cases import Plan
from scripts.benchmarks.table import show, write_json, write_objects

_LOAD_MAX = 0.5

app = typer.Typer(add_completion=False, no_args_is_help=True)

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the rows there as well.")
]


@app.callback()
def bench() -> None:
    """Measures Croupier on this machine. Compare ratios of one run, never figures of two."""
    # Ends as on an interrupt: whatever was started is stopped, and its files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command()
def mesh(
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often each row is run.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="How long each run is.")] = 4.0,
    callers: Annotated[int, typer.Option(min=1, max=64, help="How many call at once.")] = 8,
    json: JsonFile = None,
) -> None:
    """Compares an empty call, a bet and a bet through Envoy, with traces off, at 1 % and 100 %."""
    rows = asyncio.run(mesh_bench.measure(rounds=rounds, seconds=seconds, callers=callers))
    show(f"mesh: {callers} callers, {rounds} rounds of {seconds:g} s, medians", rows)
    if json is not None:
        write_json(rows, json)


@app.command()
def ledger(
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often each row is run.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="How long each run is.")] = 3.0,
    entries: Annotated[
        int, typer.Option(min=20_000, max=100_000_000, help="What the large ledger holds.")
    ] = 200_000,
    pgbench_scale: Annotated[int, typer.Option(min=1, max=1_000, help="pgbench -s.")] = 16,
    json: JsonFile = None,
) -> None:
    """Compares the ledger on both engines with pgbench and an empty call, and judges its aims."""
    processors, before = os.cpu_count() or 1, os.getloadavg()[0]
    if before > _LOAD_MAX:
        # One busy core is taken from the engine, which has one thread, and hardly from pgbench,
        # which has a process a client.
        Console(stderr=True).print(
            f"The load is {before:.1f} before anything runs: the rates will be too low, and the"
            " ratios to pgbench too.",
            style="yellow",
        )
    plan = Plan(rounds=rounds, seconds=seconds, entries=entries, pgbench_scale=pgbench_scale)
    rows = ledger_bench.measure(plan)
    findings = results.judge(ledger_bench.aims(entries), rows)
    title = (
        f"ledger: {rounds} rounds of {seconds:g} s, medians; {ledger_bench.disk()};"
        f" {processors} processors, load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    results.show(title, rows, findings)
    if json is not None:
        write_objects(results.objects(rows, findings), json)


if __name__ == "__main__":
    app(prog_name="./scripts/bench")
