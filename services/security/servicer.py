"""gRPC in and out: turns messages into values and back. No rules, no SQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from croupier.security.v1 import (
    security_pb2,
    security_service_pb2,
    security_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp

from services.kit import tokens
from services.kit.call import caller
from services.kit.clock import from_micros, to_timestamp
from services.security.domain.api_keys import ApiKey, ApiKeyId
from services.security.domain.credentials import SubjectId
from services.security.domain.recovery import Operator
from services.security.domain.sessions import LoginSessionId, TokenPair
from services.security.domain.signing_keys import SigningKey
from services.security.service import (
    ApiKeys,
    Credentials,
    LoginSessions,
    Passwords,
    Recovery,
    SecondFactor,
    SigningKeys,
)

# The end of the year 9999: the last moment of a datetime, which a Timestamp can exceed.
_MICROS_MAX = 253_402_300_799_999_999


class SecurityServicer(security_service_pb2_grpc.SecurityServiceServicer):
    """`croupier.security.v1.SecurityService`."""

    def __init__(  # noqa: PLR0913 (the nouns of the service; all are named at the one call)
        self,
        *,
        credentials: Credentials,
        sessions: LoginSessions,
        second_factor: SecondFactor,
        passwords: Passwords,
        recovery: Recovery,
        keys: SigningKeys,
        api_keys: ApiKeys,
    ) -> None:
        """Takes the use cases."""
        self._credentials = credentials
        self._sessions = sessions
        self._second_factor = second_factor
        self._passwords = passwords
        self._recovery = recovery
        self._keys = keys
        self._api_keys = api_keys

    async def Login(
        self, request: security_service_pb2.LoginRequest, context: Any
    ) -> security_service_pb2.LoginResponse:
        """Logs a player or an operator in."""
        del context
        outcome = await self._credentials.log_in(
            email=request.email,
            password=request.password,
            totp_code=request.totp_code,
            client_address=caller().client_address,
        )
        return security_service_pb2.LoginResponse(
            tokens=_tokens(outcome.tokens),
            subject_id=outcome.subject_id,
            previous_login_time=_timestamp(outcome.previous_login_time),
        )

    async def RefreshToken(
        self, request: security_service_pb2.RefreshTokenRequest, context: Any
    ) -> security_service_pb2.RefreshTokenResponse:
        """Exchanges a refresh token for a new pair of tokens."""
        del context
        pair = await self._sessions.refresh(request.refresh_token)
        return security_service_pb2.RefreshTokenResponse(tokens=_tokens(pair))

    async def Logout(
        self, request: security_service_pb2.LogoutRequest, context: Any
    ) -> security_service_pb2.LogoutResponse:
        """Ends the login session of the access token and its game sessions."""
        del request, context
        await self._sessions.log_out(LoginSessionId(caller().login_session_id))
        return security_service_pb2.LogoutResponse()

    async def EnrollTotp(
        self, request: security_service_pb2.EnrollTotpRequest, context: Any
    ) -> security_service_pb2.EnrollTotpResponse:
        """Begins to enrol a second factor."""
        del request, context
        who = caller()
        enrolment = await self._second_factor.enroll(
            SubjectId(who.subject_id), LoginSessionId(who.login_session_id)
        )
        return security_service_pb2.EnrollTotpResponse(
            secret=enrolment.secret, otpauth_uri=enrolment.otpauth_uri
        )

    async def ConfirmTotp(
        self, request: security_service_pb2.ConfirmTotpRequest, context: Any
    ) -> security_service_pb2.ConfirmTotpResponse:
        """Turns the second factor on."""
        del context
        who = caller()
        await self._second_factor.confirm(
            SubjectId(who.subject_id),
            LoginSessionId(who.login_session_id),
            totp_code=request.totp_code,
        )
        return security_service_pb2.ConfirmTotpResponse()

    async def ChangePassword(
        self, request: security_service_pb2.ChangePasswordRequest, context: Any
    ) -> security_service_pb2.ChangePasswordResponse:
        """Replaces the caller's password."""
        del context
        who = caller()
        await self._passwords.change(
            SubjectId(who.subject_id),
            LoginSessionId(who.login_session_id),
            old_password=request.old_password,
            new_password=request.new_password,
            totp_code=request.totp_code,
            client_address=who.client_address,
        )
        return security_service_pb2.ChangePasswordResponse()

    async def ResetPassword(
        self, request: security_service_pb2.ResetPasswordRequest, context: Any
    ) -> security_service_pb2.ResetPasswordResponse:
        """Sets a new password with the token of a password reset."""
        del context
        await self._passwords.reset(
            request.reset_token,
            new_password=request.new_password,
            totp_code=request.totp_code,
            client_address=caller().client_address,
        )
        return security_service_pb2.ResetPasswordResponse()

    async def GetJwks(
        self, request: security_service_pb2.GetJwksRequest, context: Any
    ) -> security_service_pb2.GetJwksResponse:
        """Serves the public keys."""
        del request, context
        return security_service_pb2.GetJwksResponse(
            keys=[
                security_pb2.JsonWebKey(**json_web_key(key)) for key in await self._keys.published()
            ]
        )

    async def CreateCredential(
        self, request: security_service_pb2.CreateCredentialRequest, context: Any
    ) -> security_service_pb2.CreateCredentialResponse:
        """Creates the credential of a new player."""
        del context
        await self._credentials.create_credential(
            SubjectId(request.player_id.lower()), email=request.email, password=request.password
        )
        return security_service_pb2.CreateCredentialResponse()

    async def EndLoginSessions(
        self, request: security_service_pb2.EndLoginSessionsRequest, context: Any
    ) -> security_service_pb2.EndLoginSessionsResponse:
        """Ends every login session of a player."""
        del context
        ended_count = await self._sessions.end_all(SubjectId(request.player_id.lower()))
        return security_service_pb2.EndLoginSessionsResponse(ended_count=ended_count)

    async def VerifyApiKey(
        self, request: security_service_pb2.VerifyApiKeyRequest, context: Any
    ) -> security_service_pb2.VerifyApiKeyResponse:
        """Tells which provider an API key belongs to."""
        del context
        api_key = await self._api_keys.verify(request.api_key)
        return security_service_pb2.VerifyApiKeyResponse(api_key=_api_key(api_key))

    async def CreateApiKey(
        self, request: security_service_pb2.CreateApiKeyRequest, context: Any
    ) -> security_service_pb2.CreateApiKeyResponse:
        """Makes an API key for a provider."""
        del context
        api_key, secret = await self._api_keys.create(
            request.provider_id,
            display_name=request.display_name,
            expire_time=_moment(request.expire_time) if request.HasField("expire_time") else None,
            operator=_operator(),
        )
        return security_service_pb2.CreateApiKeyResponse(api_key=_api_key(api_key), secret=secret)

    async def RevokeApiKey(
        self, request: security_service_pb2.RevokeApiKeyRequest, context: Any
    ) -> security_service_pb2.RevokeApiKeyResponse:
        """Revokes an API key."""
        del context
        api_key = await self._api_keys.revoke(
            ApiKeyId(request.api_key_id.lower()), operator=_operator()
        )
        return security_service_pb2.RevokeApiKeyResponse(api_key=_api_key(api_key))

    async def UnlockCredential(
        self, request: security_service_pb2.UnlockCredentialRequest, context: Any
    ) -> security_service_pb2.UnlockCredentialResponse:
        """Ends the lock of a credential."""
        del context
        await self._recovery.unlock(
            _operator(),
            SubjectId(request.subject_id.lower()),
            request_id=request.request_id.lower(),
            reason=request.reason,
        )
        return security_service_pb2.UnlockCredentialResponse()

    async def CreatePasswordReset(
        self, request: security_service_pb2.CreatePasswordResetRequest, context: Any
    ) -> security_service_pb2.CreatePasswordResetResponse:
        """Makes a token with which somebody sets a new password."""
        del context
        reset, token = await self._recovery.create_reset(
            _operator(), SubjectId(request.subject_id.lower()), reason=request.reason
        )
        return security_service_pb2.CreatePasswordResetResponse(
            reset_token=token, expire_time=_timestamp(reset.expire_time)
        )


def json_web_key(key: SigningKey) -> Mapping[str, str]:
    """Renders the public half of a signing key as a JSON Web Key."""
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": key.x,
        "y": key.y,
        "kid": key.signing_key_id,
        "use": "sig",
        "alg": tokens.ALGORITHM,
    }


def _operator() -> Operator:
    who = caller()
    return Operator(
        operator_id=SubjectId(who.subject_id),
        roles=who.roles,
        login_session_id=LoginSessionId(who.login_session_id),
    )


def _tokens(pair: TokenPair) -> security_pb2.TokenPair:
    return security_pb2.TokenPair(
        access_token=pair.access_token,
        access_expire_time=_timestamp(pair.access_expire_time),
        refresh_token=pair.refresh_token,
        refresh_expire_time=_timestamp(pair.refresh_expire_time),
        withheld_roles=sorted(pair.withheld_roles),
    )


def _api_key(api_key: ApiKey) -> security_pb2.ApiKey:
    revoked = api_key.revoke_time is not None
    return security_pb2.ApiKey(
        api_key_id=api_key.api_key_id,
        provider_id=api_key.provider_id,
        display_name=api_key.display_name,
        state=security_pb2.ApiKey.STATE_REVOKED if revoked else security_pb2.ApiKey.STATE_ACTIVE,
        create_time=_timestamp(api_key.create_time),
        expire_time=_timestamp(api_key.expire_time),
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else to_timestamp(moment)


def _moment(timestamp: Timestamp) -> datetime:
    # By hand: the message's own conversions raise where a Timestamp exceeds the calendar.
    micros = timestamp.seconds * 1_000_000 + timestamp.nanos // 1_000
    return from_micros(min(max(micros, 0), _MICROS_MAX))
