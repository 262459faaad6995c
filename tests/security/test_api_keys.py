from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from croupier.security.v1 import security_pb2, security_service_pb2

from tests.kit.tokens import TokenIssuer
from tests.security.doubles import Security, moment, refused

YEAR = timedelta(days=365)
ACTIVE = security_pb2.ApiKey.STATE_ACTIVE
REVOKED = security_pb2.ApiKey.STATE_REVOKED


async def create(security: Security, provider_id: str = "acme", **changes: Any) -> Any:
    request = security_service_pb2.CreateApiKeyRequest(
        provider_id=provider_id, **{"display_name": "production", **changes}
    )
    return await security.edge.CreateApiKey(request, metadata=await security.operator())


async def verify(security: Security, secret: str) -> Any:
    request = security_service_pb2.VerifyApiKeyRequest(api_key=secret)
    return (await security.game_service.VerifyApiKey(request)).api_key


async def revoke(security: Security, api_key_id: str) -> Any:
    request = security_service_pb2.RevokeApiKeyRequest(api_key_id=api_key_id)
    answer = await security.edge.RevokeApiKey(request, metadata=await security.operator())
    return answer.api_key


async def test_key_tells_its_provider(security: Security) -> None:
    now = security.clock.now()
    created = await create(security)
    assert created.secret.startswith(f"ck_{created.api_key.api_key_id}_")
    assert len(created.secret) == len("ck__") + 36 + 43
    found = await verify(security, created.secret)
    assert found == created.api_key
    assert (found.provider_id, found.display_name, found.state) == ("acme", "production", ACTIVE)
    assert moment(found.create_time) == now
    assert moment(found.expire_time) == now + YEAR


async def test_key_expires_when_it_was_said(security: Security) -> None:
    end = security.clock.now() + timedelta(days=1)
    secret = (await create(security, expire_time=end)).secret
    security.clock.advance(timedelta(hours=23, minutes=59))
    assert moment((await verify(security, secret)).expire_time) == end
    security.clock.advance(timedelta(minutes=1))
    await refused(verify(security, secret), "NOT_FOUND", "API_KEY_NOT_FOUND")


async def test_key_that_would_have_expired_is_not_made(security: Security) -> None:
    await refused(
        create(security, expire_time=security.clock.now()),
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        fields="expire_time",
    )


@pytest.mark.parametrize("seconds", [-(2**62), 2**62], ids=["past", "future"])
async def test_time_that_no_calendar_has_does_no_harm(security: Security, seconds: int) -> None:
    request = security_service_pb2.CreateApiKeyRequest(provider_id="acme")
    request.expire_time.seconds = seconds
    call = security.edge.CreateApiKey(request, metadata=await security.operator())
    if seconds < 0:
        await refused(call, "INVALID_ARGUMENT", "INVALID_REQUEST", fields="expire_time")
    else:
        assert moment((await call).api_key.expire_time).year == 9999


async def test_revoked_key_is_not_found_and_revoking_again_changes_nothing(
    security: Security,
) -> None:
    created = await create(security)
    revoked = await revoke(security, created.api_key.api_key_id.upper())
    assert revoked.state == REVOKED
    await refused(verify(security, created.secret), "NOT_FOUND", "API_KEY_NOT_FOUND")
    security.clock.advance(timedelta(minutes=1))
    assert await revoke(security, created.api_key.api_key_id) == revoked


async def test_expired_key_can_still_be_revoked(security: Security) -> None:
    end = security.clock.now() + timedelta(seconds=1)
    created = await create(security, expire_time=end)
    security.clock.advance(timedelta(seconds=2))
    assert (await revoke(security, created.api_key.api_key_id)).state == REVOKED


async def test_unknown_key_is_not_found(security: Security) -> None:
    await refused(revoke(security, str(uuid4())), "NOT_FOUND", "API_KEY_NOT_FOUND")
    secret = (await create(security)).secret
    other = (await create(security)).secret
    for wrong in (
        "x",
        secret[:-1],
        secret + "x",
        secret.removeprefix("ck_"),
        secret[:40],
        secret[:39] + other[39:],
        f"ck_{uuid4()}_{secret[40:]}",
        "ck__",
        "ck_\N{SNOWMAN}_x",
    ):
        await refused(verify(security, wrong), "NOT_FOUND", "API_KEY_NOT_FOUND")
    assert await verify(security, secret)


@pytest.mark.parametrize("provider_id", ["", "A", "acme/", "1acme", "a" * 33])
async def test_providers_have_plain_names(security: Security, provider_id: str) -> None:
    await refused(
        create(security, provider_id), "INVALID_ARGUMENT", "INVALID_REQUEST", fields="provider_id"
    )


async def test_only_an_admin_makes_and_revokes_keys(security: Security) -> None:
    player = await security.player()
    create_one = security_service_pb2.CreateApiKeyRequest(provider_id="acme")
    revoke_one = security_service_pb2.RevokeApiKeyRequest(api_key_id=str(uuid4()))
    for name, request in (("CreateApiKey", create_one), ("RevokeApiKey", revoke_one)):
        method = getattr(security.edge, name)
        await refused(
            method(request), "UNAUTHENTICATED", "CREDENTIAL_MISSING", level="AUTH_LEVEL_OPERATOR"
        )
        forged = TokenIssuer().operator("admin")
        await refused(method(request, metadata=forged), "UNAUTHENTICATED", "CREDENTIAL_INVALID")
        await refused(
            method(request, metadata=player.metadata),
            "PERMISSION_DENIED",
            "CALLER_NOT_ALLOWED",
            caller=player.player_id,
            method=f"croupier.security.v1.SecurityService/{name}",
        )


async def test_only_game_verifies_keys(security: Security) -> None:
    secret = (await create(security)).secret
    request = security_service_pb2.VerifyApiKeyRequest(api_key=secret)
    for service in ("edge", "wallet"):
        await refused(
            security.caller(service).VerifyApiKey(request),
            "PERMISSION_DENIED",
            "CALLER_NOT_ALLOWED",
            caller=service,
            method="croupier.security.v1.SecurityService/VerifyApiKey",
        )
