import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
from croupier.security.v1 import security_service_pb2

from tests.factories.security import EMAIL, PASSWORD
from tests.kit.refusals import told
from tests.kit.tokens import TokenIssuer
from tests.security.doubles import UNAVAILABLE, LoggedIn, Security, refused

STEP = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)


async def enroll(security: Security, player: LoggedIn) -> Any:
    request = security_service_pb2.EnrollTotpRequest()
    return await security.edge.EnrollTotp(request, metadata=player.metadata)


async def confirm(security: Security, player: LoggedIn, code: str) -> None:
    request = security_service_pb2.ConfirmTotpRequest(totp_code=code)
    await security.edge.ConfirmTotp(request, metadata=player.metadata)


def code_at(security: Security, secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(security.clock.now() + steps * STEP)


def wrong_code(security: Security, secret: str) -> str:
    """Returns six digits that no step near the present shows."""
    near = {code_at(security, secret, steps) for steps in range(-3, 4)}
    return next(code for code in (f"{number:06}" for number in range(10)) if code not in near)


async def enrolled(security: Security) -> tuple[LoggedIn, str]:
    """Returns a player with a second factor, at a time whose code was not used."""
    player = await security.player()
    secret = (await enroll(security, player)).secret
    await confirm(security, player, code_at(security, secret))
    security.clock.advance(2 * STEP)
    return player, secret


async def test_nothing_changes_until_the_factor_is_confirmed(security: Security) -> None:
    player = await security.player()
    await enroll(security, player)
    await security.login()


async def test_confirmed_factor_is_asked_for(security: Security) -> None:
    player, secret = await enrolled(security)
    await refused(security.login(), "UNAUTHENTICATED", "TOTP_REQUIRED")
    answer = await security.login(EMAIL, PASSWORD, code_at(security, secret))
    assert answer.subject_id == player.player_id


async def test_factor_is_asked_for_only_after_the_right_password(security: Security) -> None:
    _, secret = await enrolled(security)
    await refused(
        security.login(EMAIL, "another password", code_at(security, secret)),
        "UNAUTHENTICATED",
        "LOGIN_REFUSED",
    )


async def test_uri_says_what_the_authenticator_shows(security: Security) -> None:
    answer = await enroll(security, await security.player())
    uri = urlsplit(answer.otpauth_uri)
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query) == {"secret": [answer.secret], "issuer": ["Croupier"]}
    assert len(answer.secret) == 32


async def test_code_may_be_one_step_early_or_late(security: Security) -> None:
    _, secret = await enrolled(security)
    for steps in (-2, 2):
        await refused(
            security.login(EMAIL, PASSWORD, code_at(security, secret, steps)),
            "UNAUTHENTICATED",
            "TOTP_REFUSED",
        )
    await security.login(EMAIL, PASSWORD, code_at(security, secret, -1))
    await security.login(EMAIL, PASSWORD, code_at(security, secret, 1))


async def test_code_works_once(security: Security) -> None:
    _, secret = await enrolled(security)
    code = code_at(security, secret)
    await security.login(EMAIL, PASSWORD, code)
    await refused(security.login(EMAIL, PASSWORD, code), "UNAUTHENTICATED", "TOTP_REFUSED")
    # Nor does an older one once a newer one was accepted.
    await refused(
        security.login(EMAIL, PASSWORD, code_at(security, secret, -1)),
        "UNAUTHENTICATED",
        "TOTP_REFUSED",
    )


async def test_code_that_confirmed_does_not_log_in(security: Security) -> None:
    player = await security.player()
    secret = (await enroll(security, player)).secret
    code = code_at(security, secret)
    await confirm(security, player, code)
    await refused(security.login(EMAIL, PASSWORD, code), "UNAUTHENTICATED", "TOTP_REFUSED")


async def test_of_two_logins_with_one_code_at_once_one_succeeds(security: Security) -> None:
    _, secret = await enrolled(security)
    code = code_at(security, secret)
    gate = asyncio.Barrier(2)

    async def attempt() -> Any:
        await gate.wait()
        return await security.login(EMAIL, PASSWORD, code)

    outcomes = await asyncio.gather(attempt(), attempt(), return_exceptions=True)
    assert len([each for each in outcomes if isinstance(each, BaseException)]) == 1


async def test_wrong_codes_lock_like_wrong_passwords(security: Security) -> None:
    _, secret = await enrolled(security)
    # Asking for the code is no failure.
    await refused(security.login(), "UNAUTHENTICATED", "TOTP_REQUIRED")
    for _ in range(3):
        await refused(
            security.login(EMAIL, PASSWORD, wrong_code(security, secret)),
            "UNAUTHENTICATED",
            "TOTP_REFUSED",
        )
    refusal = await told(security.login(EMAIL, PASSWORD, code_at(security, secret)))
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "CREDENTIAL_LOCKED")
    security.clock.advance(30 * MINUTE)
    await security.login(EMAIL, PASSWORD, code_at(security, secret))


async def test_new_enrolment_replaces_one_that_is_pending(security: Security) -> None:
    player = await security.player()
    first = (await enroll(security, player)).secret
    second = (await enroll(security, player)).secret
    code = code_at(security, first)
    if code not in {code_at(security, second, steps) for steps in (-1, 0, 1)}:
        await refused(confirm(security, player, code), "UNAUTHENTICATED", "TOTP_REFUSED")
    await confirm(security, player, code_at(security, second))


async def test_wrong_code_does_not_confirm(security: Security) -> None:
    player = await security.player()
    secret = (await enroll(security, player)).secret
    await refused(
        confirm(security, player, wrong_code(security, secret)), "UNAUTHENTICATED", "TOTP_REFUSED"
    )
    await security.login()


async def test_second_enrolment_is_refused(security: Security) -> None:
    player, _ = await enrolled(security)
    await refused(enroll(security, player), "FAILED_PRECONDITION", "TOTP_ALREADY_ENROLLED")


async def test_nothing_pending_cannot_be_confirmed(security: Security) -> None:
    player = await security.player()
    await refused(confirm(security, player, "123456"), "FAILED_PRECONDITION", "TOTP_NOT_PENDING")
    secret = (await enroll(security, player)).secret
    await confirm(security, player, code_at(security, secret))
    await refused(
        confirm(security, player, code_at(security, secret, 1)),
        "FAILED_PRECONDITION",
        "TOTP_NOT_PENDING",
    )


async def test_code_is_six_digits(security: Security) -> None:
    player = await security.player()
    for code in ("", "12345", "1234567", "12345x"):
        await refused(
            confirm(security, player, code),
            "INVALID_ARGUMENT",
            "INVALID_REQUEST",
            fields="totp_code",
        )


async def test_access_token_of_an_ended_session_enrols_nothing(security: Security) -> None:
    player = await security.player()
    security.game.failure = UNAVAILABLE
    await told(security.edge.Logout(security_service_pb2.LogoutRequest(), metadata=player.metadata))
    await refused(enroll(security, player), "UNAUTHENTICATED", "CREDENTIAL_INVALID")
    await refused(confirm(security, player, "123456"), "UNAUTHENTICATED", "CREDENTIAL_INVALID")


async def test_only_who_has_logged_in_enrols(security: Security) -> None:
    player = await security.player()
    request = security_service_pb2.EnrollTotpRequest()
    await refused(
        security.edge.EnrollTotp(request),
        "UNAUTHENTICATED",
        "CREDENTIAL_MISSING",
        level="AUTH_LEVEL_SUBJECT",
    )
    for token in (TokenIssuer().operator("admin"), TokenIssuer().player(player.player_id)):
        await refused(
            security.edge.EnrollTotp(request, metadata=token),
            "UNAUTHENTICATED",
            "CREDENTIAL_INVALID",
        )
    await refused(
        security.player_service.ConfirmTotp(
            security_service_pb2.ConfirmTotpRequest(totp_code="123456"), metadata=player.metadata
        ),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=player.player_id,
        method="croupier.security.v1.SecurityService/ConfirmTotp",
    )
