from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.time = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, span: timedelta) -> None:
        self.time += span
