"""A real Envoy in front of given services; end-to-end tests use it too."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from scripts.mesh.edge import EdgeSettings, render
from scripts.mesh.edge.process import Admin, command
from scripts.mesh.pki import DevelopmentAuthority
from tests.kit.waiting import until

_READY_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Edge:
    """A running Envoy."""

    port: int
    admin: Admin
    access_log: Path
    authority: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        """Opens a client as a browser or app would be: TLS, no certificate of its own."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        return httpx.AsyncClient(
            base_url=f"https://{self.address}", **{"verify": trust, "timeout": 10, **options}
        )

    def channel(self) -> grpc.aio.Channel:
        """Opens a channel as a game provider would: TLS, no certificate of its own."""
        return grpc.aio.secure_channel(
            self.address, grpc.ssl_channel_credentials(self.authority.read_bytes())
        )


def edge_settings(
    folder: Path, *, authority: DevelopmentAuthority, ports: Mapping[str, int], **changes: Any
) -> EdgeSettings:
    """Builds settings for services on local ports, without limits unless asked for."""
    identity = authority.identity("edge")
    return EdgeSettings(
        **{
            "listen": "127.0.0.1:0",
            "certificate": identity.certificate,
            "key": identity.key,
            "mesh_certificate": identity.certificate,
            "mesh_key": identity.key,
            "mesh_authority": identity.authority,
            "keys_socket": folder / "keys.sock",
            "access_log": folder / "access.log",
            "credential_calls_per_minute": 0,
            "calls_per_second": 0,
            "provider_calls_per_second": 0,
            **{name: f"127.0.0.1:{port}" for name, port in ports.items()},
            **changes,
        }
    )


async def ready(admin: Admin, *, keys: bool = True) -> None:
    """Waits until Envoy takes requests and every service serves.

    Args:
        admin: Of the Envoy.
        keys: Whether access tokens must be verifiable too.
    """
    missing: list[str] = []

    async def nothing_is_missing() -> bool:
        missing[:] = [each for each in await admin.missing() if keys or each != "keys"]
        return not missing

    try:
        await until(nothing_is_missing, seconds=_READY_WITHIN_S)
    except TimeoutError:
        pytest.fail(f"the edge is not ready: {', '.join(missing)}")


async def checked_anew(admin: Admin) -> None:
    """Waits until every service has passed another health check."""
    before = await _checks_passed(admin)

    async def have_passed() -> bool:
        now = await _checks_passed(admin)
        return all(now[name] > count for name, count in before.items())

    await until(have_passed, seconds=_READY_WITHIN_S)
    await ready(admin)


async def _checks_passed(admin: Admin) -> dict[str, int]:
    filtered = {"format": "json", "filter": r"^cluster\..*\.health_check\.success$"}
    answer = await admin._client.get("/stats", params=filtered)
    return {each["name"]: each["value"] for each in answer.json()["stats"]}


async def _public_port(admin_address: str) -> int:
    """Returns the public port, which Envoy chose itself if the settings say 0."""
    async with httpx.AsyncClient(base_url=f"http://{admin_address}", timeout=10) as client:
        listeners = (await client.get("/listeners", params={"format": "json"})).json()
    return next(
        int(each["local_address"]["socket_address"]["port_value"])
        for each in listeners["listener_statuses"]
        if each["name"] == "public"
    )


@contextlib.asynccontextmanager
async def running_edge(
    settings: EdgeSettings, folder: Path, *, wait: bool = True, keys: bool = True
) -> AsyncIterator[Edge]:
    """Runs Envoy until the block ends.

    Args:
        settings: As `edge_settings` builds them.
        folder: Where its files go.
        wait: Whether to wait until every service serves.
        keys: Whether that includes the keys of tokens.
    """
    config, address = folder / "envoy.yaml", folder / "admin.address"
    address.unlink(missing_ok=True)
    config.write_text(render(settings))
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command(config, admin_address=address, concurrency=1), stdout=log, stderr=log
        )
        admin = None
        try:
            # Envoy makes the file when it has begun, and then writes the address into it.
            await until(
                lambda: address.exists() and bool(address.read_text()), seconds=_READY_WITHIN_S
            )
            admin = Admin(address.read_text())
            if wait:
                await ready(admin, keys=keys)
            yield Edge(
                port=await _public_port(address.read_text()),
                admin=admin,
                access_log=settings.access_log,
                authority=settings.mesh_authority,
            )
        finally:
            if admin is not None:
                await admin.close()
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
