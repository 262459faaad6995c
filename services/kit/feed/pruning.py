"""Forgets the events of an outbox that nobody needs any more."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog
from prometheus_client import Counter, Gauge

from services.kit.background import repeat_in_background
from services.kit.feed.outbox import PRUNED_MAX, Outbox
from services.kit.feed.settings import FeedSettings

# Between two transactions, so that a long log does not keep others from writing.
_PAUSE_S = 0.05
# In one look; what is left waits for the next.
_BATCHES_MAX = 100

_log = structlog.get_logger()
_PRUNED = Counter("outbox_pruned_events", "Events that were deleted behind all consumers.")
_ACKNOWLEDGED = Gauge(
    "outbox_acknowledged_seq", "The last event that a consumer no longer needs.", ["consumer"]
)
_FAILED = Gauge("outbox_pruning_failed", "1 if the last attempt to prune failed.")


class Pruner:
    """Prunes one outbox; several processes may do it at once."""

    def __init__(self, outbox: Outbox, *, consumers: Collection[str], keep: timedelta) -> None:
        """Prepares to prune; `look` does it.

        Args:
            outbox: What to prune.
            consumers: Who must have handled an event before it goes.
            keep: How old an event must be at least.
        """
        self._outbox = outbox
        self._consumers = frozenset(consumers)
        self._keep = keep
        self._missing: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Deletes events that may go, a bounded number. What fails may be tried again."""
        try:
            await self._report()
            for _ in range(_BATCHES_MAX):
                deleted = await self._outbox.prune(consumers=self._consumers, keep=self._keep)
                _PRUNED.inc(deleted)
                if deleted < PRUNED_MAX:
                    break
                await asyncio.sleep(_PAUSE_S)
        except Exception:
            _FAILED.set(1)
            raise
        _FAILED.set(0)

    async def _report(self) -> None:
        acknowledged = await self._outbox.consumers()
        for consumer, seq in acknowledged.items():
            _ACKNOWLEDGED.labels(consumer).set(seq)
        missing = self._consumers - acknowledged.keys()
        if missing and missing != self._missing:
            _log.warning("feed waits for consumers that never came", consumers=sorted(missing))
        self._missing = missing


def prune_in_background(outbox: Outbox, settings: FeedSettings, stack: AsyncExitStack) -> None:
    """Starts to prune if the settings say who needs the events; the stack ends it."""
    if settings.feed_consumers is None:
        return
    pruner = Pruner(outbox, consumers=settings.feed_consumers, keep=settings.feed_keep)
    repeat_in_background({"prune feed": pruner.look}, stack, every=settings.feed_prune_every)
