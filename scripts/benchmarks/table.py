"""Rows of measurements: their medians, a table for people and JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from scripts.benchmarks.load import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; `ratio` is CPU time per call over that of the baseline."""

    name: str
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us_per_call: float
    ratio: float


def row_of(name: str, rounds: Sequence[Round], *, baseline_cpu_us: float | None) -> Row:
    """Takes the median of each figure over the rounds of a row."""
    cpu_us = median(each.cpu_us_per_call for each in rounds)
    return Row(
        name=name,
        rps=round(median(each.rps for each in rounds), 1),
        p50_ms=round(median(each.p50_ms for each in rounds), 3),
        p95_ms=round(median(each.p95_ms for each in rounds), 3),
        p99_ms=round(median(each.p99_ms for each in rounds), 3),
        cpu_us_per_call=round(cpu_us, 1),
        ratio=round(cpu_us / baseline_cpu_us, 3) if baseline_cpu_us else 1.0,
    )


def show(title: str, rows: Sequence[Row]) -> None:
    """Prints the table."""
    table = Table(title=title)
    table.add_column("name")
    for column in ("rps", "p50 ms", "p95 ms", "p99 ms", "server CPU µs/call", "ratio"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.rps:.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p95_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{row.cpu_us_per_call:.0f}",
            f"{row.ratio:.2f}",
        )
    Console(width=110).print(table)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Writes the same rows as a list of objects."""
    write_objects([asdict(row) for row in rows], path)


def write_objects(objects: Sequence[Mapping[str, object]], path: Path) -> None:
    """Writes a list of objects."""
    path.write_text(json.dumps(list(objects), indent=2) + "\n")
