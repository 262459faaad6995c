"""ChangePassword."""

import asyncio
from typing import Any

import pytest
from croupier.security.v1 import security_service_pb2

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
from tests.security.doubles import UNAVAILABLE, LoggedIn, Security, refused
from tests.security.test_login import MINUTE, WRONG, fail, hashes
from tests.security.test_second_factor import code_at, enrolled, wrong_code
from tests.security.test_sessions import LOGOUT, OFTEN, refresh_refused, session_of

NEW = "copper window 61"


async def change(
    security: Security, who: LoggedIn, old: str = PASSWORD, new: str = NEW, code: str = ""
) -> None:
    request = security_service_pb2.ChangePasswordRequest(
        old_password=old, new_password=new, totp_code=code
    )
    await security.edge.ChangePassword(request, metadata=(*who.metadata, *FROM_CLIENT))


async def test_changed_password_replaces_the_old_one(security: Security) -> None:
    player = await security.player()
    await change(security, player)
    await refused(security.login(), "UNAUTHENTICATED", "LOGIN_REFUSED")
    assert (await security.login(EMAIL, NEW)).subject_id == player.player_id
    (changed,) = [event for event in await security.events() if event.HasField("password_changed")]
    assert changed.password_changed.subject_id == player.player_id
    assert changed.password_changed.client_address == CLIENT_ADDRESS
    assert not changed.password_changed.reset


async def test_operator_changes_a_password_too(security: Security) -> None:
    operator = await security.operator_login()
    await change(security, operator, OPERATOR_PASSWORD)
    assert (await security.login(OPERATOR_EMAIL, NEW)).subject_id == operator.subject_id
    assert security.game.asked == 0


async def test_change_ends_all_sessions_but_the_one_that_changes(security: Security) -> None:
    other = await security.player()
    thief = await security.login()
    answer = await security.login()
    mine = LoggedIn(answer.subject_id, EMAIL, answer.tokens)
    bystander = await security.player("bob@players.example")
    await change(security, mine)
    for token in (other.tokens.refresh_token, thief.tokens.refresh_token):
        await refresh_refused(security, token)
    await security.edge.RefreshToken(refresh(mine.tokens.refresh_token))
    await security.edge.RefreshToken(refresh(bystander.tokens.refresh_token))
    await until(lambda: len(security.game.ended()) == 2)
    assert session_of(mine) not in security.game.ended()
    assert (await security.kinds()).count("login_session_ended") == 2


async def test_more_sessions_than_one_batch_all_end(
    security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.security.service.sessions._BATCH", 2)
    player = await security.player()
    others = [await security.login() for _ in range(5)]
    await change(security, player)
    for other in others:
        await refresh_refused(security, other.tokens.refresh_token)
    await security.edge.RefreshToken(refresh(player.tokens.refresh_token))


async def test_change_while_game_is_away_tells_it_later(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN)
    other = await security.player()
    answer = await security.login()
    security.game.failure = UNAVAILABLE
    await change(security, LoggedIn(answer.subject_id, EMAIL, answer.tokens))
    assert security.game.ended() == []
    security.game.failure = None
    await until(lambda: security.game.ended() == [session_of(other)])


async def test_wrong_old_passwords_lock_like_those_of_a_login(security: Security) -> None:
    player = await security.player()
    await fail(security)
    for _ in range(2):
        await refused(change(security, player, WRONG), "UNAUTHENTICATED", "PASSWORD_REFUSED")
    for attempt in (change(security, player), security.login()):
        refusal = await told(attempt)
        assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "CREDENTIAL_LOCKED")
    # What can be tried during a lock is as bounded as at the login.
    for _ in range(3):
        await refused(change(security, player, WRONG), "UNAUTHENTICATED", "PASSWORD_REFUSED")
    await refused(change(security, player), "UNAUTHENTICATED", "PASSWORD_REFUSED")
    failures = [event for event in await security.events() if event.HasField("login_failed")]
    assert [event.login_failed.locked for event in failures][:3] == [False, False, True]
    security.clock.advance(30 * MINUTE)
    await security.login()


async def test_change_forgets_the_failures_before_it(security: Security) -> None:
    player = await security.player()
    await fail(security, 2)
    await change(security, player)
    await fail(security, 2)
    await security.login(EMAIL, NEW)


async def test_second_factor_is_needed_to_change(security: Security) -> None:
    player, secret = await enrolled(security)
    await refused(change(security, player), "UNAUTHENTICATED", "TOTP_REQUIRED")
    wrong = wrong_code(security, secret)
    await refused(change(security, player, code=wrong), "UNAUTHENTICATED", "TOTP_REFUSED")
    await change(security, player, code=code_at(security, secret))
    await refused(security.login(EMAIL, NEW), "UNAUTHENTICATED", "TOTP_REQUIRED")


@pytest.mark.parametrize("new", ["password1234", "ada@players", "aaaaaaaaaaaa"])
async def test_new_password_is_judged_as_at_registration(security: Security, new: str) -> None:
    player = await security.player()
    await refused(change(security, player, new=new), "INVALID_ARGUMENT", "PASSWORD_TOO_COMMON")
    await security.login()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", NEW), "old_password"),
        ((PASSWORD, "short 1 2"), "new_password"),
        ((PASSWORD, "x1" * 129), "new_password"),
        ((PASSWORD, NEW, "12345"), "totp_code"),
    ],
)
async def test_fields_have_bounds(
    security: Security, arguments: tuple[str, ...], field: str
) -> None:
    player = await security.player()
    await refused(
        change(security, player, *arguments), "INVALID_ARGUMENT", "INVALID_REQUEST", fields=field
    )


async def test_login_with_the_old_password_does_not_outlive_the_change(idle: Security) -> None:
    # One thread, and hashes that take long: the login compares with a hash that the change, which
    # is ahead of it in the line, replaces meanwhile.
    security = await idle.start(
        password_hash_threads=1, password_hash_memory_kib=65_536, password_hash_passes=4
    )
    player = await security.player()
    before = hashes()
    changing = asyncio.create_task(change(security, player))
    await until(lambda: hashes() > before)
    outcome: Any = (await asyncio.gather(security.login(), return_exceptions=True))[0]
    await changing
    if isinstance(outcome, BaseException):
        assert "the address or the password is wrong" in str(outcome)
    else:
        await refresh_refused(security, outcome.tokens.refresh_token)
    await security.login(EMAIL, NEW)


async def test_of_two_changes_at_once_one_wins(security: Security) -> None:
    player = await security.player()
    gate = asyncio.Barrier(2)
    wanted = (NEW, "marble engine 38")

    async def attempt(new: str) -> str:
        await gate.wait()
        await change(security, player, new=new)
        return new

    outcomes = await asyncio.gather(*map(attempt, wanted), return_exceptions=True)
    (won,) = [each for each in outcomes if isinstance(each, str)]
    await security.login(EMAIL, won)


async def test_only_who_has_logged_in_changes_a_password(security: Security) -> None:
    player = await security.player()
    request = security_service_pb2.ChangePasswordRequest(old_password=PASSWORD, new_password=NEW)
    await refused(
        security.edge.ChangePassword(request),
        "UNAUTHENTICATED",
        "CREDENTIAL_MISSING",
        level="AUTH_LEVEL_SUBJECT",
    )
    await refused(
        security.edge.ChangePassword(request, metadata=TokenIssuer().player(player.player_id)),
        "UNAUTHENTICATED",
        "CREDENTIAL_INVALID",
    )
    await refused(
        security.player_service.ChangePassword(request, metadata=player.metadata),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller=player.player_id,
        method="croupier.security.v1.SecurityService/ChangePassword",
    )
    # Another's token changes that one's password, and it is not this one.
    other = await security.player("bob@players.example")
    await change(security, other)
    await security.login()
    await security.edge.Logout(LOGOUT, metadata=player.metadata)
    await refused(change(security, player), "UNAUTHENTICATED", "CREDENTIAL_INVALID")
