from typing import Any

import pytest

from services.trace.tree import format_duration, is_settled, render_trace


def raw_span(
    number: int,
    *,
    parent: int = 0,
    service: str = "game",
    name: str = "work",
    start: int = 0,
    duration: int = 1_000,
    tags: dict[str, Any] | None = None,
) -> dict[str, Any]:
    references = []
    if parent:
        references.append({"refType": "CHILD_OF", "traceID": "a1", "spanID": f"{parent}"})
    return {
        "traceID": "a1",
        "spanID": f"{number}",
        "operationName": name,
        "references": references,
        "startTime": 1_000_000 + start,
        "duration": duration,
        "tags": [{"key": key, "type": "", "value": value} for key, value in (tags or {}).items()],
        "logs": [],
        "processID": service,
        "warnings": None,
    }


def trace(*spans: dict[str, Any], warnings: list[str] | None = None) -> dict[str, Any]:
    services = {span["processID"] for span in spans}
    return {
        "traceID": "a1",
        "spans": list(spans),
        "processes": {name: {"serviceName": name, "tags": []} for name in services},
        "warnings": warnings,
    }


BET = trace(
    raw_span(4, parent=2, service="wallet", name="INSERT entries", start=3_000, duration=900),
    raw_span(1, service="edge", name="POST /bet", duration=8_000),
    raw_span(
        3,
        parent=2,
        service="wallet",
        name="Post",
        start=2_000,
        duration=4_000,
        tags={"error": True, "otel.status_description": "ERROR_REASON_INSUFFICIENT_FUNDS"},
    ),
    raw_span(2, parent=1, service="game", name="Bet", start=1_000, duration=6_000),
)


def test_a_trace_is_drawn_as_a_tree_in_the_order_of_time() -> None:
    assert render_trace(BET).plain.splitlines() == [
        "trace a1  8.00 ms, 4 spans, 3 services, 1 error",
        "edge POST /bet                 8.00 ms  ━━━━━━━━━━━━━━━━━━━━━━━━",
        "└─ game Bet                    6.00 ms     ━━━━━━━━━━━━━━━━━━",
        "   ├─ wallet Post              4.00 ms        ━━━━━━━━━━━━",
        "   │     ! ERROR_REASON_INSUFFICIENT_FUNDS",
        "   └─ wallet INSERT entries     900 µs           ━━━",
    ]


def test_a_terminal_without_line_characters_gets_ascii() -> None:
    assert render_trace(BET, ascii_only=True).plain.isascii()


def test_names_are_cut_to_the_width_of_the_terminal() -> None:
    long = trace(raw_span(1, name="n" * 300))
    assert max(len(line) for line in render_trace(long, width=100).plain.splitlines()) == 100
    assert "n" * 300 in render_trace(long).plain


def test_a_name_cannot_steer_the_terminal() -> None:
    drawn = render_trace(trace(raw_span(1, name="\x1b[2J\nfake <script>\x07", service="a\rb")))
    assert "\x1b" not in drawn.plain
    assert drawn.plain.splitlines()[1].startswith("a�b �[2J�fake <script>�")


def test_square_brackets_are_no_markup() -> None:
    assert "[red]Bet[/red]" in render_trace(trace(raw_span(1, name="[red]Bet[/red]"))).plain


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "! failed"),
        ({"http.status_code": "503"}, "! HTTP 503"),
        ({"http.status_code": "0"}, "! failed"),
        ({"error.type": "Timeout", "http.response.status_code": 504}, "! Timeout"),
        ({"error.type": "Timeout", "otel.status_description": "too late"}, "! too late"),
    ],
)
def test_a_failure_is_given_its_best_reason(tags: dict[str, Any], reason: str) -> None:
    failed = raw_span(1, tags={"error": "true", **tags})
    assert render_trace(trace(failed)).plain.splitlines()[-1].strip() == reason


def test_spans_without_their_parent_stand_at_the_root() -> None:
    drawn = render_trace(trace(raw_span(2, parent=1), raw_span(3, parent=2), warnings=["cut"]))
    lines = drawn.plain.splitlines()
    assert lines[1:3] == ["! cut", "! 1 span has a parent that is not here"]
    assert lines[4].startswith("└─ game work")


@pytest.mark.parametrize(
    "spans",
    [
        [raw_span(1, parent=1)],
        [raw_span(1, parent=2), raw_span(2, parent=1, start=5)],
        [raw_span(1), raw_span(2, parent=3, start=1), raw_span(3, parent=2, start=2)],
        [raw_span(1), raw_span(1)],
    ],
)
def test_a_trace_that_goes_in_circles_is_drawn_once(spans: list[dict[str, Any]]) -> None:
    drawn = render_trace(trace(*spans)).plain
    assert drawn.count("game work") == len({span["spanID"] for span in spans})


def test_a_deep_trace_is_drawn() -> None:
    deep = trace(raw_span(1), *(raw_span(number, parent=number - 1) for number in range(2, 3_000)))
    assert len(render_trace(deep, width=100).plain.splitlines()) == 3_000


@pytest.mark.parametrize(
    ("spans", "settled"),
    [
        ([], False),
        ([raw_span(1)], True),
        ([raw_span(1), raw_span(2, parent=1)], True),
        ([raw_span(2, parent=1)], False),
        ([raw_span(1), raw_span(2)], False),
    ],
)
def test_a_trace_is_settled_when_it_hangs_together(
    spans: list[dict[str, Any]], *, settled: bool
) -> None:
    assert is_settled(trace(*spans)) is settled


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1.00 ms"),
        (1_234_567, "1.23 s"),
        (61_000_000, "1 min 1 s"),
    ],
)
def test_a_duration_is_written_in_a_fitting_unit(duration_us: int, text: str) -> None:
    assert format_duration(duration_us) == text
