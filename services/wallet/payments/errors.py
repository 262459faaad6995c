"""What can go wrong with a payment."""

import grpc
from croupier.wallet.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class PaymentNotFoundError(ServiceError):
    """The calling player has no such payment."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PAYMENT_NOT_FOUND)

    def __init__(self, payment_id: str) -> None:
        """Names it."""
        super().__init__(f"no payment {payment_id}", payment_id=payment_id)


class RequestIdReusedError(ServiceError):
    """The request id was used with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)

    def __init__(self, request_id: str) -> None:
        """Names it."""
        super().__init__(
            f"request id {request_id} was used with other content", request_id=request_id
        )


class PspUnknownError(ServiceError):
    """No such payment provider is configured."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PSP_UNKNOWN)

    def __init__(self, psp: str) -> None:
        """Names it."""
        super().__init__(f"no payment provider {psp}", psp=psp)


class WebhookRefusedError(ServiceError):
    """The signature of a webhook does not fit its bytes, or is too old."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_WEBHOOK_REFUSED)

    def __init__(self, psp: str) -> None:
        """Says no more than that: the rest would help a forger."""
        super().__init__("the webhook's signature is not valid", psp=psp)


class WebhookMalformedError(ServiceError):
    """A genuine webhook that is not what the PSP documents."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_WEBHOOK_MALFORMED)

    def __init__(self, psp: str) -> None:
        """Names the PSP; what it sent is not repeated."""
        super().__init__("the webhook is not what the PSP documents", psp=psp)


class WebhookMismatchError(ServiceError):
    """A genuine report that fits no payment, or not its amount."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_WEBHOOK_MISMATCH)

    def __init__(self, payment_id: str) -> None:
        """Names what the report claims to be about."""
        super().__init__(f"the report does not fit payment {payment_id}", payment_id=payment_id)
