"""GetJwks, rotation, and the key-encryption key."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import jwt
import pytest
from croupier.security.v1 import security_service_pb2
from google.protobuf.json_format import MessageToDict

from services.security.sealing import KeyFileError, SealBrokenError
from tests.factories.security import KEY_ENCRYPTION_KEY
from tests.kit.waiting import until
from tests.security.doubles import Security

MINUTE = timedelta(minutes=1)
LIFE = timedelta(days=30)
LEAD = 10 * MINUTE
OFTEN = timedelta(milliseconds=20)


async def key_set(security: Security, *, port: int = 0) -> dict[str, Any]:
    request = security_service_pb2.GetJwksRequest()
    return MessageToDict(await security.caller("edge", port=port).GetJwks(request))


async def key_ids(security: Security, *, port: int = 0) -> list[str]:
    found = await key_set(security, port=port)
    return [key["kid"] for key in found["keys"]]


async def signed_by(security: Security) -> str:
    """Logs in, verifies the token as of now, and returns the id of the key."""
    token = (await security.login()).tokens.access_token
    verified_with = await key_set(security)
    return verify(token, verified_with)


def verify(token: str, keys: dict[str, Any]) -> str:
    header = jwt.get_unverified_header(token)
    (key,) = [key for key in keys["keys"] if key["kid"] == header["kid"]]
    # The test's clock runs ahead of the machine's, which is what the library looks at.
    times: Any = {"verify_exp": False, "verify_iat": False}
    jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], audience="croupier", options=times)
    assert header["alg"] == "ES256"
    return str(header["kid"])


async def test_anybody_gets_the_public_halves(security: Security) -> None:
    (key,) = (await key_set(security))["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert len(key["x"]) == len(key["y"]) == 43


async def test_key_survives_a_restart(security: Security) -> None:
    port = await security.start_replica()
    assert await key_ids(security, port=port) == await key_ids(security)


async def test_replicas_that_start_at_once_make_one_key(idle: Security) -> None:
    await idle.start()
    ports = await asyncio.gather(*(idle.start_replica() for _ in range(3)))
    found = [await key_ids(idle, port=port) for port in (idle.port, *ports)]
    assert len(found[0]) == 1
    assert found == [found[0]] * 4


async def test_first_start_of_replicas_makes_one_key(idle: Security) -> None:
    # Nothing was started before: all of them find an empty store.
    first, *others = await asyncio.gather(*(idle.start_replica(game_address="127.0.0.1:9")
                                            for _ in range(3)))  # fmt: skip
    (key_id,) = await key_ids(idle, port=first)
    assert [await key_ids(idle, port=port) for port in others] == [[key_id]] * 2


async def test_next_key_is_published_before_it_signs_and_the_old_one_stays(
    idle: Security,
) -> None:
    security = await idle.start(upkeep_every=OFTEN)
    await security.register()
    old = await signed_by(security)
    security.clock.advance(LIFE - LEAD - MINUTE)
    assert await key_ids(security) == [old]

    security.clock.advance(MINUTE)

    async def is_published() -> bool:
        return len(await key_ids(security)) == 2

    await until(is_published)
    new, second = await key_ids(security)
    assert second == old
    # Every cache that was filled before the key was made has been filled again.
    security.clock.advance(LEAD - timedelta(seconds=1))
    assert await signed_by(security) == old
    last_token = (await security.login()).tokens.access_token

    security.clock.advance(timedelta(seconds=1))
    assert await signed_by(security) == new
    # The last token of the old key can be verified as long as it is valid.
    security.clock.advance(10 * MINUTE - timedelta(seconds=1))
    assert verify(last_token, await key_set(security)) == old
    security.clock.advance(6 * MINUTE)
    assert await key_ids(security) == [new]


async def test_rotation_in_several_replicas_makes_one_key(idle: Security) -> None:
    security = await idle.start(upkeep_every=OFTEN)
    for _ in range(2):
        await security.start_replica(upkeep_every=OFTEN)
    security.clock.advance(LIFE)

    async def is_published() -> bool:
        return len(await key_ids(security)) == 2

    await until(is_published)
    security.clock.advance(LEAD)
    await security.register()
    await signed_by(security)
    assert len(await key_ids(security)) == 2


async def test_after_a_long_absence_the_old_key_signs_until_the_next_is_known(
    idle: Security,
) -> None:
    security = await idle.start(upkeep_every=OFTEN)
    await security.register()
    (old,) = await key_ids(security)
    security.clock.advance(10 * LIFE)

    async def is_published() -> bool:
        return len(await key_ids(security)) == 2

    await until(is_published)
    assert await signed_by(security) == old
    security.clock.advance(LEAD)
    assert await signed_by(security) != old


# --- the key-encryption key ---------------------------------------------------------------------


def write_keys(security: Security, *keys: bytes) -> None:
    lines = "".join(f"{base64.urlsafe_b64encode(key).decode()}\n" for key in keys)
    (security.folder / "key-encryption-key").write_text(lines)


@pytest.mark.parametrize("content", ["", "\n", "c2hvcnQ=", "not base64!", "\N{SNOWMAN}"])
async def test_server_without_a_key_encryption_key_does_not_start(
    idle: Security, content: str
) -> None:
    (idle.folder / "key-encryption-key").write_text(content)
    with pytest.raises(KeyFileError):
        await idle.start()


async def test_server_whose_key_file_is_missing_does_not_start(idle: Security) -> None:
    with pytest.raises(KeyFileError):
        await idle.start(key_encryption_key_file=idle.folder / "nowhere")


async def test_server_with_another_key_encryption_key_does_not_start(security: Security) -> None:
    write_keys(security, bytes(32))
    with pytest.raises(SealBrokenError):
        await security.start_replica()


async def test_key_encryption_key_can_be_followed_by_another(security: Security) -> None:
    write_keys(security, bytes(32), KEY_ENCRYPTION_KEY)
    port = await security.start_replica()
    assert await key_ids(security, port=port) == await key_ids(security)
