"""Why a feed cannot be followed."""

import grpc
from croupier.event.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class IncarnationChangedError(ServiceError):
    """The log was restored from a backup; what a follower derived may not have happened."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_INCARNATION_CHANGED)

    def __init__(self, *, incarnation: str) -> None:
        """Names the incarnation that the log has now."""
        super().__init__(f"the log is now incarnation {incarnation}", incarnation=incarnation)


class SeqNotAvailableError(ServiceError):
    """The log does not have the events after a cursor, or ends before it."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_SEQ_NOT_AVAILABLE)

    def __init__(self, *, first_seq: int, last_seq: int) -> None:
        """Says what the log has."""
        super().__init__(
            f"the log has the events {first_seq} to {last_seq}",
            first_seq=first_seq,
            last_seq=last_seq,
        )


class CursorMovedError(Exception):
    """Another follower moved the same cursor; the transaction must not commit."""


class SeqGapError(Exception):
    """The feed left events out, or repeated some: it must not be followed further."""


class FeedStoppedError(Exception):
    """A follower has stopped or makes no progress, and a human must look at it."""
