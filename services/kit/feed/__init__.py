"""How services follow each other: an ordered log of events, without a broker.

A service appends events to its `Outbox` in the transaction that makes them true. `FeedServicer`
serves the log. A `Follower` in another service moves its cursor in the same transaction as what it
derives from the events, so that each event has its effect exactly once, whatever crashes.
"""

from services.kit.feed.errors import (
    CursorMovedError,
    FeedStoppedError,
    IncarnationChangedError,
    SeqGapError,
    SeqNotAvailableError,
)
from services.kit.feed.follower import FEED_SERVICE, Follower, Handle, Position
from services.kit.feed.outbox import PRUNED_MAX, Outbox
from services.kit.feed.pruning import prune_in_background
from services.kit.feed.servicer import PAGE_EVENTS_MAX, FeedServicer
from services.kit.feed.settings import FeedSettings
from services.kit.feed.source import EventSource, Head, PrunedSource
from services.kit.feed.tables import (
    create_cursors,
    create_outbox,
    create_outbox_consumers,
    cursor_table,
    outbox_tables,
)

__all__ = [
    "FEED_SERVICE",
    "PAGE_EVENTS_MAX",
    "PRUNED_MAX",
    "CursorMovedError",
    "EventSource",
    "FeedServicer",
    "FeedSettings",
    "FeedStoppedError",
    "Follower",
    "Handle",
    "Head",
    "IncarnationChangedError",
    "Outbox",
    "Position",
    "PrunedSource",
    "SeqGapError",
    "SeqNotAvailableError",
    "create_cursors",
    "create_outbox",
    "create_outbox_consumers",
    "cursor_table",
    "outbox_tables",
    "prune_in_background",
]
