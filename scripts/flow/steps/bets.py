"""The provider opens the session and bets in it."""

import uuid

from scripts.flow.player import money, shown, stopwatch
from scripts.flow.provider import Answer
from scripts.flow.step import Step, check
from scripts.flow.steps.authorization import END_STAGE
from scripts.flow.world import World

OPEN_STAGE = "Send request to provider"
STAGE = "Transmission of bets"
STAKE = 1_000
_OTHER_PROVIDER = "globex"


async def authenticate(world: World) -> str:
    """The provider asks for whom the token stands."""
    answer = await world.provider.call("AuthenticateSession", {"sessionToken": world.session_token})
    check(answer.is_ok, f"answered {answer}")
    session = answer.response["gameSession"]
    check(session["gameSessionId"] == world.game_session_id, "it is another session")
    check(session["playerId"] == world.player.player_id, "it is another player")
    return f"player {session['playerId'][:8]}… at {session['gameId']} in {session['currencyCode']}"


async def refuse_foreign_session(world: World) -> str:
    """Another provider uses the token, with a good key of its own; then a token is invented."""
    operator = await world.operator()
    await operator.add_provider(_OTHER_PROVIDER, "Globex", "127.0.0.1:9")
    api_key = await operator.make_api_key(_OTHER_PROVIDER)
    foreign = await world.provider.call(
        "PlaceBet", _bet(world, str(uuid.uuid4()), STAKE), api_key=api_key
    )
    check(_is_unknown(foreign), f"answered {foreign}")
    invented = await world.provider.call("AuthenticateSession", {"sessionToken": "not-a-token"})
    check(_is_unknown(invented), f"an invented token is answered {invented}")
    return str(foreign)


async def refuse_wrong_key(world: World) -> str:
    """The provider's key is not its key."""
    answer = await world.provider.call(
        "AuthenticateSession", {"sessionToken": world.session_token}, api_key="not-a-key"
    )
    expected = answer.code == "UNAUTHENTICATED" and answer.reason == "CREDENTIAL_INVALID"
    check(expected, f"answered {answer}")
    return str(answer)


async def read_balance(world: World) -> str:
    """The provider reads what the player can bet."""
    answer = await world.provider.call("GetPlayerBalance", {"sessionToken": world.session_token})
    check(answer.is_ok, f"answered {answer}")
    balance = int(answer.response["balance"]["minorUnits"])
    check(balance == world.balance, f"the provider sees {shown(balance)}")
    return shown(balance)


async def bet(world: World) -> str:
    """The provider takes a stake."""
    world.round_id = str(uuid.uuid4())
    world.bet_id = str(uuid.uuid4())
    answer = await place_bet(world, world.bet_id)
    return f"{shown(-STAKE)}, ledger transfer {answer.seq}"


async def repeat_bet(world: World) -> str:
    """The same bet again is the same bet."""
    again = await world.provider.call("PlaceBet", _bet(world, world.bet_id, STAKE))
    check(again.is_ok, f"answered {again}")
    check(again.response == world.bets[0].response, "another answer")
    return f"ledger transfer {again.seq} again, nothing moved"


async def refuse_other_amount(world: World) -> str:
    """The same id with another amount is an error."""
    answer = await world.provider.call("PlaceBet", _bet(world, world.bet_id, STAKE + 1))
    check(answer.code == "ALREADY_EXISTS" and answer.reason == "KEY_REUSED", f"answered {answer}")
    return str(answer)


async def refuse_uncovered(world: World) -> str:
    """A stake above the balance is refused, and stays refused."""
    request = _bet(world, str(uuid.uuid4()), world.balance + 1)
    answer = await world.provider.call("PlaceBet", request)
    check(_is_uncovered(answer), f"answered {answer}")
    again = await world.provider.call("PlaceBet", request)
    check(_is_uncovered(again), f"the second time it is answered {again}")
    return str(answer)


async def refuse_after_logout(world: World) -> str:
    """The game session ended with the login; no later bet of it is accepted."""
    world.round_id = str(uuid.uuid4())
    answer = await world.provider.call("PlaceBet", _bet(world, str(uuid.uuid4()), STAKE))
    expected = answer.code == "FAILED_PRECONDITION" and answer.reason == "SESSION_ENDED"
    check(expected, f"answered {answer}")
    return str(answer)


async def place_bet(world: World, transaction_id: str) -> Answer:
    """Takes a stake that must be taken, and follows it to the balance stream."""
    answer = await world.provider.call("PlaceBet", _bet(world, transaction_id, STAKE))
    await follow(world, answer, change=-STAKE)
    world.bets.append(answer)
    return answer


async def follow(world: World, answer: Answer, *, change: int) -> None:
    """Checks a movement's answer, and waits until the stream shows its balance."""
    check(answer.is_ok, f"answered {answer}")
    world.last_movement_at = stopwatch()
    world.balance += change
    told = answer.balance_minor_units
    check(told == world.balance, f"the answer says {shown(told)}, not {shown(world.balance)}")
    await world.stream.reach(world.balance, within_s=world.patience_s)


def _bet(world: World, transaction_id: str, minor_units: int) -> dict[str, object]:
    return {
        "sessionToken": world.session_token,
        "transactionId": transaction_id,
        "roundId": world.round_id or str(uuid.uuid4()),
        "amount": money(minor_units),
    }


def _is_unknown(answer: Answer) -> bool:
    return answer.code == "UNAUTHENTICATED" and answer.reason == "SESSION_NOT_FOUND"


def _is_uncovered(answer: Answer) -> bool:
    return answer.code == "FAILED_PRECONDITION" and answer.reason == "INSUFFICIENT_FUNDS"


OPEN = (
    Step(OPEN_STAGE, "the provider authenticates the game session", authenticate),
    Step(OPEN_STAGE, "a foreign game session is refused", refuse_foreign_session),
    Step(OPEN_STAGE, "a wrong API key is refused", refuse_wrong_key),
    Step(OPEN_STAGE, "the provider reads the balance", read_balance),
)
STEPS = (
    Step(STAGE, "the provider bets", bet),
    Step(STAGE, "a duplicate bet gets the same answer", repeat_bet),
    Step(STAGE, "its id with another amount is refused", refuse_other_amount),
    Step(STAGE, "a bet above the balance is refused", refuse_uncovered),
)
AFTER_LOGOUT = Step(END_STAGE, "a bet after the logout is refused", refuse_after_logout)
