"""How rounds go on: a win, a bet that is rolled back, the end."""

import uuid

from scripts.flow.player import money, shown
from scripts.flow.step import Step, check
from scripts.flow.steps.bets import STAKE, follow, place_bet
from scripts.flow.world import World

STAGE = "Getting the result"
WIN = 2_500


async def win(world: World) -> str:
    """The provider pays a win for the first bet."""
    answer = await world.provider.call(
        "PayWin",
        {
            "sessionToken": world.session_token,
            "transactionId": str(uuid.uuid4()),
            "roundId": world.round_id,
            "amount": money(WIN),
            "betTransactionId": world.bet_id,
        },
    )
    await follow(world, answer, change=WIN)
    return f"+{shown(WIN)}"


async def bet_again(world: World) -> str:
    """The provider takes a second stake in the round."""
    world.bet_id = str(uuid.uuid4())
    await place_bet(world, world.bet_id)
    return shown(-STAKE)


async def roll_back(world: World) -> str:
    """The provider takes the second bet back."""
    answer = await world.provider.call(
        "RollBack",
        {
            "sessionToken": world.session_token,
            "transactionId": str(uuid.uuid4()),
            "originalTransactionId": world.bet_id,
            "roundId": world.round_id,
        },
    )
    await follow(world, answer, change=STAKE)
    return f"+{shown(STAKE)}"


async def end_round(world: World) -> str:
    """The provider ends the round."""
    answer = await world.provider.call(
        "EndRound",
        {
            "sessionToken": world.session_token,
            "transactionId": str(uuid.uuid4()),
            "roundId": world.round_id,
        },
    )
    await follow(world, answer, change=0)
    return f"round {world.round_id}"


async def refuse_in_ended_round(world: World) -> str:
    """An ended round takes no bet."""
    answer = await world.provider.call(
        "PlaceBet",
        {
            "sessionToken": world.session_token,
            "transactionId": str(uuid.uuid4()),
            "roundId": world.round_id,
            "amount": money(STAKE),
        },
    )
    expected = answer.code == "FAILED_PRECONDITION" and answer.reason == "ROUND_CLOSED"
    check(expected, f"answered {answer}")
    return str(answer)


STEPS = (
    Step(STAGE, "the provider pays a win", win),
    Step(STAGE, "the provider bets again", bet_again),
    Step(STAGE, "the provider rolls that bet back", roll_back),
    Step(STAGE, "the provider ends the round", end_round),
    Step(STAGE, "a bet in the ended round is refused", refuse_in_ended_round),
)
