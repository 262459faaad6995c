"""One Envoy and one set of doubles for all tests here; each test starts with a clean slate."""

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
from tests.edge.envoy import Edge, edge_settings, running_edge
from tests.kit.refusals import told_by_the_edge
from tests.kit.tokens import TokenIssuer

ORIGIN = "https://play.example.com"


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
async def edge(
    shared_mesh: Mesh, edge_folder: Path, authority: DevelopmentAuthority
) -> AsyncIterator[Edge]:
    settings = edge_settings(
        edge_folder, authority=authority, ports=shared_mesh.ports, origins=(ORIGIN,)
    )
    async with running_edge(settings, edge_folder) as running:
        yield running


@pytest.fixture
def mesh(shared_mesh: Mesh) -> Mesh:
    shared_mesh.reset()
    return shared_mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with edge.client(http2=True) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with edge.channel() as opened:
        yield opened


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
