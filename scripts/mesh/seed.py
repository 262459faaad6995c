"""What a fresh mesh needs before anybody can play: a provider, its games and its API key.

All of it goes through the edge as an operator would do it, and may be repeated.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
from croupier.game.v1 import provider_service_pb2, provider_service_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

from scripts.mesh.folder import read_secret, write_private
from scripts.mesh.front_door import FrontDoor, Json, UnexpectedReplyError
from scripts.mesh.processes import OPERATOR_EMAIL, PROVIDER

GAMES = {
    "acme-fruits": "Fruits",
    "acme-pharaoh": "Pharaoh's Gate",
    "acme-comet": "Comet",
}
_CURRENCIES = ["EUR", "USD", "BTC"]
_WAGER_WEIGHT_BP = 10_000
_FIRST_ANSWER_S_MAX = 15.0
_PAUSE_S = 0.1
_TIMEOUT_S = 5.0


class SeedError(Exception):
    """The mesh runs and cannot be filled."""


class Operator:
    """The first operator, logged in at the edge."""

    def __init__(self, door: FrontDoor, token: str, expire_time: datetime) -> None:
        """Takes the access token of a login."""
        self._door = door
        self.token = token
        self.expire_time = expire_time

    @classmethod
    async def login(cls, door: FrontDoor, password: str) -> "Operator":
        """Logs in.

        Raises:
            SeedError: The login is refused.
        """
        body = {"email": OPERATOR_EMAIL, "password": password}
        answer = await _patiently(door, "/v1/auth:login", body, token="")
        tokens = answer["tokens"]
        expire_time = datetime.fromisoformat(tokens["accessExpireTime"])
        return cls(door, str(tokens["accessToken"]), expire_time)

    async def add_provider(self, provider_id: str, name: str, launch_address: str) -> None:
        """Adds a provider; it may be there already.

        Raises:
            SeedError: It is there with another address, or cannot be added.
        """
        body = {
            "providerId": provider_id,
            "displayName": name,
            "launchAddress": launch_address,
        }
        await self._ask("/v1/providers", body)

    async def add_game(self, provider_id: str, game_id: str, name: str) -> None:
        """Adds a game; it may be there already.

        Raises:
            SeedError: It cannot be added.
        """
        body = {
            "gameId": game_id,
            "displayName": name,
            "currencyCodes": _CURRENCIES,
            "wagerWeightBp": _WAGER_WEIGHT_BP,
        }
        await self._ask(f"/v1/providers/{provider_id}/games", body)

    async def make_api_key(self, provider_id: str) -> str:
        """Makes an API key and returns its secret.

        Raises:
            SeedError: It cannot be made.
        """
        body = {"displayName": "sandbox"}
        made = await self._ask(f"/v1/providers/{provider_id}/api-keys", body)
        return str(made["secret"])

    async def _ask(self, path: str, body: Json) -> Json:
        return await _patiently(self._door, path, body, token=self.token)


async def _patiently(door: FrontDoor, path: str, body: Json, *, token: str) -> Json:
    """Repeats a request while the edge has not found the service healthy yet.

    Raises:
        SeedError: It is refused.
    """
    deadline = time.monotonic() + _FIRST_ANSWER_S_MAX
    while True:
        try:
            return await door.expect("POST", path, body, token=token)
        except UnexpectedReplyError as error:
            is_early = error.reply.status == httpx.codes.SERVICE_UNAVAILABLE
            if not is_early or time.monotonic() > deadline:
                raise SeedError(str(error)) from None
        await asyncio.sleep(_PAUSE_S)


async def seed(
    door: FrontDoor,
    *,
    edge_address: str,
    authority: Path,
    password_file: Path,
    launch_address: str,
    api_key_file: Path,
) -> None:
    """Fills a mesh with one provider and its games; does nothing that is done already.

    Raises:
        SeedError: Something was refused.
    """
    operator = await Operator.login(door, read_secret(password_file))
    await operator.add_provider(PROVIDER, "Acme Games", launch_address)
    await asyncio.gather(
        *(operator.add_game(PROVIDER, game_id, name) for game_id, name in GAMES.items())
    )
    if not await _is_key_good(edge_address, authority, read_secret(api_key_file)):
        write_private(api_key_file, await operator.make_api_key(PROVIDER))


async def _is_key_good(edge_address: str, authority: Path, api_key: str) -> bool:
    """Asks with the key for a session that cannot be there, and sees what is refused."""
    if not api_key:
        return False
    credentials = grpc.ssl_channel_credentials(root_certificates=read_secret(authority).encode())
    async with grpc.aio.secure_channel(edge_address, credentials) as channel:
        stub = provider_service_pb2_grpc.ProviderServiceStub(channel)
        request = provider_service_pb2.AuthenticateSessionRequest(session_token="none")  # noqa: S106 (no token)
        try:
            await stub.AuthenticateSession(
                request,
                timeout=_TIMEOUT_S,
                metadata=(("x-api-key", api_key),),
            )
        except grpc.aio.AioRpcError as error:
            return _reason(error) == "ERROR_REASON_SESSION_NOT_FOUND"
    return False


def _reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    trailing = dict(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ()))
    status = status_pb2.Status.FromString(trailing.get("grpc-status-details-bin", b""))
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return str(info.reason)
