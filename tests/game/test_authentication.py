import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.game.v1 import provider_service_pb2

from tests.game.doubles import unavailable
from tests.game.house import House
from tests.kit.refusals import Told, told

INVALID = Told(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID", {})


@pytest.fixture
async def playing(stocked: House) -> House:
    """A house with an open session, and with no API key verified yet."""
    await stocked.launch()
    assert stocked.security.verified == 0
    return stocked


def balance(house: House, key: str = "acme-key", **options: Any) -> Any:
    request = provider_service_pb2.GetPlayerBalanceRequest(session_token=house.acme.session_token)
    return house.providers.GetPlayerBalance(
        request, metadata=(("x-api-key", key),), **{"timeout": 20, **options}
    )


async def test_key_is_verified_once_in_30_seconds(playing: House) -> None:
    for _ in range(3):
        await balance(playing)
    playing.clock.advance(timedelta(seconds=29))
    await balance(playing)
    assert playing.security.verified == 1
    playing.clock.advance(timedelta(seconds=1))
    await balance(playing)
    assert playing.security.verified == 2


async def test_revoked_key_stops_working_after_30_seconds_at_most(playing: House) -> None:
    await balance(playing)
    del playing.security.api_keys["acme-key"]
    playing.clock.advance(timedelta(seconds=30))
    assert await told(balance(playing)) == INVALID


async def test_key_stops_working_when_it_expires_even_if_cached(playing: House) -> None:
    playing.security.expire_seconds = int(playing.clock.now().timestamp()) + 10
    await balance(playing)
    playing.clock.advance(timedelta(seconds=9))
    await balance(playing)
    assert playing.security.verified == 1
    del playing.security.api_keys["acme-key"]
    playing.clock.advance(timedelta(seconds=1))
    assert await told(balance(playing)) == INVALID


async def test_unknown_key_is_asked_for_again_after_2_seconds(playing: House) -> None:
    for _ in range(3):
        assert await told(balance(playing, "new-key")) == INVALID
    assert playing.security.verified == 1
    playing.security.api_keys["new-key"] = "acme"
    playing.clock.advance(timedelta(seconds=2))
    await balance(playing, "new-key")
    assert playing.security.verified == 2


async def test_security_that_is_away_makes_no_key_invalid(playing: House) -> None:
    playing.security.failure = unavailable()
    for _ in range(2):
        assert await told(balance(playing)) == (
            grpc.StatusCode.UNAVAILABLE,
            "UNAVAILABLE",
            {"dependency": "security"},
        )
    playing.security.failure = None
    await balance(playing)


async def test_known_key_works_on_while_security_is_away(playing: House) -> None:
    await balance(playing)
    playing.security.failure = unavailable()
    playing.clock.advance(timedelta(seconds=29))
    await balance(playing)


async def test_calls_that_meet_ask_once(playing: House) -> None:
    playing.security.held = asyncio.Event()
    together = [asyncio.ensure_future(balance(playing)) for _ in range(10)]
    async with asyncio.timeout(10):
        await playing.security.entered.wait()
    playing.security.held.set()
    await asyncio.gather(*together)
    assert playing.security.verified == 1


async def test_call_that_is_given_up_does_not_spoil_the_others(playing: House) -> None:
    playing.security.held = asyncio.Event()
    impatient = balance(playing)
    patient = asyncio.ensure_future(balance(playing))
    async with asyncio.timeout(10):
        await playing.security.entered.wait()
    impatient.cancel()
    playing.security.held.set()
    await patient
    assert playing.security.verified == 1


async def test_key_that_is_too_long_is_invalid_without_asking(playing: House) -> None:
    assert await told(balance(playing, "k" * 257)) == INVALID
    assert playing.security.verified == 0


async def test_empty_key_is_missing(playing: House) -> None:
    code, reason, metadata = await told(balance(playing, ""))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    assert metadata == {"level": "AUTH_LEVEL_PROVIDER"}
