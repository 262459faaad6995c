"""UnlockCredential, CreatePasswordReset and ResetPassword."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from croupier.security.v1 import security_service_pb2
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from services.security.tables import OPERATOR_ACTION, PASSWORD_RESET
from tests.factories.security import (
    CLIENT_ADDRESS,
    EMAIL,
    FROM_CLIENT,
    OPERATOR_EMAIL,
    OPERATOR_PASSWORD,
    PASSWORD,
    refresh,
)
from tests.kit.refusals import told
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until
from tests.security.doubles import (
    UNAVAILABLE,
    LoggedIn,
    Security,
    first_operator,
    moment,
    refused,
)
from tests.security.test_login import MINUTE, WRONG, fail, refused_as_locked
from tests.security.test_passwords import NEW, change
from tests.security.test_second_factor import code_at, enrolled, wrong_code
from tests.security.test_sessions import OFTEN, refresh_refused, session_of

REASON = "identity checked by phone"
SERVICE = "croupier.security.v1.SecurityService"


async def unlock(
    security: Security,
    operator: LoggedIn,
    subject_id: str,
    *,
    request_id: str | None = None,
    reason: str = REASON,
) -> None:
    request = security_service_pb2.UnlockCredentialRequest(
        subject_id=subject_id, request_id=request_id or str(uuid4()), reason=reason
    )
    await security.edge.UnlockCredential(request, metadata=operator.metadata)


async def create_reset(
    security: Security, operator: LoggedIn, subject_id: str, reason: str = REASON
) -> Any:
    request = security_service_pb2.CreatePasswordResetRequest(subject_id=subject_id, reason=reason)
    return await security.edge.CreatePasswordReset(request, metadata=operator.metadata)


async def reset(security: Security, token: str, new: str = NEW, code: str = "") -> None:
    request = security_service_pb2.ResetPasswordRequest(
        reset_token=token, new_password=new, totp_code=code
    )
    await security.edge.ResetPassword(request, metadata=FROM_CLIENT)


async def reset_refused(security: Security, token: str) -> None:
    await refused(reset(security, token), "UNAUTHENTICATED", "PASSWORD_RESET_INVALID")


async def not_allowed(call: Awaitable[Any], operator: LoggedIn, method: str) -> None:
    await refused(
        call,
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=operator.subject_id,
        method=f"{SERVICE}/{method}",
    )


async def actions(security: Security) -> Sequence[tuple[str, str, str, str]]:
    """Returns what is on record: kind, operator, subject and reason."""
    query = select(
        OPERATOR_ACTION.c.kind,
        OPERATOR_ACTION.c.operator_id,
        OPERATOR_ACTION.c.subject_id,
        OPERATOR_ACTION.c.reason,
    ).order_by(OPERATOR_ACTION.c.operator_action_id)
    async with security.database.snapshot() as connection:
        return [tuple(row) for row in await connection.execute(query)]


# --- unlock -------------------------------------------------------------------------------------


async def test_unlocked_player_logs_in(security: Security) -> None:
    player_id = await security.register()
    await fail(security, 3)
    await refused_as_locked(security)
    operator = await security.operator_login()
    await unlock(security, operator, player_id.upper())
    # The failures before it are forgotten too.
    await fail(security, 2)
    await security.login()
    assert await actions(security) == [("unlock", operator.subject_id, player_id, REASON)]
    (event,) = [each for each in await security.events() if each.HasField("credential_unlocked")]
    assert event.credential_unlocked.subject_id == player_id
    assert event.credential_unlocked.operator_id == operator.subject_id
    assert event.credential_unlocked.reason == REASON


async def test_repeat_does_not_unlock_what_was_locked_since(security: Security) -> None:
    player_id = await security.register()
    operator = await security.operator_login()
    request_id = str(uuid4())
    await fail(security, 3)
    await unlock(security, operator, player_id, request_id=request_id)
    await fail(security, 3)
    await unlock(security, operator, player_id, request_id=request_id.upper())
    await refused_as_locked(security)
    assert len(await actions(security)) == 1


async def test_request_id_is_good_for_one_content(security: Security) -> None:
    player_id = await security.register()
    other_id = await security.register("bob@players.example")
    operator = await security.operator_login()
    request_id = str(uuid4())
    await unlock(security, operator, player_id, request_id=request_id)
    for subject_id, reason in ((player_id, "another reason"), (other_id, REASON)):
        await refused(
            unlock(security, operator, subject_id, request_id=request_id, reason=reason),
            "ALREADY_EXISTS",
            "REQUEST_ID_REUSED",
            request_id=request_id,
        )


async def test_equal_requests_at_once_act_once(security: Security) -> None:
    player_id = await security.register()
    operator = await security.operator_login()
    request_id = str(uuid4())
    gate = asyncio.Barrier(3)

    async def attempt() -> None:
        await gate.wait()
        await unlock(security, operator, player_id, request_id=request_id)

    await asyncio.gather(attempt(), attempt(), attempt())
    assert len(await actions(security)) == 1
    assert (await security.kinds()).count("credential_unlocked") == 1


async def test_record_of_what_operators_did_cannot_be_changed(security: Security) -> None:
    player_id = await security.register()
    await unlock(security, await security.operator_login(), player_id)
    for statement in (update(OPERATOR_ACTION).values(reason="none"), delete(OPERATOR_ACTION)):
        with pytest.raises(DBAPIError, match="append-only"):
            async with security.database.transaction() as connection:
                await connection.execute(statement)


# --- whom an operator may help ------------------------------------------------------------------


async def test_unknown_subject_is_not_found(security: Security) -> None:
    operator = await security.operator_login()
    nobody = str(uuid4())
    await refused(unlock(security, operator, nobody), "NOT_FOUND", "CREDENTIAL_NOT_FOUND")
    await refused(create_reset(security, operator, nobody), "NOT_FOUND", "CREDENTIAL_NOT_FOUND")


async def test_nobody_helps_themselves(security: Security) -> None:
    operator = await security.operator_login()
    own = operator.subject_id
    await not_allowed(unlock(security, operator, own), operator, "UnlockCredential")
    await not_allowed(create_reset(security, operator, own), operator, "CreatePasswordReset")
    assert await actions(security) == []


async def test_only_an_admin_helps_operators(security: Security) -> None:
    admin = await security.operator_login()
    await security.add_operator("compliance@casino.example", "compliance")
    helper = await security.operator_login("compliance@casino.example")
    player_id = await security.register()
    for subject_id in (
        admin.subject_id,
        await security.add_operator("x@casino.example", "analyst"),
    ):
        await not_allowed(unlock(security, helper, subject_id), helper, "UnlockCredential")
        await not_allowed(create_reset(security, helper, subject_id), helper, "CreatePasswordReset")
    await unlock(security, helper, player_id)
    await unlock(security, admin, helper.subject_id)
    token = (await create_reset(security, admin, helper.subject_id)).reset_token
    await reset(security, token)
    await security.operator_login("compliance@casino.example", NEW)
    kinds = [kind for kind, *_ in await actions(security)]
    assert kinds == ["unlock", "unlock", "password_reset"]


async def test_operators_without_the_role_help_nobody(security: Security) -> None:
    player = await security.player()
    await security.add_operator("cashier@casino.example", "cashier")
    cashier = await security.operator_login("cashier@casino.example")
    stranger = LoggedIn("", "", None)
    for method, request in (
        (
            "UnlockCredential",
            security_service_pb2.UnlockCredentialRequest(
                subject_id=player.player_id, request_id=str(uuid4()), reason=REASON
            ),
        ),
        (
            "CreatePasswordReset",
            security_service_pb2.CreatePasswordResetRequest(
                subject_id=player.player_id, reason=REASON
            ),
        ),
    ):
        call = getattr(security.edge, method)
        await refused(
            call(request), "UNAUTHENTICATED", "CREDENTIAL_MISSING", level="AUTH_LEVEL_OPERATOR"
        )
        forged = TokenIssuer().operator("admin")
        await refused(call(request, metadata=forged), "UNAUTHENTICATED", "CREDENTIAL_INVALID")
        await not_allowed(call(request, metadata=player.metadata), player, method)
        await not_allowed(call(request, metadata=cashier.metadata), cashier, method)
        stranger.subject_id = (await security.operator_login()).subject_id
        # An operator's token does not help another service.
        await not_allowed(
            getattr(security.player_service, method)(request, metadata=await security.operator()),
            stranger,
            method,
        )
    assert await actions(security) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject_id": "me"}, "subject_id"),
        ({"reason": "no"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\nb c"}, "reason"),
    ],
)
async def test_fields_have_bounds(security: Security, changes: dict[str, str], field: str) -> None:
    operator = await security.operator_login()
    given = {"subject_id": str(uuid4()), "reason": REASON, **changes}
    for call in (
        unlock(security, operator, given["subject_id"], reason=given["reason"]),
        create_reset(security, operator, given["subject_id"], given["reason"]),
    ):
        await refused(call, "INVALID_ARGUMENT", "INVALID_REQUEST", fields=field)
    await refused(
        unlock(security, operator, str(uuid4()), request_id="1"),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        fields="request_id",
    )


# --- password reset -----------------------------------------------------------------------------


async def test_reset_sets_a_password_and_ends_all_sessions(security: Security) -> None:
    player = await security.player()
    operator = await security.operator_login()
    created = await create_reset(security, operator, player.player_id)
    assert moment(created.expire_time) == security.clock.now() + 30 * MINUTE
    # Nothing changes until it is used.
    await security.edge.RefreshToken(refresh((await security.login()).tokens.refresh_token))
    await reset(security, created.reset_token)
    await refused(security.login(), "UNAUTHENTICATED", "LOGIN_REFUSED")
    await refresh_refused(security, player.tokens.refresh_token)
    await until(lambda: session_of(player) in security.game.ended())
    assert (await security.login(EMAIL, NEW)).subject_id == player.player_id
    assert await actions(security) == [
        ("password_reset", operator.subject_id, player.player_id, REASON)
    ]
    events = await security.events()
    (made,) = [each for each in events if each.HasField("password_reset_created")]
    assert made.password_reset_created.subject_id == player.player_id
    assert made.password_reset_created.operator_id == operator.subject_id
    assert made.password_reset_created.reason == REASON
    (changed,) = [each for each in events if each.HasField("password_changed")]
    assert changed.password_changed.reset
    assert changed.password_changed.client_address == CLIENT_ADDRESS


async def test_reset_is_good_for_one_use(security: Security) -> None:
    player_id = await security.register()
    token = (await create_reset(security, await security.operator_login(), player_id)).reset_token
    await reset(security, token)
    await reset_refused(security, token)


async def test_of_two_uses_at_once_one_succeeds(security: Security) -> None:
    player_id = await security.register()
    token = (await create_reset(security, await security.operator_login(), player_id)).reset_token
    gate = asyncio.Barrier(2)

    async def attempt(new: str) -> str:
        await gate.wait()
        await reset(security, token, new)
        return new

    outcomes = await asyncio.gather(
        attempt(NEW), attempt("marble engine 38"), return_exceptions=True
    )
    (won,) = [each for each in outcomes if isinstance(each, str)]
    await security.login(EMAIL, won)


async def test_later_reset_replaces_the_earlier_one(security: Security) -> None:
    player_id = await security.register()
    operator = await security.operator_login()
    first = (await create_reset(security, operator, player_id)).reset_token
    second = (await create_reset(security, operator, player_id)).reset_token
    await reset_refused(security, first)
    await reset(security, second)


async def test_reset_expires(security: Security) -> None:
    player_id = await security.register()
    token = (await create_reset(security, await security.operator_login(), player_id)).reset_token
    security.clock.advance(30 * MINUTE)
    await reset_refused(security, token)
    await reset_refused(security, "rubbish")
    await security.login()


async def test_changed_password_voids_the_reset(security: Security) -> None:
    player = await security.player()
    operator = await security.operator_login()
    token = (await create_reset(security, operator, player.player_id)).reset_token
    await change(security, player)
    await reset_refused(security, token)


async def test_reset_while_game_is_away_tells_it_later(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN, **first_operator(idle.folder))
    player = await security.player()
    operator = await security.operator_login()
    token = (await create_reset(security, operator, player.player_id)).reset_token
    security.game.failure = UNAVAILABLE
    await reset(security, token)
    security.game.failure = None
    await until(lambda: security.game.ended() == [session_of(player)])


async def test_reset_ends_a_lock(security: Security) -> None:
    # Whoever has forgotten the password has mostly tried some.
    player_id = await security.register()
    await fail(security, 6)
    token = (await create_reset(security, await security.operator_login(), player_id)).reset_token
    await reset(security, token)
    await security.login(EMAIL, NEW)


async def test_second_factor_is_needed_to_reset(security: Security) -> None:
    operator = await security.operator_login()
    player, secret = await enrolled(security)
    token = (await create_reset(security, operator, player.player_id)).reset_token
    await refused(reset(security, token), "UNAUTHENTICATED", "TOTP_REQUIRED")
    wrong = wrong_code(security, secret)
    await refused(reset(security, token, code=wrong), "UNAUTHENTICATED", "TOTP_REFUSED")
    await reset(security, token, code=code_at(security, secret))
    await refused(security.login(EMAIL, NEW), "UNAUTHENTICATED", "TOTP_REQUIRED")


async def test_codes_cannot_be_guessed_with_a_reset(security: Security) -> None:
    operator = await security.operator_login()
    player, secret = await enrolled(security)
    token = (await create_reset(security, operator, player.player_id)).reset_token
    for _ in range(3):
        await refused(
            reset(security, token, code=wrong_code(security, secret)),
            "UNAUTHENTICATED",
            "TOTP_REFUSED",
        )
    refusal = await told(reset(security, token, code=code_at(security, secret)))
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "CREDENTIAL_LOCKED")
    # An operator who knows the person ends the lock, and the token is still good.
    await unlock(security, operator, player.player_id)
    await reset(security, token, code=code_at(security, secret))


async def test_new_password_is_judged_as_at_registration(security: Security) -> None:
    player_id = await security.register()
    token = (await create_reset(security, await security.operator_login(), player_id)).reset_token
    await refused(reset(security, token, "password1234"), "INVALID_ARGUMENT", "PASSWORD_TOO_COMMON")
    await refused(
        reset(security, token, "short"),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        fields="new_password",
    )
    # Neither uses the token up.
    await reset(security, token)


async def test_login_with_the_old_password_is_a_failure_after_a_reset(security: Security) -> None:
    admin = await security.operator_login()
    other_id = await security.add_operator("second@casino.example", "admin")
    token = (await create_reset(security, admin, other_id)).reset_token
    await reset(security, token)
    await refused(
        security.login("second@casino.example", OPERATOR_PASSWORD),
        "UNAUTHENTICATED",
        "LOGIN_REFUSED",
    )
    assert (await security.login("second@casino.example", NEW)).subject_id == other_id
    for password in (PASSWORD, WRONG):
        await refused(security.login(OPERATOR_EMAIL, password), "UNAUTHENTICATED", "LOGIN_REFUSED")


async def test_expired_resets_are_forgotten(idle: Security) -> None:
    security = await idle.start(
        upkeep_every=OFTEN,
        password_reset_life=timedelta(minutes=5),
        **first_operator(idle.folder),
    )
    player_id = await security.register()
    await create_reset(security, await security.operator_login(), player_id)

    async def stored() -> int:
        async with security.database.snapshot() as connection:
            return len((await connection.execute(select(PASSWORD_RESET))).all())

    assert await stored() == 1
    security.clock.advance(5 * MINUTE)

    async def forgotten() -> bool:
        return await stored() == 0

    await until(forgotten)
    assert len(await actions(security)) == 1
