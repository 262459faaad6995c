"""What the store forgets, and what it must not."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from services.security.tables import LOGIN_SESSION, REFRESH_TOKEN
from tests.factories.security import refresh
from tests.kit.refusals import told
from tests.kit.waiting import until
from tests.security.doubles import UNAVAILABLE, LoggedIn, Security, first_operator
from tests.security.test_sessions import LOGOUT, OFTEN, refresh_refused, session_of

DAY = timedelta(days=1)


async def sessions(security: Security) -> set[str]:
    async with security.database.snapshot() as connection:
        found = await connection.execute(select(LOGIN_SESSION.c.login_session_id))
        return set(found.scalars())


async def tokens(security: Security) -> int:
    async with security.database.snapshot() as connection:
        return len((await connection.execute(select(REFRESH_TOKEN))).all())


async def start(idle: Security) -> Security:
    return await idle.start(
        upkeep_every=OFTEN,
        login_session_retention=2 * DAY,
        player_session_idle=timedelta(days=30),
        player_session_life=timedelta(days=30),
        **first_operator(idle.folder),
    )


async def test_sessions_that_ended_long_ago_are_forgotten(
    idle: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.security.service.sessions._BATCH", 2)
    security = await start(idle)
    player = await security.player()
    ended = [LoggedIn(player.subject_id, "", (await security.login()).tokens) for _ in range(5)]
    operator = await security.operator_login()
    for each in (*ended, operator):
        await security.edge.Logout(LOGOUT, metadata=each.metadata)
    security.clock.advance(2 * DAY - timedelta(minutes=1))
    late = LoggedIn(player.subject_id, "", (await security.login()).tokens)
    assert await sessions(security) == {
        session_of(each) for each in (player, operator, late, *ended)
    }
    security.clock.advance(timedelta(minutes=1))
    left = {session_of(player), session_of(late)}

    async def forgotten() -> bool:
        return await sessions(security) == left

    await until(forgotten)
    # Those that are open stay, however old.
    await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    # Nor does the feed forget who came and went.
    kinds = await security.kinds()
    assert kinds.count("login_session_ended") == 6
    assert (await security.operator_login()).subject_id == operator.subject_id


async def test_session_of_whose_end_game_does_not_know_is_kept(idle: Security) -> None:
    security = await start(idle)
    player = await security.player()
    security.game.failure = UNAVAILABLE
    await told(security.edge.Logout(LOGOUT, metadata=player.metadata))
    security.clock.advance(3 * DAY)
    asked = security.game.asked
    # A whole round of the upkeep has passed by the second question.
    await until(lambda: security.game.asked >= asked + 2)
    assert await sessions(security) == {session_of(player)}
    security.game.failure = None

    async def forgotten() -> bool:
        return not await sessions(security)

    await until(forgotten)
    assert security.game.ended() == [session_of(player)]


async def test_used_refresh_tokens_are_known_as_long_as_their_session(security: Security) -> None:
    player = await security.player()
    used = [player.tokens.refresh_token]
    for _ in range(4):
        answer = await security.edge.RefreshToken(refresh(used[-1]))
        used.append(answer.tokens.refresh_token)
    assert await tokens(security) == 5
    # The oldest is recognised still, and ends the session; then nothing is left of them.
    await refresh_refused(security, used[0])
    await refresh_refused(security, used[-1])
    assert await tokens(security) == 0
