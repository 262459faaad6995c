import asyncio
from datetime import timedelta
from typing import Any

import pytest
from croupier.security.v1 import security_service_pb2
from google.protobuf.json_format import MessageToDict
from prometheus_client import REGISTRY

from services.kit.tokens import TokenVerifier
from tests.factories.security import (
    CLIENT_ADDRESS,
    EMAIL,
    OPERATOR_EMAIL,
    OPERATOR_PASSWORD,
    PASSWORD,
    bearer,
    login,
    refresh,
)
from tests.kit.refusals import told
from tests.security.doubles import Security, moment, refused

MINUTE = timedelta(minutes=1)
WRONG = "another password"


def verifier(security: Security) -> TokenVerifier:
    async def fetch() -> dict[str, Any]:
        return MessageToDict(await security.edge.GetJwks(security_service_pb2.GetJwksRequest()))

    return TokenVerifier(fetch)


async def fail(security: Security, times: int = 1) -> None:
    for _ in range(times):
        await refused(security.login(EMAIL, WRONG), "UNAUTHENTICATED", "LOGIN_REFUSED")


async def test_login_gives_tokens_that_every_service_verifies(security: Security) -> None:
    player_id = await security.register()
    answer = await security.login()
    claims = await verifier(security).claims(answer.tokens.access_token)
    assert answer.subject_id == player_id
    assert claims["sub"] == player_id
    assert claims["kind"] == "player"
    assert claims["roles"] == []
    assert claims["exp"] - claims["iat"] == 600
    assert claims["exp"] == answer.tokens.access_expire_time.seconds
    now = security.clock.now()
    assert moment(answer.tokens.refresh_expire_time) == now + timedelta(minutes=30)
    assert set(claims) == {"iss", "aud", "sub", "sid", "kind", "roles", "iat", "exp"}


async def test_operator_logs_in_at_the_same_door(security: Security) -> None:
    answer = await security.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)
    claims = await verifier(security).claims(answer.tokens.access_token)
    assert claims["kind"] == "operator"
    assert claims["roles"] == ["admin"]


async def test_case_of_the_address_does_not_matter(security: Security) -> None:
    await security.register("Ada@Players.Example")
    assert (await security.login("aDA@players.EXAMPLE")).subject_id


async def test_previous_login_is_told(security: Security) -> None:
    await security.register()
    first = await security.login()
    assert not first.HasField("previous_login_time")
    time = security.clock.now()
    security.clock.advance(MINUTE)
    assert moment((await security.login()).previous_login_time) == time


async def test_unknown_address_and_wrong_password_look_the_same(security: Security) -> None:
    await security.register()
    wrong = await told(security.login(EMAIL, WRONG))
    unknown = await told(security.login("nobody@players.example", WRONG))
    assert wrong == unknown
    await refused(security.login(EMAIL, WRONG), "UNAUTHENTICATED", "LOGIN_REFUSED")


def hashes() -> float:
    return REGISTRY.get_sample_value("password_hash_duration_seconds_count") or 0


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, PASSWORD), (EMAIL, WRONG), ("nobody@players.example", WRONG)],
    ids=["right", "wrong password", "unknown address"],
)
async def test_every_login_hashes_once(security: Security, email: str, password: str) -> None:
    await security.register()
    before = hashes()
    await asyncio.gather(security.login(email, password), return_exceptions=True)
    assert hashes() - before == 1


@pytest.mark.parametrize(
    ("email", "password", "totp_code", "fields"),
    [
        ("no address", PASSWORD, "", "email"),
        (EMAIL, "", "", "password"),
        (EMAIL, "x" * 257, "", "password"),
        (EMAIL, PASSWORD, "12345", "totp_code"),
    ],
)
async def test_request_that_breaks_a_rule_is_refused(
    security: Security, email: str, password: str, totp_code: str, fields: str
) -> None:
    await refused(
        security.login(email, password, totp_code),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        fields=fields,
    )


async def test_three_failures_lock_and_only_the_owner_is_told(security: Security) -> None:
    await security.register()
    await fail(security, 3)
    unlock_time = security.clock.now() + 30 * MINUTE
    await refused(
        security.login(),
        "PERMISSION_DENIED",
        "CREDENTIAL_LOCKED",
        unlock_time=unlock_time.isoformat().replace("+00:00", "Z"),
    )
    await fail(security)


async def test_two_failures_do_not_lock(security: Security) -> None:
    await security.register()
    await fail(security, 2)
    await security.login()
    # A success forgets them.
    await fail(security, 2)
    await security.login()


async def test_failures_count_for_thirty_minutes(security: Security) -> None:
    await security.register()
    await fail(security)
    security.clock.advance(29 * MINUTE)
    await fail(security)
    security.clock.advance(2 * MINUTE)
    # The first no longer counts, the second does.
    await fail(security)
    await security.login()
    await fail(security, 3)
    refusal = await told(security.login())
    assert refusal.code.name == "PERMISSION_DENIED"


async def test_lock_ends_after_thirty_minutes_whatever_was_tried_meanwhile(
    security: Security,
) -> None:
    await security.register()
    await fail(security, 3)
    security.clock.advance(29 * MINUTE)
    await fail(security, 2)
    await refused_as_locked(security)
    security.clock.advance(MINUTE)
    # What was tried during the lock does not count towards the next one.
    await fail(security, 2)
    await security.login()


async def refused_as_locked(security: Security) -> None:
    refusal = await told(security.login())
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "CREDENTIAL_LOCKED")


async def test_locked_credential_does_not_help_a_guesser(security: Security) -> None:
    await security.register()
    await fail(security, 6)
    # A guess that happens to be right is answered like all the others.
    await refused(security.login(), "UNAUTHENTICATED", "LOGIN_REFUSED")
    security.clock.advance(30 * MINUTE)
    await security.login()


async def test_guesses_made_at_once_are_all_counted(security: Security) -> None:
    await security.register()
    gate = asyncio.Barrier(8)

    async def guess(password: str) -> tuple[str, str]:
        await gate.wait()
        refusal = await told(security.login(EMAIL, password))
        return refusal.code.name, refusal.reason

    answers = await asyncio.gather(*(guess(f"{WRONG} {number}") for number in range(8)))
    assert set(answers) == {("UNAUTHENTICATED", "LOGIN_REFUSED")}
    failed = [event.login_failed.locked for event in await security.events()]
    assert failed == [False, False, True, True, True, True, True, True]
    await refused(security.login(), "UNAUTHENTICATED", "LOGIN_REFUSED")


async def test_two_failures_at_once_and_one_more_lock(security: Security) -> None:
    await security.register()
    gate = asyncio.Barrier(2)

    async def guess() -> None:
        await gate.wait()
        await fail(security)

    await asyncio.gather(guess(), guess())
    await fail(security)
    await refused_as_locked(security)


async def test_logins_appear_in_the_feed(security: Security) -> None:
    player_id = await security.register()
    answer = await security.login()
    await refused(
        security.login("nobody@players.example", WRONG), "UNAUTHENTICATED", "LOGIN_REFUSED"
    )
    await fail(security, 3)
    await refused_as_locked(security)
    succeeded, unknown, *failed = await security.events()
    assert succeeded.login_succeeded.subject_id == player_id
    assert succeeded.login_succeeded.client_address == CLIENT_ADDRESS
    claims = await verifier(security).claims(answer.tokens.access_token)
    assert succeeded.login_succeeded.login_session_id == claims["sid"]
    assert unknown.login_failed.subject_id == ""
    assert unknown.login_failed.client_address == CLIENT_ADDRESS
    assert [event.login_failed.subject_id for event in failed] == [player_id] * 4
    assert [event.login_failed.locked for event in failed] == [False, False, True, True]


async def test_hash_with_outdated_parameters_is_replaced_at_login(idle: Security) -> None:
    await idle.start()
    await idle.register()
    stronger = await idle.start_replica(password_hash_passes=2)
    edge = idle.caller("edge", port=stronger)
    for hashed in (2, 1):
        before = hashes()
        await edge.Login(login())
        assert hashes() - before == hashed
    # A replica with the old parameters still understands it.
    await idle.login()


async def test_logins_beyond_the_bound_are_refused_as_overload(idle: Security) -> None:
    await idle.start(
        password_hash_threads=1,
        password_hash_waiting_max=0,
        password_hash_memory_kib=65_536,
        password_hash_passes=4,
    )
    await idle.register()
    gate = asyncio.Barrier(4)

    async def guess() -> str:
        await gate.wait()
        refusal = await told(idle.login("nobody@players.example", WRONG))
        return f"{refusal.code.name} {refusal.reason}"

    answers = set(await asyncio.gather(*(guess() for _ in range(4))))
    assert "RESOURCE_EXHAUSTED OVERLOADED" in answers
    await idle.login()


async def test_another_service_may_carry_a_login(security: Security) -> None:
    # The method is public: whoever is inside the mesh may call it.
    await security.register()
    assert (await security.game_service.Login(login())).subject_id


async def test_players_token_opens_no_operators_method(security: Security) -> None:
    player = await security.player()
    request = security_service_pb2.CreateApiKeyRequest(provider_id="acme")
    await refused(
        security.edge.CreateApiKey(request, metadata=bearer(player.tokens.access_token)),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=player.player_id,
        method="croupier.security.v1.SecurityService/CreateApiKey",
    )


async def test_refresh_token_is_no_access_token(security: Security) -> None:
    player = await security.player()
    await refused(
        security.edge.Logout(
            security_service_pb2.LogoutRequest(), metadata=bearer(player.tokens.refresh_token)
        ),
        "UNAUTHENTICATED",
        "CREDENTIAL_INVALID",
    )
    await refused(
        security.edge.RefreshToken(refresh(player.tokens.access_token[:256])),
        "UNAUTHENTICATED",
        "REFRESH_TOKEN_INVALID",
    )


async def test_start_with_an_operator_changes_nothing(security: Security) -> None:
    file = security.folder / "another"
    file.write_text("crimson bottle 11")
    await security.start_replica(
        first_operator_email="second@casino.example", first_operator_password_file=file
    )
    await refused(
        security.login("second@casino.example", "crimson bottle 11"),
        "UNAUTHENTICATED",
        "LOGIN_REFUSED",
    )
