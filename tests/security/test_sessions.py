"""RefreshToken, Logout, EndLoginSessions, and sessions that expire."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from croupier.security.v1 import security_service_pb2
from sqlalchemy import delete

from services.security.tables import LOGIN_SESSION, REFRESH_TOKEN
from tests.factories.security import (
    EMAIL,
    OPERATOR_EMAIL,
    OPERATOR_PASSWORD,
    bearer,
    refresh,
)
from tests.kit.refusals import told
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until
from tests.security.doubles import (
    OVERLOADED,
    UNAVAILABLE,
    LoggedIn,
    Security,
    first_operator,
    moment,
    refused,
)

MINUTE = timedelta(minutes=1)
OFTEN = timedelta(milliseconds=20)
LOGOUT = security_service_pb2.LogoutRequest()


def claims(access_token: str) -> dict[str, Any]:
    # Signatures are tested elsewhere; here the clock runs ahead of the machine's.
    decoded: dict[str, Any] = jwt.decode(access_token, options={"verify_signature": False})
    return decoded


def session_of(player: LoggedIn) -> str:
    return str(claims(player.tokens.access_token)["sid"])


async def refresh_refused(security: Security, token: str) -> None:
    await refused(
        security.edge.RefreshToken(refresh(token)), "UNAUTHENTICATED", "REFRESH_TOKEN_INVALID"
    )


async def end_all(security: Security, player_id: str) -> int:
    request = security_service_pb2.EndLoginSessionsRequest(player_id=player_id)
    return int((await security.player_service.EndLoginSessions(request)).ended_count)


# --- refresh ------------------------------------------------------------------------------------


async def test_refresh_gives_the_next_tokens_of_the_same_session(security: Security) -> None:
    player = await security.player()
    security.clock.advance(9 * MINUTE)
    answer = await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    before, after = claims(player.tokens.access_token), claims(answer.tokens.access_token)
    assert {name: before[name] for name in ("sid", "sub", "kind")} == {
        name: after[name] for name in ("sid", "sub", "kind")
    }
    assert after["exp"] - before["exp"] == 540
    assert answer.tokens.refresh_token != player.tokens.refresh_token
    now = security.clock.now()
    assert moment(answer.tokens.refresh_expire_time) == now + 30 * MINUTE
    await security.edge.RefreshToken(refresh(answer.tokens.refresh_token))


async def test_operator_stays_an_operator(security: Security) -> None:
    first = await security.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)
    answer = await security.edge.RefreshToken(refresh(first.tokens.refresh_token))
    found = claims(answer.tokens.access_token)
    assert (found["kind"], found["roles"]) == ("operator", ["admin"])


async def test_unknown_refresh_token_is_refused(security: Security) -> None:
    await refresh_refused(security, "rubbish")


async def test_second_use_of_a_refresh_token_ends_the_session(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN)
    player = await security.player()
    answer = await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    await refresh_refused(security, player.tokens.refresh_token)
    # Whoever of the two is the thief has nothing left, neither tokens nor games.
    await refresh_refused(security, answer.tokens.refresh_token)
    # The refusal does not wait for a Game that takes long; the upkeep tells it then.
    await until(lambda: security.game.ended() == [session_of(player)])
    assert await security.kinds() == ["login_succeeded", "login_session_ended"]


async def test_second_use_ends_the_games_also_when_game_was_away(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN, **first_operator(idle.folder))
    player = await security.player()
    await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    security.game.failure = UNAVAILABLE
    await refresh_refused(security, player.tokens.refresh_token)
    assert security.game.ended() == []
    security.game.failure = None
    await until(lambda: security.game.ended() == [session_of(player)])


async def test_of_two_refreshes_at_once_exactly_one_wins(security: Security) -> None:
    player = await security.player()
    gate = asyncio.Barrier(2)

    async def attempt() -> Any:
        await gate.wait()
        return await security.edge.RefreshToken(refresh(player.tokens.refresh_token))

    outcomes = await asyncio.gather(attempt(), attempt(), return_exceptions=True)
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(won) == 1
    # The loser presented a used token, so the session has ended for both.
    await refresh_refused(security, won[0].tokens.refresh_token)


async def test_session_that_is_idle_for_long_must_log_in_again(security: Security) -> None:
    player = await security.player()
    security.clock.advance(30 * MINUTE)
    await refresh_refused(security, player.tokens.refresh_token)


async def test_session_ends_however_often_it_is_refreshed(idle: Security) -> None:
    security = await idle.start(player_session_life=timedelta(minutes=50))
    player = await security.player()
    end = security.clock.now() + 50 * MINUTE
    security.clock.advance(29 * MINUTE)
    second = await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    assert moment(second.tokens.refresh_expire_time) == end
    security.clock.advance(20 * MINUTE)
    third = await security.edge.RefreshToken(refresh(second.tokens.refresh_token))
    # Neither token outlives the session.
    assert moment(third.tokens.refresh_expire_time) == end
    assert moment(third.tokens.access_expire_time) == end.replace(microsecond=0)
    security.clock.advance(MINUTE)
    await refresh_refused(security, third.tokens.refresh_token)


async def test_operators_sessions_have_a_life_of_their_own(idle: Security) -> None:
    security = await idle.start(
        operator_session_idle=timedelta(minutes=5), **first_operator(idle.folder)
    )
    player = await security.player()
    operator = await security.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)
    security.clock.advance(5 * MINUTE)
    await refresh_refused(security, operator.tokens.refresh_token)
    await security.edge.RefreshToken(refresh(player.tokens.refresh_token))


async def test_login_ends_the_oldest_of_too_many_sessions(idle: Security) -> None:
    security = await idle.start(login_sessions_max=3, upkeep_every=OFTEN)
    first = await security.player()
    tokens = [(await security.login()).tokens for _ in range(4)]
    # The first two had to go, and their games with them.
    await refresh_refused(security, first.tokens.refresh_token)
    await refresh_refused(security, tokens[0].refresh_token)
    await until(
        lambda: (
            security.game.ended()
            == sorted((session_of(first), claims(tokens[0].access_token)["sid"]))
        )
    )
    for each in tokens[1:]:
        await security.edge.RefreshToken(refresh(each.refresh_token))


async def test_expired_sessions_are_ended_without_a_caller(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN, **first_operator(idle.folder))
    player = await security.player()
    await security.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)
    security.clock.advance(30 * MINUTE)
    # Operators have no games: only the player's session is told to Game.
    await until(lambda: security.game.ended() == [session_of(player)])
    ended = [event for event in await security.events() if event.HasField("login_session_ended")]
    assert len(ended) == 2
    assert player.player_id in {event.login_session_ended.subject_id for event in ended}


# --- logout -------------------------------------------------------------------------------------


async def test_logout_ends_the_session_and_its_games(security: Security) -> None:
    player = await security.player()
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    (request,) = security.game.requests
    assert list(request.login_session_ids) == [session_of(player)]
    assert request.token_expire_time == player.tokens.access_expire_time
    await refresh_refused(security, player.tokens.refresh_token)
    (_, event) = await security.events()
    assert event.login_session_ended.subject_id == player.player_id
    assert event.login_session_ended.login_session_id == session_of(player)


async def test_logout_tells_game_when_the_last_token_expires(security: Security) -> None:
    player = await security.player()
    security.clock.advance(MINUTE)
    answer = await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    assert security.game.requests[0].token_expire_time == answer.tokens.access_expire_time


async def test_logout_leaves_other_sessions_alone(security: Security) -> None:
    player = await security.player()
    other = await security.login()
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    await security.edge.RefreshToken(refresh(other.tokens.refresh_token))


async def test_logout_twice_ends_once(security: Security) -> None:
    player = await security.player()
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    assert await security.kinds() == ["login_succeeded", "login_session_ended"]
    assert security.game.asked == 1


@pytest.mark.parametrize("failure", [UNAVAILABLE, OVERLOADED], ids=["unavailable", "overloaded"])
async def test_logout_while_game_is_away_is_completed_by_a_repeat(
    idle: Security, failure: Exception
) -> None:
    security = await idle.start()
    player = await security.player()
    security.game.failure = failure
    await refused(
        security.edge.Logout(LOGOUT, metadata=player.metadata),
        "UNAVAILABLE",
        "UNAVAILABLE",
        dependency="game",
    )
    await refresh_refused(security, player.tokens.refresh_token)
    security.game.failure = None
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    assert security.game.ended() == [session_of(player)]


async def test_logout_that_game_does_not_answer_is_unavailable(idle: Security) -> None:
    security = await idle.start(game_timeout=timedelta(milliseconds=100))
    player = await security.player()
    security.game.silent = True
    await refused(
        security.edge.Logout(LOGOUT, metadata=player.metadata),
        "UNAVAILABLE",
        "UNAVAILABLE",
        dependency="game",
    )


async def test_logout_that_nobody_repeats_is_completed_all_the_same(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN, **first_operator(idle.folder))
    player = await security.player()
    security.game.failure = UNAVAILABLE
    await refused(
        security.edge.Logout(LOGOUT, metadata=player.metadata),
        "UNAVAILABLE",
        "UNAVAILABLE",
        dependency="game",
    )
    security.game.failure = None
    await until(lambda: security.game.ended() == [session_of(player)])


async def test_logout_and_refresh_at_once_leave_no_usable_token(security: Security) -> None:
    player = await security.player()
    gate = asyncio.Barrier(2)

    async def log_out() -> None:
        await gate.wait()
        await security.edge.Logout(LOGOUT, metadata=player.metadata)

    async def attempt() -> Any:
        await gate.wait()
        return await security.edge.RefreshToken(refresh(player.tokens.refresh_token))

    outcomes = await asyncio.gather(log_out(), attempt(), return_exceptions=True)
    refreshed: Any = outcomes[1]
    if not isinstance(refreshed, BaseException):
        await refresh_refused(security, refreshed.tokens.refresh_token)
        # Game keeps launches out until the token that was just given has expired.
        told = security.game.requests[0].token_expire_time
        assert told == refreshed.tokens.access_expire_time


async def test_logout_of_a_session_that_the_store_does_not_know_is_refused(
    security: Security,
) -> None:
    # As after the store was restored from an older backup.
    player = await security.player()
    async with security.database.transaction() as connection:
        await connection.execute(delete(REFRESH_TOKEN))
        await connection.execute(delete(LOGIN_SESSION))
    await refused(
        security.edge.Logout(LOGOUT, metadata=player.metadata),
        "UNAUTHENTICATED",
        "CREDENTIAL_INVALID",
    )


async def test_logout_needs_a_token_of_ours(security: Security) -> None:
    player = await security.player()
    await refused(
        security.edge.Logout(LOGOUT),
        "UNAUTHENTICATED",
        "CREDENTIAL_MISSING",
        level="AUTH_LEVEL_SUBJECT",
    )
    for token in (TokenIssuer().player(player.player_id), TokenIssuer().operator("admin")):
        await refused(
            security.edge.Logout(LOGOUT, metadata=token), "UNAUTHENTICATED", "CREDENTIAL_INVALID"
        )
    await refused(
        security.game_service.Logout(LOGOUT, metadata=player.metadata),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=player.player_id,
        method="croupier.security.v1.SecurityService/Logout",
    )


async def test_operator_logs_out(security: Security) -> None:
    operator = await security.operator_login()
    await security.edge.Logout(LOGOUT, metadata=operator.metadata)
    await refresh_refused(security, operator.tokens.refresh_token)
    (_, event) = await security.events()
    assert event.login_session_ended.subject_id == operator.subject_id
    # Operators have no games.
    assert security.game.asked == 0
    await security.edge.Logout(LOGOUT, metadata=operator.metadata)
    assert len(await security.events()) == 2


async def test_access_token_of_an_operator_who_logged_out_is_refused(security: Security) -> None:
    operator = await security.operator_login()
    key = security_service_pb2.CreateApiKeyRequest(provider_id="acme")
    made = await security.edge.CreateApiKey(key, metadata=operator.metadata)
    await security.edge.Logout(LOGOUT, metadata=operator.metadata)
    somebody = str(uuid4())
    for method, request in (
        (security.edge.EnrollTotp, security_service_pb2.EnrollTotpRequest()),
        (security.edge.ConfirmTotp, security_service_pb2.ConfirmTotpRequest(totp_code="123456")),
        (
            security.edge.ChangePassword,
            security_service_pb2.ChangePasswordRequest(
                old_password=OPERATOR_PASSWORD, new_password="copper window 61"
            ),
        ),
        (security.edge.CreateApiKey, key),
        (
            security.edge.RevokeApiKey,
            security_service_pb2.RevokeApiKeyRequest(api_key_id=made.api_key.api_key_id),
        ),
        (
            security.edge.UnlockCredential,
            security_service_pb2.UnlockCredentialRequest(
                subject_id=somebody, request_id=str(uuid4()), reason="asked by phone"
            ),
        ),
        (
            security.edge.CreatePasswordReset,
            security_service_pb2.CreatePasswordResetRequest(
                subject_id=somebody, reason="asked by phone"
            ),
        ),
    ):
        await refused(
            method(request, metadata=operator.metadata), "UNAUTHENTICATED", "CREDENTIAL_INVALID"
        )
    assert await security.edge.CreateApiKey(
        key, metadata=(await security.operator_login()).metadata
    )


# --- all sessions of a player -------------------------------------------------------------------


async def test_all_sessions_of_a_player_end(security: Security) -> None:
    player = await security.player()
    second = await security.login()
    other = await security.player("bob@players.example")
    assert await end_all(security, player.player_id.upper()) == 2
    for token in (player.tokens.refresh_token, second.tokens.refresh_token):
        await refresh_refused(security, token)
    await security.edge.RefreshToken(refresh(other.tokens.refresh_token))
    assert security.game.ended() == sorted(
        (session_of(player), claims(second.tokens.access_token)["sid"])
    )
    assert (await security.kinds()).count("login_session_ended") == 2
    assert await end_all(security, player.player_id) == 0
    # They may log in again: what a blocked player may do is decided elsewhere.
    await security.login()


async def test_token_expire_time_is_the_latest_of_all(security: Security) -> None:
    player = await security.player()
    security.clock.advance(MINUTE)
    second = await security.login()
    await end_all(security, player.player_id)
    (request,) = security.game.requests
    assert request.token_expire_time == second.tokens.access_expire_time


async def test_ending_all_sessions_while_game_is_away_is_completed_by_a_repeat(
    idle: Security,
) -> None:
    security = await idle.start()
    player = await security.player()
    security.game.failure = UNAVAILABLE
    refusal = await told(end_all(security, player.player_id))
    assert refusal.code.name == "UNAVAILABLE"
    await refresh_refused(security, player.tokens.refresh_token)
    security.game.failure = None
    assert await end_all(security, player.player_id) == 0
    assert security.game.ended() == [session_of(player)]


async def test_more_sessions_than_one_transaction_takes_all_end(
    security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.security.service.sessions._BATCH", 2)
    monkeypatch.setattr("services.security.service.sessions._GAMES_BATCH", 2)
    player = await security.player()
    for _ in range(4):
        await security.login()
    assert await end_all(security, player.player_id) == 5
    assert len(set(security.game.ended())) == 5
    assert max(len(request.login_session_ids) for request in security.game.requests) == 2


async def test_unknown_player_has_no_sessions(security: Security) -> None:
    assert await end_all(security, str(uuid4())) == 0


async def test_only_player_ends_all_sessions(security: Security) -> None:
    request = security_service_pb2.EndLoginSessionsRequest(player_id=str(uuid4()))
    for service in ("edge", "game"):
        await refused(
            security.caller(service).EndLoginSessions(request, metadata=bearer("x")),
            "PERMISSION_DENIED",
            "CALLER_NOT_ALLOWED",
            caller=service,
            method="croupier.security.v1.SecurityService/EndLoginSessions",
        )
    await refused(
        end_all(security, "me"), "INVALID_ARGUMENT", "INVALID_REQUEST", fields="player_id"
    )


async def test_sessions_survive_a_restart(security: Security) -> None:
    player = await security.player()
    port = await security.start_replica()
    edge = security.caller("edge", port=port)
    answer = await edge.RefreshToken(refresh(player.tokens.refresh_token))
    await edge.Logout(LOGOUT, metadata=bearer(answer.tokens.access_token))
    assert (await security.login(EMAIL)).subject_id == player.player_id
