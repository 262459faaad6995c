"""Why Analytics refuses, one class a reason."""

import grpc
from croupier.analytics.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class IntervalInvalidError(ServiceError):
    """The interval is empty, or its answer would be too large."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_INTERVAL_INVALID)

    def __init__(self, *, buckets: int, buckets_max: int) -> None:
        """Says how many buckets there would be; 0 for an empty interval."""
        super().__init__(
            f"the interval has {buckets} buckets, where 1 to {buckets_max} are possible",
            buckets=buckets,
            buckets_max=buckets_max,
        )
