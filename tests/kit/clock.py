from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.time = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
        self.passed = timedelta(0)

    def now(self) -> datetime:
        return self.time

    def elapsed(self) -> timedelta:
        return self.passed

    def advance(self, span: timedelta) -> None:
        """Lets time pass; a negative span sets the clock back."""
        self.leap(span)
        self.passed += max(span, timedelta(0))

    def leap(self, span: timedelta) -> None:
        """Sets the clock, though no time passes."""
        self.time += span
