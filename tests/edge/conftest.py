"""One Envoy and one set of doubles for all tests here; each test starts with a clean slate."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.doubles import Mesh, serve_all
from tests.edge.envoy import Edge, checked_anew, edge_settings, running_edge
from tests.kit.refusals import told_by_the_edge
from tests.kit.tokens import TokenIssuer

ORIGIN = "https://play.example.com"
# Below the timeout of one health check; two that fail make a service unhealthy.
PAUSE_MAX_S = 1.0


@contextmanager
def short_folder() -> Iterator[Path]:
    """Makes a folder with a short name: a Unix socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="edge-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def edge_folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def tmp_short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_mesh(authority: DevelopmentAuthority, tokens: TokenIssuer) -> AsyncIterator[Mesh]:
    mesh = Mesh()
    async with AsyncExitStack() as stack:
        await serve_all(mesh, authority=authority, tokens=tokens, stack=stack)
        yield mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_edge(
    shared_mesh: Mesh, edge_folder: Path, authority: DevelopmentAuthority
) -> AsyncIterator[Edge]:
    settings = edge_settings(
        edge_folder, authority=authority, ports=shared_mesh.ports, origins=(ORIGIN,)
    )
    async with running_edge(settings, edge_folder) as running:
        yield running


@pytest.fixture(scope="session")
def last_heard() -> dict[str, float]:
    """When the doubles were last able to answer, by the loop's clock."""
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def edge(shared_edge: Edge, last_heard: dict[str, float]) -> AsyncIterator[Edge]:
    """The shared edge, with all doubles healthy.

    They live in the session's loop, which stands still while a test runs in a loop of its own or in
    none. After a few seconds of that the edge takes them for dead, and rightly so.
    """
    loop = asyncio.get_running_loop()
    if loop.time() - last_heard.get("time", loop.time()) > PAUSE_MAX_S:
        await checked_anew(shared_edge.admin)
    yield shared_edge
    last_heard["time"] = loop.time()


@pytest.fixture
def mesh(shared_mesh: Mesh) -> Mesh:
    shared_mesh.reset()
    return shared_mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_client(shared_edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with shared_edge.client(http2=True) as opened:
        yield opened


@pytest.fixture
def client(edge: Edge, shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    del edge
    return shared_client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_channel(shared_edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with shared_edge.channel() as opened:
        yield opened


@pytest.fixture
def channel(edge: Edge, shared_channel: grpc.aio.Channel) -> grpc.aio.Channel:
    del edge
    return shared_channel


@pytest.fixture(scope="session")
def player(tokens: TokenIssuer) -> dict[str, str]:
    return dict(tokens.player("0198c0de-0000-7000-8000-000000000001"))


@pytest.fixture(scope="session")
def operator(tokens: TokenIssuer) -> dict[str, str]:
    return dict(tokens.operator("admin"))


def told(response: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    """Returns status, reason and metadata of an error, having checked its form."""
    assert response.headers["content-type"] == "application/json", response.text
    status = response.json()
    assert set(status) == {"code", "message", "details"}
    assert isinstance(status["code"], int)
    assert status["message"]
    info = status["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["domain"] == "croupier"
    told_by_the_edge.add(info["reason"])
    return response.status_code, info["reason"].removeprefix("ERROR_REASON_"), info["metadata"]
