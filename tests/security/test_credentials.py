"""CreateCredential and the first operator."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.security.service.credentials import FirstOperatorError
from tests.factories.security import (
    EMAIL,
    OPERATOR_EMAIL,
    OPERATOR_PASSWORD,
    PASSWORD,
    create_credential,
)
from tests.security.doubles import Security, first_operator, refused


async def create(security: Security, *arguments: str, **named: str) -> None:
    await security.player_service.CreateCredential(create_credential(*arguments, **named))


async def test_repeat_answers_as_the_first_time(security: Security) -> None:
    player_id = str(uuid4())
    await create(security, player_id)
    await create(security, player_id)
    await create(security, player_id.upper(), email=EMAIL.upper())
    assert (await security.login()).subject_id == player_id


async def test_repeat_with_other_content_is_refused(security: Security) -> None:
    player_id = await security.register()
    for named in (
        {"player_id": str(uuid4())},
        {"player_id": str(uuid4()), "email": EMAIL.upper()},
        {"player_id": player_id, "password": "another password"},
        {"player_id": player_id, "email": "new@players.example"},
    ):
        await refused(create(security, **named), "ALREADY_EXISTS", "LOGIN_TAKEN")
    assert (await security.login()).subject_id == player_id


async def test_operators_address_is_taken(security: Security) -> None:
    await refused(create(security, email=OPERATOR_EMAIL), "ALREADY_EXISTS", "LOGIN_TAKEN")


async def test_equal_requests_at_once_both_succeed(security: Security) -> None:
    player_id = str(uuid4())
    gate = asyncio.Barrier(2)

    async def attempt() -> None:
        await gate.wait()
        await create(security, player_id)

    await asyncio.gather(attempt(), attempt())
    assert (await security.login()).subject_id == player_id


async def test_of_two_players_with_one_address_at_once_one_gets_it(security: Security) -> None:
    gate = asyncio.Barrier(2)

    async def attempt() -> Any:
        await gate.wait()
        await create(security)

    outcomes = await asyncio.gather(attempt(), attempt(), return_exceptions=True)
    (lost,) = [each for each in outcomes if isinstance(each, BaseException)]

    async def raise_lost() -> None:
        raise lost

    await refused(raise_lost(), "ALREADY_EXISTS", "LOGIN_TAKEN")


@pytest.mark.parametrize("password", ["password2027", "1234567890", "ada@players!"])
async def test_common_password_is_refused(security: Security, password: str) -> None:
    await refused(
        create(security, email="ada@players.example", password=password),
        "INVALID_ARGUMENT",
        "PASSWORD_TOO_COMMON",
    )


async def test_same_password_typed_on_another_keyboard_is_the_same(security: Security) -> None:
    await security.register(password="zwölf fröhliche")
    # The same letters, composed of two characters each.
    await security.login(EMAIL, "zwo\u0308lf fro\u0308hliche")


@pytest.mark.parametrize(
    ("named", "fields"),
    [
        ({"player_id": "me"}, "player_id"),
        ({"email": "nowhere"}, "email"),
        ({"password": "x" * 9}, "password"),
        ({"password": "x" * 257}, "password"),
    ],
)
async def test_request_that_breaks_a_rule_is_refused(
    security: Security, named: dict[str, str], fields: str
) -> None:
    await refused(create(security, **named), "INVALID_ARGUMENT", "INVALID_REQUEST", fields=fields)


async def test_only_player_creates_credentials(security: Security) -> None:
    for service in ("edge", "game", "security"):
        await refused(
            security.caller(service).CreateCredential(create_credential()),
            "PERMISSION_DENIED",
            "CALLER_NOT_ALLOWED",
            caller=service,
            method="croupier.security.v1.SecurityService/CreateCredential",
        )


# --- the first operator -------------------------------------------------------------------------


async def test_there_is_no_operator_unless_the_settings_name_one(idle: Security) -> None:
    await idle.start()
    await refused(idle.login(OPERATOR_EMAIL, OPERATOR_PASSWORD), "UNAUTHENTICATED", "LOGIN_REFUSED")


async def test_replicas_that_start_at_once_create_one_operator(idle: Security) -> None:
    settings = first_operator(idle.folder)
    await idle.start()
    await asyncio.gather(*(idle.start_replica(**settings) for _ in range(3)))
    await idle.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)


async def test_password_of_the_first_operator_can_be_changed_in_no_file(
    security: Security,
) -> None:
    # The file matters once: an operator who exists keeps the password.
    (security.folder / "operator-password").write_text("crimson bottle 11")
    await security.start_replica(**first_operator(security.folder))
    await security.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)


def operator_with(folder: Path, password: str) -> dict[str, Any]:
    settings = first_operator(folder)
    settings["first_operator_password_file"].write_text(password)
    return settings


@pytest.mark.parametrize("password", ["", "short", "password2027"])
async def test_first_operator_needs_a_good_password(idle: Security, password: str) -> None:
    with pytest.raises(FirstOperatorError):
        await idle.start(**operator_with(idle.folder, password))


async def test_first_operator_cannot_have_a_players_address(idle: Security) -> None:
    await idle.start()
    await idle.register(OPERATOR_EMAIL, PASSWORD)
    with pytest.raises(FirstOperatorError):
        await idle.start_replica(**first_operator(idle.folder))
