"""Why Player refuses, one class a reason."""

from datetime import datetime

import grpc
from croupier.player.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class PlayerNotFoundError(ServiceError):
    """There is no such player."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PLAYER_NOT_FOUND)

    def __init__(self, *, player_id: str) -> None:
        """Names the player."""
        super().__init__(f"there is no player {player_id}", player_id=player_id)


class UnderAgeError(ServiceError):
    """The person is younger than the country's age for gambling."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_UNDER_AGE)

    def __init__(self, *, age_min: int) -> None:
        """Says how old one must be."""
        super().__init__(f"players must be {age_min} years old", age_min=age_min)


class CountryNotAllowedError(ServiceError):
    """The operator takes no players from this country."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_COUNTRY_NOT_ALLOWED)

    def __init__(self, *, country_code: str) -> None:
        """Names the country."""
        super().__init__(f"players of {country_code} are not taken", country_code=country_code)


class AlreadyRegisteredError(ServiceError):
    """The person or the address has an account."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_ALREADY_REGISTERED)

    def __init__(self) -> None:
        """Does not say which of the two: that would tell a stranger who plays here."""
        super().__init__("this person or this address has an account")


class RequestIdReusedError(ServiceError):
    """The request id was used with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)

    def __init__(self, *, request_id: str) -> None:
        """Names the id."""
        super().__init__(f"{request_id} was used with other content", request_id=request_id)


class NotActiveError(ServiceError):
    """The account is blocked, or its registration is not complete."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_NOT_ACTIVE)

    def __init__(self, *, state: str) -> None:
        """Names the state, as in the contract."""
        super().__init__(f"the account is in {state}", state=state)


class IdentityNotVerifiedError(ServiceError):
    """The player has not passed the identity check."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_IDENTITY_NOT_VERIFIED)

    def __init__(self, *, identity_state: str) -> None:
        """Names the state of the check, as in the contract."""
        super().__init__(f"the identity is in {identity_state}", identity_state=identity_state)


class IdentityRefusedError(ServiceError):
    """The identity provider does not confirm the person."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_IDENTITY_REFUSED)

    def __init__(self, *, cause: str) -> None:
        """Says why, in a word of the provider's."""
        super().__init__(f"the identity is not confirmed: {cause}", cause=cause)


class ExcludedError(ServiceError):
    """The player is excluded."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_EXCLUDED)

    def __init__(self, *, end_time: datetime | None) -> None:
        """Says until when."""
        end = _rendered(end_time)
        super().__init__(f"the player is excluded until {end or 'ever'}", end_time=end)


class ExclusionNotShortenedError(ServiceError):
    """The new exclusion would end before the one in force."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_EXCLUSION_NOT_SHORTENED)

    def __init__(self, *, end_time: datetime | None) -> None:
        """Says when the one in force ends."""
        end = _rendered(end_time)
        super().__init__(f"the exclusion in force lasts until {end or 'ever'}", end_time=end)


class CurrencyNotHeldError(ServiceError):
    """The player has no wallet in this currency."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_CURRENCY_NOT_HELD)

    def __init__(self, *, currency_code: str) -> None:
        """Names the currency."""
        super().__init__(f"there is no wallet in {currency_code}", currency_code=currency_code)


def _rendered(end_time: datetime | None) -> str:
    """Renders as RFC 3339; an exclusion that never ends has an empty end."""
    return "" if end_time is None else end_time.isoformat().replace("+00:00", "Z")
