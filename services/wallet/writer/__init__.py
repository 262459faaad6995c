"""One writer a shard decides every operation in order, one commit a batch pays the disk."""

from services.wallet.writer.admission import WriterOptions
from services.wallet.writer.notifier import Notifier, TooManyWatchesError
from services.wallet.writer.telemetry import BatchReport, OnBatch
from services.wallet.writer.writer import Writer, WriterState

__all__ = [
    "BatchReport",
    "Notifier",
    "OnBatch",
    "TooManyWatchesError",
    "Writer",
    "WriterOptions",
    "WriterState",
]
