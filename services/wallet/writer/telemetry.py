"""What a batch tells whoever traces some of its operations."""

from collections.abc import Callable
from typing import Any, NamedTuple

from services.wallet.store import StatementTiming


class BatchReport(NamedTuple):
    """A batch that ran, told only if some operation of it is traced.

    Attributes:
        traces: What each traced operation carried as its `trace`.
        timings: The batch's statements, in order; all traced operations share them.
        operations: How many operations the batch held.
    """

    traces: tuple[Any, ...]
    timings: tuple[StatementTiming, ...]
    operations: int


OnBatch = Callable[[BatchReport], None]
