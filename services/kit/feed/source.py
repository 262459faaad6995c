"""What a log must offer so that `FeedServicer` can serve it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

from croupier.event.v1.event_pb2 import Event


@dataclass(frozen=True, slots=True)
class Head:
    """What a log has at this moment."""

    incarnation: str
    """Changes when the log is restored from a backup."""
    first_seq: int
    """The oldest event that was not pruned; `last_seq + 1` if there is none."""
    last_seq: int
    """The newest event; 0 before the first."""


class EventSource(Protocol):
    """An ordered log: 1, 2, 3, … without a gap, in the order in which they were committed.

    An event that can be read stays where it is: nothing is ever committed before it.
    """

    async def head(self) -> Head:
        """Returns what the log has."""

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        """Returns the events that follow `after_seq` in order, at most `limit`; none at the end."""

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        """Waits until the log has event `seq`, and tells whether it came in time."""


@runtime_checkable
class PrunedSource(EventSource, Protocol):
    """A log that forgets events once everybody who follows it has handled them."""

    async def acknowledge(self, consumer: str, *, seq: int) -> None:
        """Notes that a consumer has stored `seq` as its cursor and needs nothing up to it.

        Raises:
            SeqNotAvailableError: An event after `seq` was pruned already.
        """
