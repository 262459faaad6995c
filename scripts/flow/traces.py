"""The trace of a bet: asked for, checked for its hops, and drawn."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from scripts.flow.step import StepFailedError, check
from services.trace.cli import wait_for_traces
from services.trace.client import TraceClient
from services.trace.tree import render_trace

FLOW = "flow"
# Who a bet passes, from the one who begins it to the one who writes it down.
HOPS = (FLOW, "acme", "edge", "game", "wallet")
_WAIT_S = 15.0
_STATEMENT_TAG = "db.query.text"

Json = Mapping[str, Any]


async def find_trace(url: str, trace_id: str) -> Json:
    """Waits until a trace is complete, and returns it as Jaeger's JSON.

    Raises:
        StepFailedError: The backend has no such trace.
    """

    def ask() -> Sequence[Json]:
        with TraceClient(url) as client:
            return wait_for_traces(client, trace_id, wait_s=_WAIT_S)

    found = await asyncio.to_thread(ask)
    check(bool(found), f"the backend has no trace {trace_id}")
    return found[0]


async def find_path(url: str, trace_id: str) -> list[str]:
    """Returns the services from the beginning of a bet to its statement in the ledger.

    Raises:
        StepFailedError: The trace does not connect them.
    """
    trace = await find_trace(url, trace_id)
    spans = {span["spanID"]: span for span in trace["spans"]}
    paths = []
    for span in spans.values():
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        statement = str(tags.get(_STATEMENT_TAG, ""))
        if _service(trace, span) == HOPS[-1] and "INSERT INTO" in statement.upper():
            paths.append(_path(trace, spans, span))
    for path in paths:
        if tuple(path) == HOPS:
            return [*path, "SQL INSERT"]
    raise StepFailedError(f"no INSERT of the wallet hangs below {' → '.join(HOPS)}: {paths}")


async def draw(url: str, trace_id: str, *, width: int | None) -> Text:
    """Draws a trace as a tree with durations."""
    return render_trace(await find_trace(url, trace_id), width=width)


def _path(trace: Json, spans: Mapping[str, Json], span: Json) -> list[str]:
    """Lists the services above a span, each once, from the root down."""
    services: list[str] = []
    above: Json | None = span
    for _ in range(len(spans)):
        if above is None:
            break
        service = _service(trace, above)
        if not services or services[0] != service:
            services.insert(0, service)
        parents = [
            reference["spanID"]
            for reference in above["references"]
            if reference["refType"] == "CHILD_OF"
        ]
        above = spans.get(parents[0]) if parents else None
    return services


def _service(trace: Json, span: Json) -> str:
    return str(trace["processes"][span["processID"]]["serviceName"])
