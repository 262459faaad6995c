"""The only place that reads the time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time. Passed in, so that a test can set it."""

    def now(self) -> datetime:
        """Returns the present as an aware UTC datetime."""


class SteadyClock(Clock, Protocol):
    """A clock that can be checked: whoever sets it does not change how much time has passed."""

    def elapsed(self) -> timedelta:
        """Returns how much time has passed since a moment that stays the same. Never goes back."""


# Counts on while the machine sleeps, which `time.monotonic` does not everywhere.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Returns the machine's present time, UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> timedelta:
        """Returns the time since the machine was started, or since some other fixed moment."""
        return timedelta(microseconds=time.clock_gettime_ns(_STEADY) // 1_000)


def to_micros(moment: datetime) -> int:
    """Counts the microseconds from the Unix epoch to `moment`, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Returns the aware UTC datetime that is `micros` microseconds after the Unix epoch."""
    return EPOCH + timedelta(microseconds=micros)


def to_timestamp(moment: datetime) -> Timestamp:
    """Renders a moment for a message, exactly."""
    timestamp = Timestamp()
    timestamp.FromMicroseconds(to_micros(moment))
    return timestamp


def from_timestamp(timestamp: Timestamp) -> datetime:
    """Reads a moment from a message. What is finer than a microsecond is cut off, not rounded.

    Raises:
        OverflowError: The calendar does not reach so far.
    """
    # By integers: a Timestamp has nanoseconds, a datetime does not.
    return from_micros(timestamp.ToMicroseconds())
