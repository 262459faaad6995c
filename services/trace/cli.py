"""`./scripts/trace`: prints a trace as a tree in the terminal."""

import json
import re
import sys
import time
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from services.trace.client import BackendError, Json, TraceClient
from services.trace.tree import is_settled, render_trace

_POLL_S = 0.25
# Spans of one trace come from several processes, each of which sends when it likes: what hangs
# together may still lack leaves. Unchanged for this long is as good as it gets.
_UNCHANGED_S = 1.0
_WAIT_S_MAX = 300
_NOT_FOUND = 1
_UNREACHABLE = 3

_TRACE_ID = re.compile(r"[0-9a-fA-F]{16,32}")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def show(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A trace id, or the id of a transaction.")
    ],
    url: Annotated[
        str, typer.Option(envvar="CROUPIER_TRACE_URL", help="A backend with Jaeger's query API.")
    ] = "http://127.0.0.1:4318",
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            max=_WAIT_S_MAX,
            metavar="SECONDS",
            help="Wait this long at most for the trace to arrive and be complete.",
        ),
    ] = 0,
    as_json: Annotated[  # noqa: FBT002 (typer makes an option of it; nobody passes it by position)
        bool, typer.Option("--json", help="Print Jaeger's JSON instead.")
    ] = False,
) -> None:
    """Prints the trace with this id, or those of a transaction, as a tree.

    Exits with 1 if there is none, and with 3 if the backend does not answer.
    """
    try:
        with TraceClient(url) as client:
            traces = wait_for_traces(client, identifier, wait_s=wait)
    except BackendError as error:
        _fail(str(error), _UNREACHABLE)
    if not traces:
        _fail(f"no trace and no transaction {identifier!r} at {url}", _NOT_FOUND)
    if as_json:
        sys.stdout.write(json.dumps({"data": traces}, indent=2) + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    width = console.width if console.is_terminal else None
    for index, trace in enumerate(traces):
        if index:
            console.print()
        console.print(render_trace(trace, width=width, ascii_only=console.options.ascii_only))


def find_traces(client: TraceClient, identifier: str) -> list[Json]:
    """Finds what an identifier names: a trace if it looks like one, else a transaction.

    Raises:
        BackendError: There is no usable answer.
    """
    if _TRACE_ID.fullmatch(identifier):
        trace = client.find_trace(identifier)
        if trace is not None:
            return [trace]
    return client.find_transaction(identifier)


def wait_for_traces(client: TraceClient, identifier: str, *, wait_s: float) -> list[Json]:
    """Finds traces, and looks again until they are complete or `wait_s` is over.

    Complete means: there is a single span at the top, no parent is missing, and for a second
    nothing was added. When the time is over, whatever there is is returned.

    Raises:
        BackendError: There is no usable answer, also not at the end of the time.
    """
    # A stopwatch, not a time that anything is dated with.
    deadline = time.monotonic() + wait_s
    known_count = -1
    unchanged_since = time.monotonic()
    while True:
        now = time.monotonic()
        traces: list[Json] = []
        try:
            traces = find_traces(client, identifier)
        except BackendError:
            if now >= deadline:
                raise
        span_count = sum(len(trace["spans"]) for trace in traces)
        if span_count != known_count:
            known_count = span_count
            unchanged_since = now
        is_complete = bool(traces) and all(is_settled(trace) for trace in traces)
        if now >= deadline or (is_complete and now - unchanged_since >= _UNCHANGED_S):
            return traces
        time.sleep(min(_POLL_S, deadline - now))


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


if __name__ == "__main__":
    app(prog_name="./scripts/trace")
