"""A player with a browser: an account, a login that is kept fresh, and a wallet."""

import asyncio
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from scripts.flow.step import check
from scripts.mesh.front_door import FrontDoor, Json, Reply

CURRENCY = "EUR"
# A token with less than this left is refreshed before it is used.
_FRESH_S = 2.0


class Player:
    """One player. Whatever is not tested is done as a front end would do it."""

    def __init__(self, door: FrontDoor) -> None:
        """Invents a person that no earlier flow has registered."""
        self._door = door
        unique = uuid.uuid4().hex
        self.email = f"player-{unique}@example.com"
        self.password = secrets.token_urlsafe(16)
        self.registration: Json = {
            "requestId": str(uuid.uuid4()),
            "email": self.email,
            "password": self.password,
            "givenName": "Ada",
            "familyName": f"Player {unique}",
            "dateOfBirth": "1990-05-17",
            "countryCode": "DE",
            "postalAddress": "Am Markt 1, 28195 Bremen",
            "currencyCode": CURRENCY,
            "termsAccepted": True,
        }
        self.player_id = ""
        self._access_token = ""
        self._refresh_token = ""
        self._expire_time = datetime.now(UTC)
        self._refreshing = asyncio.Lock()

    async def log_in(self, password: str) -> Reply:
        """Logs in, and keeps the tokens if that succeeds."""
        body = {"email": self.email, "password": password}
        reply = await self._door.call("POST", "/v1/auth:login", body)
        if reply.is_ok:
            self._keep(reply.body["tokens"])
        return reply

    async def refresh(self) -> Reply:
        """Exchanges the refresh token for new tokens."""
        body = {"refreshToken": self._refresh_token}
        reply = await self._door.call("POST", "/v1/auth:refresh", body)
        if reply.is_ok:
            self._keep(reply.body["tokens"])
        return reply

    async def token(self) -> str:
        """Returns an access token that is good for a moment at least."""
        # One at a time: a refresh token that is used twice ends the login session.
        async with self._refreshing:
            if (self._expire_time - datetime.now(UTC)).total_seconds() < _FRESH_S:
                reply = await self.refresh()
                check(reply.is_ok, f"the refresh token is refused: {reply}")
            return self._access_token

    @property
    def held_token(self) -> tuple[str, datetime]:
        """The access token as it is, and when it expires."""
        return self._access_token, self._expire_time

    async def call(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Sends a request with a fresh token."""
        return await self._door.call(method, path, body, token=await self.token())

    async def expect(self, method: str, path: str, body: Json | None = None) -> Json:
        """Sends a request with a fresh token, and returns the body of its success."""
        return await self._door.expect(method, path, body, token=await self.token())

    async def cash(self) -> int:
        """Returns what the player can bet, as the wallet says."""
        listed = await self.expect("GET", "/v1/wallet/balances")
        return sum(
            int(balance["cashMinorUnits"])
            for balance in listed["balances"]
            if balance["currencyCode"] == CURRENCY
        )

    def _keep(self, tokens: Json) -> None:
        self._access_token = str(tokens["accessToken"])
        self._refresh_token = str(tokens["refreshToken"])
        self._expire_time = datetime.fromisoformat(tokens["accessExpireTime"])


def money(minor_units: int) -> dict[str, Any]:
    """Renders an amount as JSON of the contract."""
    return {"currencyCode": CURRENCY, "minorUnits": str(minor_units)}


def shown(minor_units: int) -> str:
    """Renders an amount for people."""
    sign = "-" if minor_units < 0 else ""
    whole, cents = divmod(abs(minor_units), 100)
    return f"{sign}{whole}.{cents:02} {CURRENCY}"


def stopwatch() -> float:
    """Returns the time of a clock that only measures spans."""
    return time.monotonic()
