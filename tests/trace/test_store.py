import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.trace.domain import RetentionPolicy
from services.trace.otlp import decode
from services.trace.store import ForeignFileError, TraceStore
from tests.trace.sending import START_US, request, span

DAY = timedelta(days=1)
HOUR_US = 3_600_000_000
RETENTION = RetentionPolicy(
    ordinary=DAY, notable=7 * DAY, slow=timedelta(seconds=1), bytes_max=1024 * 1024
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[TraceStore]:
    opened = TraceStore(path, RETENTION)
    yield opened
    opened.close()


def insert(store: TraceStore, *spans: Span, at_us: int = START_US) -> None:
    store.insert(decode(request(game=list(spans))).spans, at_us)


def prune_all(store: TraceStore, now_us: int) -> int:
    deleted = 0
    for _ in range(1_000):
        pruned = store.prune(now_us)
        deleted += pruned.span_count
        if pruned.is_finished:
            return deleted
    raise AssertionError("pruning does not end")


def trace_numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT DISTINCT trace_id FROM spans ORDER BY trace_id").fetchall()
    connection.close()
    return [int.from_bytes(trace_id, "big") for (trace_id,) in rows]


def heavy(trace: int, *, failed: bool = False) -> Span:
    """A span of about 20 kB."""
    return span(trace=trace, attributes={"payload": "x" * 20_000}, failed=failed)


def test_errors_and_slow_traces_outlive_the_others(store: TraceStore, path: Path) -> None:
    insert(
        store,
        span(trace=1),
        span(trace=2, failed=True),
        span(trace=3, duration_us=1_000_000),
        span(trace=4, attributes={"error": True}),
        span(trace=5, attributes={"error": "false"}),
    )
    assert prune_all(store, START_US + 24 * HOUR_US) == 0
    assert prune_all(store, START_US + 25 * HOUR_US) == 2
    assert trace_numbers(path) == [2, 3, 4]
    assert prune_all(store, START_US + 8 * 24 * HOUR_US) == 3
    assert trace_numbers(path) == []


def test_a_trace_becomes_notable_by_a_later_span(store: TraceStore, path: Path) -> None:
    insert(store, span(trace=1, span_id=1), span(trace=2, span_id=1))
    insert(store, span(trace=1, span_id=2, failed=True))
    insert(store, span(trace=2, span_id=2, start_us=1_500_000))
    assert prune_all(store, START_US + 25 * HOUR_US) == 0
    assert trace_numbers(path) == [1, 2]


def test_age_counts_from_when_spans_came_not_from_what_they_say(
    store: TraceStore, path: Path
) -> None:
    insert(store, span(start_us=-300 * 24 * HOUR_US))
    assert prune_all(store, START_US + HOUR_US) == 0
    assert trace_numbers(path) == [1]


def test_by_size_the_oldest_ordinary_traces_go_first(store: TraceStore, path: Path) -> None:
    insert(store, heavy(1, failed=True), at_us=START_US)
    for number in range(2, 102):
        insert(store, heavy(number), at_us=START_US + number)
    assert store.is_oversize
    prune_all(store, START_US + 200)
    assert not store.is_oversize
    left = trace_numbers(path)
    assert left[0] == 1
    assert left[-1] == 101
    assert left[1:] == list(range(left[1], 102))
    assert left[1] > 2


def test_by_size_errors_go_first_once_they_fill_half(store: TraceStore, path: Path) -> None:
    for number in range(1, 101):
        insert(store, heavy(number, failed=True), at_us=START_US + number)
    for number in range(101, 106):
        insert(store, heavy(number), at_us=START_US + number)
    prune_all(store, START_US + 200)
    assert not store.is_oversize
    left = trace_numbers(path)
    assert left[-5:] == [101, 102, 103, 104, 105]
    assert 1 not in left


def test_the_file_stays_near_its_limit_under_constant_load(store: TraceStore, path: Path) -> None:
    for number in range(1, 401):
        insert(store, heavy(number), at_us=START_US + number)
        if store.is_oversize:
            prune_all(store, START_US + number)
    assert path.stat().st_size < 1.5 * RETENTION.bytes_max
    assert 400 in trace_numbers(path)


def test_a_long_trace_is_deleted_in_small_batches(store: TraceStore, path: Path) -> None:
    insert(store, *(span(span_id=number) for number in range(1, 2_502)))
    now_us = START_US + 25 * HOUR_US
    assert [store.prune(now_us) for _ in range(4)] == [
        (1_000, False),
        (1_000, False),
        (501, False),
        (0, True),
    ]
    assert trace_numbers(path) == []


def test_names_that_no_span_can_have_any_more_are_forgotten(store: TraceStore, path: Path) -> None:
    store.insert(decode(request(old=[span(trace=1)])).spans, START_US)
    later = START_US + 9 * 24 * HOUR_US
    store.insert(decode(request(new=[span(trace=2)])).spans, later)
    prune_all(store, later)
    store.prune_names(later)
    connection = sqlite3.connect(path)
    for table in ("services", "operations", "origins"):
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (ours)
        assert count == 1
    connection.close()


def test_names_are_numbered_anew_after_they_were_forgotten(store: TraceStore, path: Path) -> None:
    insert(store, span(trace=1))
    later = START_US + 9 * 24 * HOUR_US
    store.prune_names(later)
    insert(store, span(trace=2), at_us=later)
    connection = sqlite3.connect(path)
    names = connection.execute(
        """SELECT services.name FROM spans LEFT JOIN services USING (service_id)
        ORDER BY spans.trace_id"""
    ).fetchall()
    connection.close()
    assert names == [(None,), ("game",)]


def test_another_programs_database_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE wallets (wallet_id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ForeignFileError, match="not a trace store"):
        TraceStore(path, RETENTION)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"a letter to a friend" * 500)
    with pytest.raises(ForeignFileError, match="cannot be used"):
        TraceStore(path, RETENTION)
    assert path.read_bytes().startswith(b"a letter")


def test_an_older_layout_is_replaced(path: Path) -> None:
    store = TraceStore(path, RETENTION)
    insert(store, span())
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=0")
    connection.close()
    TraceStore(path, RETENTION).close()
    assert trace_numbers(path) == []


def test_spans_survive_a_restart(path: Path) -> None:
    store = TraceStore(path, RETENTION)
    insert(store, span(trace=7))
    store.close()
    TraceStore(path, RETENTION).close()
    assert trace_numbers(path) == [7]
