"""From the catalogue to an open game: who may play, and where."""

from urllib.parse import parse_qs, urlsplit

from scripts.flow.player import CURRENCY
from scripts.flow.step import Step, check
from scripts.flow.world import World

STAGE = "Game session launch"
_PRECONDITION_FAILED = 412
_NOT_FOUND = 404


async def list_games(world: World) -> str:
    """Lists the catalogue."""
    listed = await world.player.expect("GET", "/v1/games")
    games = {game["gameId"] for game in listed["games"]}
    check(games >= set(world.mesh.game_ids), f"the catalogue has only {sorted(games)}")
    return ", ".join(sorted(games))


async def refuse_unidentified(world: World) -> str:
    """Launches before the identity is checked."""
    reply = await world.player.call("POST", _launch(world.game_id), {"currencyCode": CURRENCY})
    expected = reply.status == _PRECONDITION_FAILED and reply.reason == "IDENTITY_NOT_VERIFIED"
    check(expected, f"answered {reply}")
    return str(reply)


async def verify_identity(world: World) -> str:
    """Has the identity checked by the sandbox."""
    body = {"documentNumber": "L01X00T47"}
    verified = await world.player.expect("POST", "/v1/player:verifyIdentity", body)
    return str(verified["player"]["identityState"]).removeprefix("IDENTITY_STATE_").lower()


async def refuse_unknown_game(world: World) -> str:
    """Launches a game that is not there."""
    reply = await world.player.call("POST", _launch("no-such-game"), {"currencyCode": CURRENCY})
    expected = reply.status == _NOT_FOUND and reply.reason == "GAME_NOT_FOUND"
    check(expected, f"answered {reply}")
    return str(reply)


async def launch(world: World) -> str:
    """Launches the game; the provider says where it is."""
    launched = await world.player.expect("POST", _launch(world.game_id), {"currencyCode": CURRENCY})
    session = launched["gameSession"]
    url = str(launched["launchUrl"])
    check(session["playerId"] == world.player.player_id, "the session is somebody else's")
    check(url.startswith(world.mesh.provider_url), f"the game is at {url}")
    # As the game's page does it in the player's browser.
    world.session_token = parse_qs(urlsplit(url).fragment)["token"][0]
    world.game_session_id = str(session["gameSessionId"])
    return f"{world.game_id} at {url.partition('#')[0]}"


def _launch(game_id: str) -> str:
    return f"/v1/games/{game_id}:launch"


STEPS = (
    Step(STAGE, "the player lists the games", list_games),
    Step(STAGE, "a launch before the identity check is refused", refuse_unidentified),
    Step(STAGE, "the player's identity is checked", verify_identity),
    Step(STAGE, "a launch of an unknown game is refused", refuse_unknown_game),
    Step(STAGE, "the player launches a game", launch),
)
