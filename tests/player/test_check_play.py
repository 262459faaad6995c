from datetime import timedelta

import grpc
import pytest
from croupier.player.v1 import player_service_pb2

from tests.kit.refusals import told
from tests.player.world import World

UNKNOWN = "0198c0de-0000-7000-8000-000000000001"
DAY = timedelta(days=1)


async def test_player_who_may_play_is_summarized(world: World) -> None:
    player = await world.verified(country_code="SE", currency_code="SEK")
    summary = await world.check_play(player.player_id)
    assert (summary.player_id, summary.country_code, summary.currency_code) == (
        player.player_id,
        "SE",
        "SEK",
    )
    assert await world.check_play(player.player_id.upper()) == summary


async def test_first_refusal_that_applies_is_the_one_told(world: World) -> None:
    # Refused for all reasons at once, which are then taken away one by one.
    player_id = (await world.register(country_code="SE")).player_id
    await world.exclude(player_id, 10 * DAY)
    await world.block(player_id)
    strict = await world.start(countries_blocked=frozenset({"SE"}))
    request = player_service_pb2.CheckPlayRequest(player_id=player_id)
    game = world.stub("game", port=strict)

    async def refused_with() -> tuple[grpc.StatusCode, str, dict[str, str]]:
        found = await told(game.CheckPlay(request))
        return found.code, found.reason, found.metadata

    precondition = grpc.StatusCode.FAILED_PRECONDITION
    assert await refused_with() == (precondition, "NOT_ACTIVE", {"state": "STATE_BLOCKED"})
    await world.unblock(player_id)
    # Ages grow and never shrink, so that only the clock can make a registered player too young.
    birthdays = timedelta(days=366 * 20)
    world.clock.advance(-birthdays)
    assert await refused_with() == (precondition, "UNDER_AGE", {"age_min": "18"})
    world.clock.advance(birthdays)
    assert await refused_with() == (
        precondition,
        "IDENTITY_NOT_VERIFIED",
        {"identity_state": "IDENTITY_STATE_PENDING"},
    )
    assert (await told(world.verify(player_id, "REFUSE-1"))).reason == "IDENTITY_REFUSED"
    assert await refused_with() == (
        precondition,
        "IDENTITY_NOT_VERIFIED",
        {"identity_state": "IDENTITY_STATE_REFUSED"},
    )
    await world.verify(player_id)
    end = {"end_time": "2027-01-25T12:00:00Z"}
    assert await refused_with() == (precondition, "EXCLUDED", end)
    world.clock.advance(10 * DAY)
    assert await refused_with() == (precondition, "COUNTRY_NOT_ALLOWED", {"country_code": "SE"})
    assert (await world.check_play(player_id)).player_id == player_id


@pytest.mark.parametrize("caller", ["wallet", "analytics", "edge"])
async def test_only_game_may_ask(world: World, caller: str) -> None:
    request = player_service_pb2.CheckPlayRequest(player_id=UNKNOWN)
    found = await told(world.stub(caller).CheckPlay(request))
    assert found.code is grpc.StatusCode.PERMISSION_DENIED
    assert found.reason == "CALLER_NOT_ALLOWED"


async def test_unknown_player_is_not_found(world: World) -> None:
    found = await told(world.check_play(UNKNOWN))
    assert found.code is grpc.StatusCode.NOT_FOUND
    assert (found.reason, found.metadata) == ("PLAYER_NOT_FOUND", {"player_id": UNKNOWN})
    found = await told(world.check_play("7"))
    assert (found.reason, found.metadata) == ("INVALID_REQUEST", {"fields": "player_id"})
