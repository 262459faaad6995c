"""Who the player is: registration, login, and the end of it."""

import asyncio
from datetime import UTC, datetime, timedelta

from scripts.flow.step import Step, check
from scripts.flow.world import World

STAGE = "User authorization"
END_STAGE = "Logout"
_EXPIRY_WAIT_MAX = timedelta(minutes=2)
_UNAUTHORIZED = 401


async def register(world: World) -> str:
    """Registers over JSON, twice: the same request id answers the same."""
    player = world.player
    first = await world.door.expect("POST", "/v1/players:register", player.registration)
    again = await world.door.expect("POST", "/v1/players:register", player.registration)
    check(first["player"]["state"] == "STATE_ACTIVE", f"the player is {first['player']['state']}")
    check(
        first["player"]["playerId"] == again["player"]["playerId"],
        "the same registration made another player",
    )
    player.player_id = str(first["player"]["playerId"])
    return f"player {player.player_id}"


async def refuse_wrong_password(world: World) -> str:
    """Tries another password."""
    reply = await world.player.log_in("not the password")
    check(reply.status == _UNAUTHORIZED and reply.reason == "LOGIN_REFUSED", f"answered {reply}")
    return str(reply)


async def refuse_without_token(world: World) -> str:
    """Asks for the balance without a token."""
    reply = await world.door.call("GET", "/v1/wallet/balances")
    expected = reply.status == _UNAUTHORIZED and reply.reason == "CREDENTIAL_MISSING"
    check(expected, f"answered {reply}")
    return str(reply)


async def log_in(world: World) -> str:
    """Logs in, and opens the balance stream with the token."""
    reply = await world.player.log_in(world.player.password)
    check(reply.is_ok, f"answered {reply}")
    check(reply.body["subjectId"] == world.player.player_id, "the token is somebody else's")
    world.first_token, expire_time = world.player.held_token
    world.stream.start()
    await world.stream.reach(0, within_s=world.patience_s)
    life = expire_time - datetime.now(UTC)
    return f"JWT for {life.total_seconds():.0f} s; the balance stream is open"


async def log_out(world: World) -> str:
    """Ends the login session, and with it the game session."""
    await world.player.expect("POST", "/v1/auth:logout", {})
    reply = await world.player.refresh()
    expected = reply.status == _UNAUTHORIZED and reply.reason == "REFRESH_TOKEN_INVALID"
    check(expected, f"a refresh afterwards is answered {reply}")
    return f"a refresh afterwards: {reply}"


async def refuse_expired_token(world: World) -> str:
    """Waits until the first login's token has expired, and tries it."""
    # `iat` and `exp` are whole seconds, and both clocks are this machine's.
    token = world.first_token
    begun = datetime.now(UTC)
    while True:
        reply = await world.door.call("GET", "/v1/wallet/balances", token=token)
        if not reply.is_ok or datetime.now(UTC) - begun > _EXPIRY_WAIT_MAX:
            break
        await asyncio.sleep(0.1)
    expected = reply.status == _UNAUTHORIZED and reply.reason == "TOKEN_EXPIRED"
    check(expected, f"answered {reply}")
    return str(reply)


BEGIN = (
    Step(STAGE, "a player registers", register),
    Step(STAGE, "a wrong password is refused", refuse_wrong_password),
    Step(STAGE, "a request without a token is refused", refuse_without_token),
    Step(STAGE, "the player logs in", log_in),
)
LOG_OUT = Step(END_STAGE, "the player logs out", log_out)
EXPIRED = Step(END_STAGE, "an expired token is refused", refuse_expired_token)
