"""Measures Croupier on this machine: `scripts/bench`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from scripts.benchmarks import mesh as mesh_bench
from scripts.benchmarks.table import show, write_json

app = typer.Typer(add_completion=False, no_args_is_help=True)

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the rows there as well.")
]


@app.callback()
def bench() -> None:
    """Measures Croupier on this machine. Compare ratios of one run, never figures of two."""


@app.command()
def mesh(
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often each row is run.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="How long each run is.")] = 4.0,
    callers: Annotated[int, typer.Option(min=1, max=64, help="How many call at once.")] = 8,
    json: JsonFile = None,
) -> None:
    """Compares an empty call, a bet and a bet through Envoy, with traces off, at 1 % and 100 %."""
    rows = asyncio.run(mesh_bench.measure(rounds=rounds, seconds=seconds, callers=callers))
    show(f"mesh: {callers} callers, {rounds} rounds of {seconds:g} s, medians", rows)
    if json is not None:
        write_json(rows, json)


if __name__ == "__main__":
    app()
