"""Spans of group commits: each traced call gets the statements of its batch as its own.

A batch serves many calls with the same statements. The writer reports their times after the
commit; here each traced call gets a span for the batch with the statements below it, so that one
trace leads from the request to the row.
"""

from collections.abc import Callable

from opentelemetry.trace import Span

from services.kit import telemetry
from services.wallet.writer import BatchReport


def spans_by(system: str) -> Callable[[BatchReport], None]:
    """Returns what turns the report of a batch into spans.

    Args:
        system: The database, as OpenTelemetry names it: `sqlite` or `postgresql`.
    """

    def record(report: BatchReport) -> None:
        if not report.timings:
            return
        for parent in report.traces:
            _record(report, parent, system)

    return record


def _record(report: BatchReport, parent: Span, system: str) -> None:
    batch = telemetry.start_span(
        "commit batch",
        parent=parent,
        start_ns=report.timings[0].start_ns,
        attributes={"croupier.batch.operations": report.operations},
    )
    for timing in report.timings:
        telemetry.statement_span(
            timing.sql,
            name=timing.name,
            system=system,
            parent=batch,
            start_ns=timing.start_ns,
            end_ns=timing.end_ns,
            rows=timing.rows,
        )
    batch.end(report.timings[-1].end_ns)
