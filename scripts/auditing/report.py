"""What the ledger's commands print while they work."""

import time
from collections.abc import AsyncIterator

from rich.console import Console

from scripts.auditing.options import told_anchor
from services.wallet.domain.history import Finding
from services.wallet.store.copying import Copied
from services.wallet.verify import Progress

_PROGRESS_EVERY_S = 1.0
_SHOWN_MAX = 100


class Report:
    """Prints events as they come, and counts what is wrong."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.findings = 0
        self.corrected: int | None = None
        self.last: Progress | None = None
        self._began = self._shown = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    async def follow(self, events: AsyncIterator[Progress | Finding | int]) -> None:
        """Prints all events."""
        async for event in events:
            if isinstance(event, int):
                self.corrected = event
            else:
                self.tell(event)

    def tell(self, event: Progress | Finding | Copied) -> None:
        """Prints an event, or what of it is worth it."""
        if isinstance(event, Finding):
            self.findings += 1
            if self.findings <= _SHOWN_MAX:
                self.console.print(f"[red]{event.check}[/]: {event.place}: {event.message}")
        elif isinstance(event, Progress):
            self.last = event
            self._progress(event.transfers, event.of, "transfers")
        else:
            self._progress(event.done, event.of, event.unit)

    def end(self) -> None:
        """Prints what an audit came to."""
        if self.findings > _SHOWN_MAX:
            self.console.print(f"… and {self.findings - _SHOWN_MAX} more")
        if self.last is not None:
            head = told_anchor(self.last.head)
            told = f"{self.last.transfers} transfers in {self.seconds:.1f} s; head {head}"
            self.console.print(told)

    def _progress(self, done: int, of: int, unit: str) -> None:
        if time.monotonic() - self._shown > _PROGRESS_EVERY_S:
            self._shown = time.monotonic()
            self.console.print(f"{done} of {of} {unit}")
