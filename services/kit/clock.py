"""The only place that reads the time."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time. Passed in, so that a test can set it."""

    def now(self) -> datetime:
        """Returns the present as an aware UTC datetime."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Returns the machine's present time, UTC."""
        return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Counts the microseconds from the Unix epoch to `moment`, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Returns the aware UTC datetime that is `micros` microseconds after the Unix epoch."""
    return EPOCH + timedelta(microseconds=micros)
