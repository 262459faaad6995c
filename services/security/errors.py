"""The refusals of Security, one for each reason of its contract."""

from datetime import UTC, datetime

import grpc
from croupier.security.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class LoginRefusedError(ServiceError):
    """No such address, or not its password; the two look the same on purpose."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_LOGIN_REFUSED)

    def __init__(self) -> None:
        """Says no more than that."""
        super().__init__("the address or the password is wrong")


class CredentialLockedError(ServiceError):
    """The password is right, and too many wrong ones came before it."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CREDENTIAL_LOCKED)

    def __init__(self, *, unlock_time: datetime) -> None:
        """Says when a login works again."""
        shown = unlock_time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        super().__init__(f"too many failed logins; locked until {shown}", unlock_time=shown)


class TotpRequiredError(ServiceError):
    """The password is right, and the code of the authenticator is missing."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TOTP_REQUIRED)

    def __init__(self) -> None:
        """Tells the client what to do."""
        super().__init__("log in again with the code of the authenticator")


class TotpRefusedError(ServiceError):
    """The code is wrong, too old or already used."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TOTP_REFUSED)

    def __init__(self) -> None:
        """Does not say which of the three."""
        super().__init__("the code is wrong, too old or already used")


class TotpAlreadyEnrolledError(ServiceError):
    """A second factor is on already."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TOTP_ALREADY_ENROLLED)

    def __init__(self) -> None:
        """Says so."""
        super().__init__("a second factor is on already")


class TotpNotPendingError(ServiceError):
    """There is nothing to confirm."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TOTP_NOT_PENDING)

    def __init__(self) -> None:
        """Tells the client what to do."""
        super().__init__("there is nothing to confirm; call EnrollTotp first")


class RefreshTokenInvalidError(ServiceError):
    """The refresh token is unknown, expired, used before, or of an ended login session."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID)

    def __init__(self) -> None:
        """Tells the client what to do."""
        super().__init__("the refresh token is not valid; log in again")


class LoginTakenError(ServiceError):
    """Another credential uses this address."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_LOGIN_TAKEN)

    def __init__(self) -> None:
        """Does not repeat the address."""
        super().__init__("another credential uses this address")


class PasswordTooCommonError(ServiceError):
    """The password is one that attackers try first."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PASSWORD_TOO_COMMON)

    def __init__(self) -> None:
        """Does not repeat the password."""
        super().__init__("the password is too easy to guess; choose another one")


class ApiKeyNotFoundError(ServiceError):
    """There is no such API key, or it is expired or revoked."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_API_KEY_NOT_FOUND)

    def __init__(self) -> None:
        """Does not say which of the three."""
        super().__init__("no such API key")


class CredentialNotFoundError(ServiceError):
    """This subject has no credential."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CREDENTIAL_NOT_FOUND)

    def __init__(self) -> None:
        """Says so."""
        super().__init__("this subject has no credential")


class PasswordRefusedError(ServiceError):
    """That is not the present password."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PASSWORD_REFUSED)

    def __init__(self) -> None:
        """Says so."""
        super().__init__("that is not the present password")


class PasswordResetInvalidError(ServiceError):
    """The token of a password reset is unknown, expired, used, or replaced by a later one."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PASSWORD_RESET_INVALID)

    def __init__(self) -> None:
        """Does not say which of the four."""
        super().__init__("the token of the password reset is not valid; ask for another one")


class RequestIdReusedError(ServiceError):
    """The request id was used with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)

    def __init__(self, *, request_id: str) -> None:
        """Names the id."""
        super().__init__(f"{request_id} was used with other content", request_id=request_id)
