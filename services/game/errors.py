"""What a caller of the Game service may be told, one class for each reason of the contract."""

from datetime import datetime

import grpc
from croupier.game.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class GameNotFoundError(ServiceError):
    """There is no such game."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_GAME_NOT_FOUND)

    def __init__(self, *, game_id: str) -> None:
        """Names the game."""
        super().__init__(f"there is no game {game_id}", game_id=game_id)


class GameDisabledError(ServiceError):
    """An operator disabled the game."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_GAME_DISABLED)

    def __init__(self, *, game_id: str) -> None:
        """Names the game."""
        super().__init__(f"the game {game_id} is disabled", game_id=game_id)


class GameExistsError(ServiceError):
    """The game's id is taken, with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_GAME_EXISTS)

    def __init__(self, *, game_id: str) -> None:
        """Names the game."""
        super().__init__(f"the game {game_id} exists, with other content", game_id=game_id)


class ProviderNotFoundError(ServiceError):
    """There is no such provider."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PROVIDER_NOT_FOUND)

    def __init__(self, *, provider_id: str) -> None:
        """Names the provider."""
        super().__init__(f"there is no provider {provider_id}", provider_id=provider_id)


class ProviderExistsError(ServiceError):
    """The provider's id is taken, with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PROVIDER_EXISTS)

    def __init__(self, *, provider_id: str) -> None:
        """Names the provider."""
        super().__init__(
            f"the provider {provider_id} exists, with other content", provider_id=provider_id
        )


class CurrencyNotOfferedError(ServiceError):
    """The game is not offered in this currency."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CURRENCY_NOT_OFFERED)

    def __init__(self, *, game_id: str, currency_code: str) -> None:
        """Names both."""
        super().__init__(
            f"the game {game_id} is not offered in {currency_code}",
            game_id=game_id,
            currency_code=currency_code,
        )


class SessionNotFoundError(ServiceError):
    """The session token is unknown, or belongs to another provider."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND)

    def __init__(self) -> None:
        """Says no more than that: which of the two it is would help a thief of tokens."""
        super().__init__("the session token is not known")


class SessionExpiredError(ServiceError):
    """The session is too old for bets."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_SESSION_EXPIRED)

    def __init__(self, *, expire_time: datetime) -> None:
        """Says when it expired."""
        moment = expire_time.isoformat().replace("+00:00", "Z")
        super().__init__(
            f"the session expired at {moment}; launch the game again", expire_time=moment
        )


class SessionEndedError(ServiceError):
    """The player logged out, or another launch of the game took the session's place."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_SESSION_ENDED)

    def __init__(self) -> None:
        """Tells what to do."""
        super().__init__("the session has ended; launch the game again")


class CurrencyMismatchError(ServiceError):
    """The amount is in another currency than the session."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CURRENCY_MISMATCH)

    def __init__(self, *, currency_code: str, session_currency_code: str) -> None:
        """Names both currencies."""
        super().__init__(
            f"the amount is in {currency_code}, the session in {session_currency_code}",
            currency_code=currency_code,
            session_currency_code=session_currency_code,
        )


class LoginEndedError(ServiceError):
    """The login session of the access token has ended."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_LOGIN_ENDED)

    def __init__(self) -> None:
        """Tells what to do."""
        super().__init__("the login session has ended; log in again")


class ProviderUnavailableError(ServiceError):
    """The provider did not answer the launch in time, or answered with an error."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PROVIDER_UNAVAILABLE)

    def __init__(self, *, provider_id: str) -> None:
        """Names the provider; what it answered is in the log."""
        super().__init__(f"the provider {provider_id} is not available", provider_id=provider_id)
