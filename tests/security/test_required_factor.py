"""Operators whose roles need a second factor."""

from typing import Any

import pytest
from croupier.security.v1 import security_service_pb2

from tests.factories.security import OPERATOR_EMAIL, OPERATOR_PASSWORD, refresh
from tests.security.doubles import LoggedIn, Security, first_operator, refused
from tests.security.test_second_factor import STEP, code_at, confirm, enroll
from tests.security.test_sessions import LOGOUT, claims

KEY = security_service_pb2.CreateApiKeyRequest(provider_id="acme")


@pytest.fixture
async def strict(idle: Security) -> Security:
    return await idle.start(second_factor_roles=["admin", "cashier"], **first_operator(idle.folder))


def roles(tokens: Any) -> list[str]:
    found: list[str] = claims(tokens.access_token)["roles"]
    return found


async def test_roles_are_withheld_until_a_second_factor_is_enrolled(strict: Security) -> None:
    operator = await strict.operator_login()
    assert (roles(operator.tokens), list(operator.tokens.withheld_roles)) == ([], ["admin"])
    await refused(
        strict.edge.CreateApiKey(KEY, metadata=operator.metadata),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=operator.subject_id,
        method="croupier.security.v1.SecurityService/CreateApiKey",
    )
    secret = (await enroll(strict, operator)).secret
    await confirm(strict, operator, code_at(strict, secret))
    answer = await strict.edge.RefreshToken(refresh(operator.tokens.refresh_token))
    assert (roles(answer.tokens), list(answer.tokens.withheld_roles)) == (["admin"], [])
    proven = LoggedIn(operator.subject_id, operator.email, answer.tokens)
    assert await strict.edge.CreateApiKey(KEY, metadata=proven.metadata)


async def test_login_with_a_code_has_all_roles(strict: Security) -> None:
    operator = await strict.operator_login()
    secret = (await enroll(strict, operator)).secret
    await confirm(strict, operator, code_at(strict, secret))
    strict.clock.advance(2 * STEP)
    answer = await strict.login(OPERATOR_EMAIL, OPERATOR_PASSWORD, code_at(strict, secret))
    assert (roles(answer.tokens), list(answer.tokens.withheld_roles)) == (["admin"], [])
    again = await strict.edge.RefreshToken(refresh(answer.tokens.refresh_token))
    assert roles(again.tokens) == ["admin"]


async def test_session_that_rests_on_the_password_gains_nothing_from_another(
    strict: Security,
) -> None:
    thief = await strict.operator_login()
    operator = await strict.operator_login()
    secret = (await enroll(strict, operator)).secret
    await confirm(strict, operator, code_at(strict, secret))
    answer = await strict.edge.RefreshToken(refresh(thief.tokens.refresh_token))
    assert (roles(answer.tokens), list(answer.tokens.withheld_roles)) == ([], ["admin"])


async def test_other_roles_and_players_need_none(strict: Security) -> None:
    await strict.add_operator("mixed@casino.example", "analyst", "cashier")
    mixed = await strict.operator_login("mixed@casino.example")
    assert (roles(mixed.tokens), list(mixed.tokens.withheld_roles)) == (["analyst"], ["cashier"])
    player = await strict.player()
    assert (roles(player.tokens), list(player.tokens.withheld_roles)) == ([], [])


async def test_operator_without_roles_can_still_log_out(strict: Security) -> None:
    operator = await strict.operator_login()
    await strict.edge.Logout(LOGOUT, metadata=operator.metadata)
    await refused(enroll(strict, operator), "UNAUTHENTICATED", "CREDENTIAL_INVALID")
