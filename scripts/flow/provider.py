"""The sandbox provider's control: tells it what to call, and reads what Croupier answered."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.sandbox.tracing import sent_context

# The provider repeats a call that is not answered, so this is more than one deadline.
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What Croupier answered the provider."""

    code: str
    reason: str
    metadata: Mapping[str, str]
    replayed: bool
    trace_id: str
    response: Mapping[str, Any]

    @property
    def is_ok(self) -> bool:
        """Whether the call succeeded."""
        return self.code == "OK"

    @property
    def seq(self) -> int:
        """Number of the movement in the ledger."""
        return int(self.response["movement"]["seq"])

    @property
    def balance_minor_units(self) -> int:
        """What the player could bet after the movement."""
        return int(self.response["movement"]["balance"].get("minorUnits", 0))

    def __str__(self) -> str:
        return self.code if self.is_ok else f"{self.code} {self.reason}"


class ProviderControl:
    """A client of the control."""

    def __init__(self, url: str, *, authority: Path, key: str) -> None:
        """Prepares the client; it connects when first used."""
        self._key = key
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=ssl.create_default_context(cafile=str(authority)),
            timeout=_TIMEOUT_S,
            trust_env=False,
        )

    async def call(self, method: str, request: Mapping[str, Any], *, api_key: str = "") -> Answer:
        """Has the provider call a method of `ProviderService`.

        Args:
            method: Its name, such as `PlaceBet`.
            request: Its request, as JSON of the contract.
            api_key: Another provider's key; empty for its own.

        Raises:
            httpx.HTTPError: The provider does not answer.
        """
        body: dict[str, Any] = {"method": method, "request": request}
        if api_key:
            body["api_key"] = api_key
        response = await self._http.post(
            "/control",
            json=body,
            headers={"authorization": f"Bearer {self._key}", **sent_context()},
        )
        response.raise_for_status()
        told = response.json()
        return Answer(
            code=told["code"],
            reason=told["reason"].removeprefix("ERROR_REASON_"),
            metadata=told["metadata"],
            replayed=told["replayed"],
            trace_id=told["trace_id"],
            response=told["response"] or {},
        )

    async def close(self) -> None:
        """Closes connections."""
        await self._http.aclose()
