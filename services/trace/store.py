"""Everything that writes to the SQLite file: batches of spans, and their deletion.

Used by one thread, which owns the one connection that writes. Plain `sqlite3` instead of the
kit's database: traces are disposable, so a commit need not reach the disk, and this file alone
must take spans from the whole mesh at little cost.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypedDict

from services.kit.clock import MICROSECOND
from services.trace.domain import (
    OPERATION_NAME_LENGTH_MAX,
    Origin,
    ReceivedSpan,
    RetentionPolicy,
)
from services.trace.tables import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, TABLES

_BUSY_TIMEOUT_S = 5
_PRUNE_TRACES = 50
_PRUNE_SPANS = 1_000
# Below the limit there is room again, so that not each batch has to delete.
_SIZE_AFTER_PRUNE = 0.9
# Notable traces give way to ordinary ones when they fill more than this share.
_NOTABLE_SHARE = 0.5
_FREE_PAGES_SHARE = 4
_VACUUM_PAGES = 500
_NAME_ROWS_MAX = 20_000
_NAME_REFRESH_US = timedelta(hours=1) // MICROSECOND

_INSERT_SPAN = """
INSERT OR IGNORE INTO spans (
    trace_id, span_id, service_id, parent_span_id, origin_id, operation_id, kind, start_us,
    duration_us, is_error, transaction_id, raw
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_UPSERT_TRACE = """
INSERT INTO traces (trace_id, start_us, end_us, last_seen_us, byte_count, has_error, is_notable)
VALUES (:trace_id, :start_us, :end_us, :now_us, :byte_count, :has_error,
    :has_error OR :end_us - :start_us >= :slow_us)
ON CONFLICT (trace_id) DO UPDATE SET
    start_us = min(start_us, excluded.start_us),
    end_us = max(end_us, excluded.end_us),
    last_seen_us = excluded.last_seen_us,
    byte_count = byte_count + excluded.byte_count,
    has_error = max(has_error, excluded.has_error),
    is_notable = max(is_notable, excluded.is_notable,
        max(end_us, excluded.end_us) - min(start_us, excluded.start_us) >= :slow_us)
"""

_DELETE_RARE_NAMES = {
    "operations": """
        DELETE FROM operations WHERE last_used_us < ? OR operation_id IN (
            SELECT operation_id FROM operations ORDER BY last_used_us DESC LIMIT -1 OFFSET ?)""",
    "origins": """
        DELETE FROM origins WHERE last_used_us < ? OR origin_id IN (
            SELECT origin_id FROM origins ORDER BY last_used_us DESC LIMIT -1 OFFSET ?)""",
    "services": """
        DELETE FROM services WHERE last_used_us < ? OR service_id IN (
            SELECT service_id FROM services ORDER BY last_used_us DESC LIMIT -1 OFFSET ?)""",
}


class ForeignFileError(Exception):
    """The file is a database that this service did not make."""


class Pruned(NamedTuple):
    """What one round of deletion did."""

    span_count: int
    is_finished: bool


class _TraceChange(TypedDict):
    """What a batch adds to one trace: the parameters of `_UPSERT_TRACE`."""

    trace_id: bytes
    start_us: int
    end_us: int
    now_us: int
    byte_count: int
    has_error: bool
    slow_us: int


class _Names:
    """Numbers for values that many spans share, so that a span row carries a small integer.

    The table remembers, to the hour, when a value was last used: what is older than every span
    can then be deleted without looking at the spans.
    """

    def __init__(self, connection: sqlite3.Connection, *, upsert: str, select: str) -> None:
        self._connection = connection
        self._upsert = upsert
        self._select = select
        self._known: dict[tuple[object, ...], tuple[int, int]] = {}

    def number(self, key: tuple[object, ...], now_us: int) -> int:
        known = self._known.get(key)
        if known is not None and now_us - known[1] < _NAME_REFRESH_US:
            return known[0]
        self._connection.execute(self._upsert, (*key, now_us))
        (number,) = self._connection.execute(self._select, key).fetchone()
        if len(self._known) >= _NAME_ROWS_MAX:
            self._known.clear()
        self._known[key] = (number, now_us)
        return int(number)

    def forget(self) -> None:
        self._known.clear()


class TraceStore:
    """The writing side of the file."""

    def __init__(self, path: Path, retention: RetentionPolicy) -> None:
        """Opens the file, and makes it if need be.

        Raises:
            ForeignFileError: There is another program's database, or no database at all.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._retention = retention
        self._slow_us = retention.slow // MICROSECOND
        self._is_making_room = False
        # Opened by the thread that starts the process, used by the one that writes.
        self._connection = sqlite3.connect(
            path, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
        )
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ForeignFileError(f"{path} cannot be used as a trace store: {error}") from error
        except ForeignFileError:
            self._connection.close()
            raise
        self._page_bytes = self._pragma("page_size")
        self._services = _Names(
            self._connection,
            upsert="""INSERT INTO services (name, last_used_us) VALUES (?, ?)
                ON CONFLICT (name) DO UPDATE SET last_used_us = excluded.last_used_us""",
            select="SELECT service_id FROM services WHERE name = ?",
        )
        self._operations = _Names(
            self._connection,
            upsert="""INSERT INTO operations (service_id, name, kind, last_used_us)
                VALUES (?, ?, ?, ?) ON CONFLICT (service_id, name, kind)
                DO UPDATE SET last_used_us = excluded.last_used_us""",
            select="""SELECT operation_id FROM operations
                WHERE service_id = ? AND name = ? AND kind = ?""",
        )
        self._origins = _Names(
            self._connection,
            upsert="""INSERT INTO origins (service_id, resource, scope, last_used_us)
                VALUES (?, ?, ?, ?) ON CONFLICT (resource, scope)
                DO UPDATE SET last_used_us = excluded.last_used_us""",
            select="""SELECT origin_id FROM origins
                WHERE service_id = ? AND resource = ? AND scope = ?""",
        )

    def insert(self, spans: Sequence[ReceivedSpan], now_us: int) -> None:
        """Stores a batch in one transaction. A span that is there already is left as it is."""
        rows = []
        traces: dict[bytes, _TraceChange] = {}
        numbers: dict[Origin, tuple[int, int]] = {}
        with self._transaction():
            for span in spans:
                pair = numbers.get(span.origin)
                if pair is None:
                    pair = numbers[span.origin] = self._number(span.origin, now_us)
                service_id, origin_id = pair
                name = span.name[:OPERATION_NAME_LENGTH_MAX]
                rows.append(
                    (
                        span.trace_id,
                        span.span_id,
                        service_id,
                        span.parent_span_id,
                        origin_id,
                        self._operations.number((service_id, name, span.kind), now_us),
                        span.kind,
                        span.start_us,
                        span.duration_us,
                        span.is_error,
                        span.transaction_id,
                        span.raw,
                    )
                )
                self._add_to_trace(traces, span, now_us)
            self._connection.executemany(_INSERT_SPAN, rows)
            self._connection.executemany(_UPSERT_TRACE, traces.values())

    def prune(self, now_us: int) -> Pruned:
        """Deletes one small batch of what retention no longer covers.

        Small, because spans wait meanwhile: call it again while the answer is not finished.
        """
        expired = self._find_expired(now_us) or self._find_oversize()
        if expired:
            return Pruned(self._delete(expired), is_finished=False)
        self._shrink()
        return Pruned(0, is_finished=True)

    def prune_names(self, now_us: int) -> None:
        """Deletes names that no span can have any more, and the least used above a limit."""
        outlived_us = now_us - self._retention.notable // MICROSECOND - 2 * _NAME_REFRESH_US
        deleted = 0
        with self._transaction():
            for statement in _DELETE_RARE_NAMES.values():
                deleted += self._connection.execute(
                    statement, (outlived_us, _NAME_ROWS_MAX)
                ).rowcount
        if deleted:
            self._forget_names()

    @property
    def used_bytes(self) -> int:
        """What the file holds, without pages that are free for new rows."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_bytes

    @property
    def is_oversize(self) -> bool:
        """Tells whether the file has passed its limit."""
        return self.used_bytes > self._retention.bytes_max

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _prepare(self, path: Path) -> None:
        application_id = self._pragma("application_id")
        is_empty = self._pragma("page_count") == 0
        if not is_empty and application_id != APPLICATION_ID:
            raise ForeignFileError(f"{path} is a database that is not a trace store")
        for pragma in (
            # Only works before the first table; lets the file become smaller again.
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            # A power cut may lose the last second of traces, never the file.
            "synchronous=NORMAL",
            f"application_id={APPLICATION_ID}",
            # Index pages change again and again; copying them back less often saves writes.
            "wal_autocheckpoint=4000",
            "journal_size_limit=16777216",
            "cache_size=-8192",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        if self._pragma("user_version") == SCHEMA_VERSION:
            return
        for table in TABLES:
            self._connection.execute(f"DROP TABLE IF EXISTS {table}")
        self._connection.executescript(SCHEMA)
        self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _number(self, origin: Origin, now_us: int) -> tuple[int, int]:
        service_id = self._services.number((origin.service,), now_us)
        key = (service_id, origin.resource, origin.scope)
        return service_id, self._origins.number(key, now_us)

    def _add_to_trace(
        self, traces: dict[bytes, _TraceChange], span: ReceivedSpan, now_us: int
    ) -> None:
        end_us = span.start_us + span.duration_us
        trace = traces.get(span.trace_id)
        if trace is None:
            traces[span.trace_id] = {
                "trace_id": span.trace_id,
                "start_us": span.start_us,
                "end_us": end_us,
                "now_us": now_us,
                "byte_count": len(span.raw),
                "has_error": span.is_error,
                "slow_us": self._slow_us,
            }
            return
        trace["start_us"] = min(trace["start_us"], span.start_us)
        trace["end_us"] = max(trace["end_us"], end_us)
        trace["byte_count"] += len(span.raw)
        trace["has_error"] = trace["has_error"] or span.is_error

    def _find_expired(self, now_us: int) -> list[bytes]:
        for is_notable, age in ((0, self._retention.ordinary), (1, self._retention.notable)):
            found = self._connection.execute(
                """SELECT trace_id FROM traces WHERE is_notable = ? AND last_seen_us < ?
                ORDER BY last_seen_us LIMIT ?""",
                (is_notable, now_us - age // MICROSECOND, _PRUNE_TRACES),
            ).fetchall()
            if found:
                return [trace_id for (trace_id,) in found]
        return []

    def _find_oversize(self) -> list[bytes]:
        used = self.used_bytes
        aim = self._retention.bytes_max
        if self._is_making_room:
            aim = int(aim * _SIZE_AFTER_PRUNE)
        self._is_making_room = used > aim
        if not self._is_making_room:
            return []
        sizes = dict(
            self._connection.execute(
                "SELECT is_notable, sum(byte_count) FROM traces GROUP BY is_notable"
            ).fetchall()
        )
        takes_notable = sizes.get(1, 0) > sum(sizes.values()) * _NOTABLE_SHARE
        found = self._connection.execute(
            """SELECT trace_id, byte_count FROM traces WHERE is_notable = ?
            ORDER BY last_seen_us LIMIT ?""",
            (takes_notable, _PRUNE_TRACES),
        ).fetchall()
        # Not more than is needed: a few heavy traces may be all there is.
        excess = used - int(self._retention.bytes_max * _SIZE_AFTER_PRUNE)
        before = accumulate((byte_count for _, byte_count in found), initial=0)
        return [
            trace_id for (trace_id, _), gone in zip(found, before, strict=False) if gone < excess
        ]

    def _delete(self, trace_ids: list[bytes]) -> int:
        """Deletes traces, oldest first, until a batch is full; a very long trace takes several."""
        deleted = 0
        with self._transaction():
            for trace_id in trace_ids:
                room = _PRUNE_SPANS - deleted
                deleted += self._connection.execute(
                    """DELETE FROM spans WHERE span_key IN (
                        SELECT span_key FROM spans WHERE trace_id = ? LIMIT ?)""",
                    (trace_id, room),
                ).rowcount
                if deleted >= _PRUNE_SPANS:
                    break
                self._connection.execute("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
        return deleted

    def _shrink(self) -> None:
        """Gives some free pages back, if much of the file is free."""
        if self._pragma("freelist_count") * _FREE_PAGES_SHARE > self._pragma("page_count"):
            self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()

    def _forget_names(self) -> None:
        for names in (self._services, self._operations, self._origins):
            names.forget()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            # Numbers that the transaction gave out are gone with it.
            self._forget_names()
            raise

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
