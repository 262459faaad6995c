"""Players with money at an open game, made through the front door as real ones are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from scripts.mesh.description import Description
from scripts.mesh.folder import read_secret
from scripts.mesh.front_door import FrontDoor
from scripts.mesh.seed import Operator

# Enough for every bet of a run.
_MINOR_UNITS = 10**12
_CURRENCY = "EUR"
_DOCUMENT = "P1234567"


@dataclass(frozen=True, slots=True)
class BenchPlayer:
    """A player at a game."""

    player_id: str
    session_token: str


async def make_players(mesh: Description, count: int) -> Sequence[BenchPlayer]:
    """Registers, identifies, funds and seats players."""
    async with FrontDoor(mesh.edge_url, authority=Path(mesh.authority)) as door:
        operator = await Operator.login(door, read_secret(Path(mesh.operator_password_file)))
        made = [_make(door, operator, mesh.game_ids[0]) for _ in range(count)]
        return await asyncio.gather(*made)


async def _make(door: FrontDoor, operator: Operator, game_id: str) -> BenchPlayer:
    name = uuid4().hex
    email, password = f"{name}@croupier.example", uuid4().hex
    registered = await door.expect(
        "POST",
        "/v1/players:register",
        {
            "requestId": str(uuid4()),
            "email": email,
            "password": password,
            "givenName": "Bench",
            "familyName": name,
            "dateOfBirth": "1990-01-31",
            "countryCode": "DE",
            "postalAddress": "1 Bench Street",
            "currencyCode": _CURRENCY,
            "termsAccepted": True,
        },
    )
    player_id = str(registered["player"]["playerId"])
    login = await door.expect("POST", "/v1/auth:login", {"email": email, "password": password})
    token = str(login["tokens"]["accessToken"])
    await door.expect(
        "POST", "/v1/player:verifyIdentity", {"documentNumber": _DOCUMENT}, token=token
    )
    await door.expect(
        "POST",
        f"/v1/players/{player_id}/wallet:deposit",
        {
            "requestId": str(uuid4()),
            "amount": {"currencyCode": _CURRENCY, "minorUnits": str(_MINOR_UNITS)},
            "authorizationNumber": "bench",
        },
        token=operator.token,
    )
    launched = await door.expect(
        "POST", f"/v1/games/{game_id}:launch", {"currencyCode": _CURRENCY}, token=token
    )
    session_token = str(launched["launchUrl"]).partition("token=")[2]
    return BenchPlayer(player_id=player_id, session_token=session_token)
