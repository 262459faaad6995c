import asyncio
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from croupier.player.v1 import player_service_pb2

from services.kit.errors import UnavailableError
from services.player.identity import PROVIDERS, Claim, Deadline, IdentityProvider, Verdict
from tests.kit.refusals import told
from tests.player.world import Player, World

UNKNOWN = "0198c0de-0000-7000-8000-000000000001"


async def test_confirmed_identity_is_verified_once_and_for_all(world: World) -> None:
    player = await world.register()
    verified = await world.verify(player.player_id)
    assert verified.identity_state == Player.IDENTITY_STATE_VERIFIED
    # A repeat asks nobody: neither a refusal nor a silent provider changes anything.
    for document in ("L01X00T47", "REFUSE-1", "TIMEOUT-1"):
        assert await world.verify(player.player_id, document) == verified
    assert await world.get(player.player_id) == verified


async def test_refused_identity_is_recorded_and_may_be_tried_again(world: World) -> None:
    player_id = (await world.register()).player_id
    for document in ("REFUSE-1", "REFUSE-2"):
        found = await told(world.verify(player_id, document))
        assert found.code is grpc.StatusCode.FAILED_PRECONDITION
        assert found.reason == "IDENTITY_REFUSED"
        assert found.metadata == {"cause": "document_unknown"}
    assert (await world.get(player_id)).identity_state == Player.IDENTITY_STATE_REFUSED
    again = await world.verify(player_id)
    assert again.identity_state == Player.IDENTITY_STATE_VERIFIED
    checks = [event.player_identity_checked for event in (await world.events(4))[1:]]
    assert [(check.player_id, check.verified) for check in checks] == [
        (player_id, False),
        (player_id, False),
        (player_id, True),
    ]


async def test_silent_provider_changes_nothing(world: World) -> None:
    player = await world.register()
    found = await told(world.verify(player.player_id, "TIMEOUT-1"))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert found.reason == "UNAVAILABLE"
    assert found.metadata == {"dependency": "identity-provider"}
    assert await world.get(player.player_id) == player


async def test_late_refusal_does_not_undo_a_confirmation(world: World) -> None:
    for _ in range(5):
        player_id = (await world.register()).player_id
        await asyncio.gather(
            world.verify(player_id),
            world.verify(player_id, "REFUSE-1"),
            world.verify(player_id),
            return_exceptions=True,
        )
        verified = (await world.get(player_id)).identity_state
        assert verified == Player.IDENTITY_STATE_VERIFIED


async def test_confirmations_at_once_are_one_event(world: World) -> None:
    player_id = (await world.register()).player_id
    answers = await asyncio.gather(*(world.verify(player_id) for _ in range(4)))
    assert {answer.identity_state for answer in answers} == {Player.IDENTITY_STATE_VERIFIED}
    other = await world.register()
    events = await world.events(3)
    assert events[1].player_identity_checked.player_id == player_id
    assert events[2].player_registered.player_id == other.player_id


async def test_player_methods_know_the_caller_by_the_token(world: World) -> None:
    player_id = (await world.register()).player_id
    edge, game = world.stub(), world.stub("game")
    rows = [
        (edge, (), grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
        (
            edge,
            world.tokens.operator("admin"),
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_NOT_ALLOWED",
        ),
        (
            game,
            world.tokens.player(player_id),
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_NOT_ALLOWED",
        ),
        (edge, world.tokens.player(UNKNOWN), grpc.StatusCode.NOT_FOUND, "PLAYER_NOT_FOUND"),
    ]
    requests: dict[str, Any] = {
        "GetPlayer": player_service_pb2.GetPlayerRequest(),
        "VerifyIdentity": player_service_pb2.VerifyIdentityRequest(document_number="L01X00T47"),
        "ExcludePlayer": player_service_pb2.ExcludePlayerRequest(),
    }
    for stub, metadata, code, reason in rows:
        for method, request in requests.items():
            found = await told(getattr(stub, method)(request, metadata=metadata))
            assert (found.code, found.reason) == (code, reason), method
            if reason == "PLAYER_NOT_FOUND":
                assert found.metadata == {"player_id": UNKNOWN}


def claim(document_number: str) -> Claim:
    return Claim(
        given_name="Erika",
        family_name="Mustermann",
        date_of_birth=date(1990, 8, 12),
        country_code="DE",
        postal_address="Heidestraße 17",
        document_number=document_number,
    )


@pytest.fixture(params=sorted(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> IdentityProvider:
    """Every adapter keeps the same promises."""
    return Deadline(PROVIDERS[request.param](), timeout=timedelta(seconds=0.05))


async def test_adapter_confirms_refuses_and_gives_up(provider: IdentityProvider) -> None:
    assert provider.name in PROVIDERS
    assert await provider.check(claim("L01X00T47")) == Verdict()
    refused = await provider.check(claim("REFUSE"))
    assert not refused.verified
    assert refused.cause == "document_unknown"
    with pytest.raises(UnavailableError):
        await provider.check(claim("TIMEOUT"))


def test_claim_shows_nothing_of_the_person() -> None:
    shown = repr(claim("L01X00T47"))
    for private in ("Erika", "Mustermann", "1990", "Heidestraße", "L01X00T47"):
        assert private not in shown
