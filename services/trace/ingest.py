"""The bounded queue between the receivers and the file, and the thread that empties it."""

import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.kit.clock import EPOCH, Clock, to_micros
from services.trace.domain import ReceivedSpan
from services.trace.metrics import Metrics
from services.trace.store import TraceStore

_BATCH_SPANS_MAX = 4_000
_QUEUE_BYTES_MAX = 64 * 1024 * 1024
_PRUNE_INTERVAL = timedelta(seconds=5)
_PRUNE_NAMES_INTERVAL = timedelta(minutes=10)
# Rounds of deletion between two looks at the queue. A round deletes up to 1000 spans, so that
# this deletes faster than one batch can add.
_PRUNE_ROUNDS_MAX = 8

_log = structlog.get_logger()


class Ingest:
    """Takes spans without ever waiting for the file; what does not fit is refused at once.

    Batches form by themselves: while one is written, the next one gathers.
    """

    def __init__(
        self, store: TraceStore, *, clock: Clock, metrics: Metrics, queue_spans_max: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._queue_spans_max = queue_spans_max
        self._changed = threading.Condition()
        self._queue: deque[Sequence[ReceivedSpan]] = deque()
        self._queued_spans = 0
        self._queued_bytes = 0
        self._is_closing = False
        self._has_failed = False
        self._next_pruning = EPOCH
        self._next_name_pruning = EPOCH
        self._thread = threading.Thread(target=self._run, name="trace-writer", daemon=True)

    def start(self) -> None:
        """Starts the writing thread."""
        self._thread.start()

    @property
    def is_healthy(self) -> bool:
        """Tells whether the last batch could be written."""
        return self._thread.is_alive() and not self._has_failed

    @property
    def is_full(self) -> bool:
        """Tells whether nothing more fits, so that a request need not be decoded."""
        return self._room() <= 0

    def offer(self, spans: Sequence[ReceivedSpan]) -> int:
        """Queues as many of the spans as there is room for, and returns how many."""
        with self._changed:
            accepted = spans[: max(0, self._room())]
            if accepted:
                self._queue.append(accepted)
                self._queued_spans += len(accepted)
                self._queued_bytes += sum(len(span.raw) for span in accepted)
                self._changed.notify()
        return len(accepted)

    def close(self, timeout_s: float) -> bool:
        """Writes what is queued, within `timeout_s`, and tells whether all of it was."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _room(self) -> int:
        if self._is_closing or self._queued_bytes >= _QUEUE_BYTES_MAX:
            return 0
        return self._queue_spans_max - self._queued_spans

    def _run(self) -> None:
        is_pruned = False
        try:
            while True:
                batch, is_closing = self._take(wait=is_pruned)
                if batch:
                    self._write(batch)
                elif is_closing:
                    return
                if not is_closing:
                    is_pruned = self._prune()
        finally:
            self._store.close()

    def _take(self, *, wait: bool) -> tuple[list[ReceivedSpan], bool]:
        """Takes the next batch; waits for one, but not past the time for the next deletion."""
        with self._changed:
            if wait and not self._queue and not self._is_closing:
                self._changed.wait(_PRUNE_INTERVAL.total_seconds())
            batch: list[ReceivedSpan] = []
            while self._queue and len(batch) < _BATCH_SPANS_MAX:
                batch.extend(self._queue.popleft())
            self._queued_spans -= len(batch)
            self._queued_bytes -= sum(len(span.raw) for span in batch)
            self._metrics.queued.set(self._queued_spans)
            return batch, self._is_closing

    def _write(self, batch: list[ReceivedSpan]) -> None:
        try:
            self._store.insert(batch, to_micros(self._clock.now()))
        except Exception:  # noqa: BLE001 (this thread may not end while the process lives)
            # A full disk, a locked file, a row that SQLite refuses: say so, drop the batch, and go
            # on with the next.
            self._has_failed = True
            self._metrics.dropped.labels("store_failed").inc(len(batch))
            _log.exception("batch failed", spans=len(batch))
        else:
            self._has_failed = False
            self._metrics.stored.inc(len(batch))

    def _prune(self) -> bool:
        """Deletes for a while if it is time to; tells whether nothing is left to delete."""
        try:
            now = self._clock.now()
            if now < self._next_pruning and not self._store.is_oversize:
                return True
            if now >= self._next_name_pruning:
                self._next_name_pruning = now + _PRUNE_NAMES_INTERVAL
                self._store.prune_names(to_micros(now))
            is_finished = False
            for _ in range(_PRUNE_ROUNDS_MAX):
                pruned = self._store.prune(to_micros(now))
                self._metrics.pruned.inc(pruned.span_count)
                is_finished = pruned.is_finished
                if is_finished:
                    self._next_pruning = now + _PRUNE_INTERVAL
                    break
            self._metrics.store_bytes.set(self._store.used_bytes)
        except sqlite3.Error:
            _log.exception("pruning failed")
            return True
        return is_finished
