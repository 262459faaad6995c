"""Errors that a caller may see, and the one place that turns them into a gRPC status.

A use case raises a `ServiceError`; nobody else decides on codes. Anything that is not one leaves
as INTERNAL without detail, since an exception's text may hold a secret.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import grpc
from croupier.type.v1.error_reason_pb2 import ErrorReason
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "croupier"
DETAILS_KEY = "grpc-status-details-bin"


class ServiceError(Exception):
    """An error with a code, a reason and metadata, as the caller will see it.

    Subclasses set `code` and `reason`, and pass every value of their message as metadata too.
    """

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    reason: str = ErrorReason.Name(ErrorReason.ERROR_REASON_INTERNAL)

    def __init__(
        self,
        message: str,
        *,
        details: Sequence[Message] = (),
        retry_after: timedelta | None = None,
        **metadata: object,
    ) -> None:
        """Builds the error.

        Args:
            message: A sentence for a developer, without secrets.
            details: Further messages for the status; their types must be in our descriptor set.
            retry_after: When a repeat may succeed, where waiting helps.
            **metadata: The values of the message, for machines.
        """
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.metadata: Mapping[str, str] = {key: str(value) for key, value in metadata.items()}


class InvalidRequestError(ServiceError):
    """The request breaks a rule of its contract."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_INVALID_REQUEST)

    def __init__(self, violations: Mapping[str, str]) -> None:
        """Names each field that breaks a rule, by its path, and the rule; no path: the whole."""
        bad = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=rule)
                for field, rule in violations.items()
            ]
        )
        listed = "; ".join(
            # As the edge says it.
            f"{field or 'the body'}: {rule}"
            for field, rule in violations.items()
        )
        super().__init__(f"invalid request: {listed}", details=[bad], fields=",".join(violations))


class CredentialMissingError(ServiceError):
    """The method needs a token, a key or a certificate, and the call has none."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CREDENTIAL_MISSING)

    def __init__(self, level: str) -> None:
        """Names what the method asks for."""
        super().__init__(f"this method needs a credential for {level}", level=level)


class CredentialInvalidError(ServiceError):
    """The token or key is malformed, forged, revoked or of another issuer."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CREDENTIAL_INVALID)

    def __init__(self) -> None:
        """Says no more than that: the rest would help a forger."""
        super().__init__("the credential is not valid")


class TokenExpiredError(ServiceError):
    """The access token has expired."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)

    def __init__(self) -> None:
        """Tells the client what to do."""
        super().__init__("the access token has expired; refresh it")


class CallerNotAllowedError(ServiceError):
    """The caller is known, and the method does not admit it."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED)

    def __init__(self, *, caller: str, method: str) -> None:
        """Names both."""
        super().__init__(f"{caller} may not call {method}", caller=caller, method=method)


class DeadlineExceededError(ServiceError):
    """The deadline passed; the outcome of a mutation is unknown."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED)

    def __init__(self) -> None:
        """Says what a client does now."""
        super().__init__("the deadline has passed; repeat a mutation with the same id")


class OverloadedError(ServiceError):
    """The server has as much work as it will take; nothing was recorded."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_OVERLOADED)

    def __init__(self, *, retry_after: timedelta) -> None:
        """Says when to try again."""
        super().__init__("the server is overloaded; try again later", retry_after=retry_after)


class UnavailableError(ServiceError):
    """The server is draining, or something that it needs does not answer."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_UNAVAILABLE)

    def __init__(self, *, dependency: str, retry_after: timedelta | None = None) -> None:
        """Names what does not answer, and says when it may again where that is known."""
        super().__init__(
            f"{dependency} is not available", retry_after=retry_after, dependency=dependency
        )


class InternalError(ServiceError):
    """A fault of ours, told without detail."""

    code = grpc.StatusCode.INTERNAL
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_INTERNAL)

    def __init__(self, *, request_id: str) -> None:
        """Gives the id under which the log has the whole story."""
        super().__init__("internal error", request_id=request_id)


class PageTokenInvalidError(ServiceError):
    """The page token was not made by this method for this query."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)

    def __init__(self) -> None:
        """Tells the client what to do."""
        super().__init__("the page token is not valid here; start again without one")


class CurrencyUnknownError(ServiceError):
    """The currency is not in the registry."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CURRENCY_UNKNOWN)

    def __init__(self, currency_code: str) -> None:
        """Names the code."""
        super().__init__(f"unknown currency {currency_code}", currency_code=currency_code)


class RemoteError(ServiceError):
    """The precise refusal of another service, passed on unchanged."""

    def __init__(
        self, *, code: grpc.StatusCode, reason: str, message: str, metadata: Mapping[str, str]
    ) -> None:
        """Takes over what the other service said."""
        super().__init__(message)
        self.metadata = dict(metadata)
        self.code = code
        self.reason = reason


def status_of(error: ServiceError) -> status_pb2.Status:
    """Renders the error as the status that goes over the wire."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    _pack(
        status,
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata),
    )
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(error.retry_after)
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in error.details:
        _pack(status, detail)
    return status


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def error_info_of(details: bytes) -> error_details_pb2.ErrorInfo | None:
    """Finds the ErrorInfo in a serialized status, if there is one."""
    status = status_pb2.Status.FromString(details)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
            return info
    return None
