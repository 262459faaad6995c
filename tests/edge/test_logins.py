"""Players and operators and their own logins: a real Security behind a real Envoy."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.conftest import told
from tests.edge.doubles import Mesh, serve_all
from tests.edge.envoy import edge_settings, running_edge
from tests.factories.security import EMAIL, OPERATOR_EMAIL, OPERATOR_PASSWORD, PASSWORD
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.security.doubles import Security, first_operator

NEW = "copper window 61"


@pytest.fixture
async def security(
    authority: DevelopmentAuthority,
    database_url: Callable[[str], str],
    tmp_path: Path,
    connect: Callable[..., grpc.aio.Channel],
) -> AsyncIterator[Security]:
    clock = ManualClock()
    clock.time = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        security = Security(
            authority=authority,
            database_url=database_url("services.security"),
            folder=tmp_path,
            clock=clock,
            connect=connect,
            stack=stack,
        )
        yield await security.start(**first_operator(tmp_path))


@pytest.fixture
async def browser(
    security: Security, authority: DevelopmentAuthority, tokens: TokenIssuer, tmp_short: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an edge whose Security is the real one; the other services are doubles."""
    mesh = Mesh()
    async with AsyncExitStack() as stack:
        await serve_all(mesh, authority=authority, tokens=tokens, stack=stack)
        ports = {**mesh.ports, "security": security.port}
        settings = edge_settings(tmp_short, authority=authority, ports=ports)
        edge = await stack.enter_async_context(running_edge(settings, tmp_short))
        yield await stack.enter_async_context(edge.client())


async def log_in(browser: httpx.AsyncClient, email: str, password: str) -> Any:
    response = await browser.post("/v1/auth:login", json={"email": email, "password": password})
    assert response.status_code == 200, response.text
    return response.json()["tokens"]


def bearer(tokens: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['accessToken']}"}


async def refreshed(browser: httpx.AsyncClient, tokens: Any) -> httpx.Response:
    return await browser.post("/v1/auth:refresh", json={"refreshToken": tokens["refreshToken"]})


async def test_players_and_operators_log_out(
    security: Security, browser: httpx.AsyncClient, tokens: TokenIssuer
) -> None:
    await security.register()
    for email, password in ((OPERATOR_EMAIL, OPERATOR_PASSWORD), (EMAIL, PASSWORD)):
        pair = await log_in(browser, email, password)
        response = await browser.post("/v1/auth:logout", headers=bearer(pair))
        assert (response.status_code, response.json()) == (200, {})
        assert told(await refreshed(browser, pair)) == (401, "REFRESH_TOKEN_INVALID", {})
        enrolled = await browser.post("/v1/auth/totp:enroll", headers=bearer(pair))
        assert told(enrolled) == (401, "CREDENTIAL_INVALID", {})
    nobody = await browser.post("/v1/auth:logout")
    assert told(nobody) == (401, "CREDENTIAL_MISSING", {"level": "AUTH_LEVEL_SUBJECT"})
    forged = await browser.post("/v1/auth:logout", headers=dict(tokens.operator("admin")))
    assert told(forged) == (401, "CREDENTIAL_INVALID", {})


async def test_operator_helps_a_player_who_forgot_the_password(
    security: Security, browser: httpx.AsyncClient
) -> None:
    player_id = await security.register()
    operator = await log_in(browser, OPERATOR_EMAIL, OPERATOR_PASSWORD)
    path = f"/v1/credentials/{player_id}"
    asked = await browser.post(
        f"{path}/password-resets", json={"reason": "seen in person"}, headers=bearer(operator)
    )
    reset = {"resetToken": asked.json()["resetToken"], "newPassword": NEW}
    assert (await browser.post("/v1/auth/password:reset", json=reset)).json() == {}
    again = await browser.post("/v1/auth/password:reset", json=reset)
    assert told(again) == (401, "PASSWORD_RESET_INVALID", {})
    player = await log_in(browser, EMAIL, NEW)
    changed = await browser.post(
        "/v1/auth/password:change",
        json={"oldPassword": NEW, "newPassword": PASSWORD},
        headers=bearer(player),
    )
    assert changed.json() == {}
    assert (await refreshed(browser, player)).status_code == 200
    unlock = {"requestId": "0198c0de-0000-7000-8000-000000000001", "reason": "seen in person"}
    unlocked = await browser.post(f"{path}:unlock", json=unlock, headers=bearer(operator))
    assert unlocked.json() == {}
    not_an_operator = await browser.post(f"{path}:unlock", json=unlock, headers=bearer(player))
    assert told(not_an_operator) == (
        403,
        "CALLER_NOT_ALLOWED",
        {"caller": player_id, "method": "croupier.security.v1.SecurityService/UnlockCredential"},
    )
