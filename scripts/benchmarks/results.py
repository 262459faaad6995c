"""The rows of `scripts/bench ledger`, and the aims that they are held against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from scripts.benchmarks.load import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one row."""

    load: Round
    batches: Sequence[int] = ()
    """How many postings each commit held, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: medians over the rounds.

    Attributes:
        rps: Transactions, calls or postings per second; `unit` says which.
        ratio: Its rate over that of `baseline`, the median over the rounds: both rows of a round
            are measured within a minute of each other.
        batch_p50: How many postings a commit held.
        cpu_us_per_call: What each unit cost the process that is measured; None for PostgreSQL's
            own programs.
    """

    name: str
    rps: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    ratio: float
    unit: str
    client: str
    baseline: str
    batch_p50: float | None = None
    batch_max: int | None = None
    cpu_us_per_call: float | None = None
    bytes_per_posting: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a ratio should be."""

    row: str
    at_least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An aim, and what was measured."""

    name: str
    ratio: float
    aim: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row of the table before it is measured.

    Attributes:
        unit: What is counted.
        client: What makes the load.
        baseline: The row that it is compared with.
    """

    name: str
    unit: str
    client: str
    baseline: str
    measure: Callable[[], Sample]


def row_of(case: Case, samples: Sequence[Sample], against: Sequence[Sample]) -> Row:
    """Sums the rounds of a row up."""
    batches = [size for sample in samples for size in sample.batches]
    loads = [sample.load for sample in samples]
    cpu_us = median(each.cpu_us_per_call for each in loads)
    ratios = [each.load.rps / other.load.rps for each, other in zip(samples, against, strict=True)]
    return Row(
        name=case.name,
        rps=round(median(each.rps for each in loads), 1),
        p50_ms=round(median(each.p50_ms for each in loads), 3),
        p95_ms=round(median(each.p95_ms for each in loads), 3),
        p99_ms=round(median(each.p99_ms for each in loads), 3),
        ratio=round(median(ratios), 3),
        unit=case.unit,
        client=case.client,
        baseline=case.baseline,
        batch_p50=median(batches) if batches else None,
        batch_max=max(batches) if batches else None,
        cpu_us_per_call=round(cpu_us, 1) if cpu_us else None,
    )


def judge(aims: Sequence[Aim], rows: Sequence[Row]) -> list[Finding]:
    """Compares the rows with what they should be."""
    by_name = {row.name: row for row in rows}
    return [
        Finding(
            name=f"{aim.row} / {by_name[aim.row].baseline}",
            ratio=by_name[aim.row].ratio,
            aim=aim.at_least,
            met=by_name[aim.row].ratio >= aim.at_least,
        )
        for aim in aims
    ]


def show(title: str, rows: Sequence[Row], findings: Sequence[Finding]) -> None:
    """Prints the rows, then the aims."""
    console = Console(width=170)
    table = Table(
        title=title,
        caption="CPU µs: of the process under test, for each unit; that of PostgreSQL's own"
        " processes is not in it. ratio: of the rates.",
    )
    table.add_column("name")
    for column in ("per second", "p50 ms", "p95 ms", "p99 ms", "commit holds", "CPU µs", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("of")
    table.add_column("load from")
    for row in rows:
        table.add_row(
            row.name,
            _rate(row),
            _number(row.p50_ms, 2),
            _number(row.p95_ms, 2),
            _number(row.p99_ms, 2),
            "" if row.batch_p50 is None else f"{row.batch_p50:g}, at most {row.batch_max}",
            _number(row.cpu_us_per_call, 0),
            f"{row.ratio:.2f}",
            row.baseline if row.baseline != row.name else "",
            row.client,
        )
    console.print(table)
    aims = Table(title="aims")
    aims.add_column("ratio of")
    for column in ("measured", "aim", ""):
        aims.add_column(column, justify="right")
    for each in findings:
        aims.add_row(
            each.name, f"{each.ratio:.2f}", f">= {each.aim:g}", "met" if each.met else "missed"
        )
    console.print(aims)
    console.print("No acknowledged transfer lost after kill -9, no replay with an effect:")
    console.print("`scripts/simulate` looks for those; they are not a matter of speed.")


def objects(rows: Sequence[Row], findings: Sequence[Finding]) -> list[Mapping[str, object]]:
    """Returns all rows, then the aims as rows without rates."""
    nothing = dict.fromkeys(("rps", "p50_ms", "p95_ms", "p99_ms"))
    aims = [{**asdict(each), **nothing, "name": f"aim: {each.name}"} for each in findings]
    return [*map(asdict, rows), *aims]


def _rate(row: Row) -> str:
    if row.bytes_per_posting is not None:
        return f"{row.bytes_per_posting:.0f} bytes"
    return f"{row.rps:,.0f} {row.unit}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
