"""The whole flow through the front doors: Envoy, five services, a PSP and a provider."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from scripts.flow.play import play
from scripts.mesh.description import Description
from tests.e2e.running import RunningMesh, running
from tests.kit.postgres import shared_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Tests run on machines that do much else at the same time.
PATIENCE_S = 60.0


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def mesh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMesh]:
    options = ["--token-life", "6"]
    if request.param == "postgresql":
        url = shared_server().create_database("mesh")
        options += ["--postgres", url.replace("postgresql+asyncpg", "postgresql")]
    folder = tmp_path_factory.mktemp(request.param) / "data"
    with running(folder, "--port", "0", *options) as started:
        yield started


@pytest.fixture
def description(mesh: RunningMesh) -> Description:
    return mesh.wait_ready()


async def test_every_step_of_the_flow_holds(description: Description) -> None:
    printed = io.StringIO()
    held = await play(
        description,
        patience_s=PATIENCE_S,
        figures_within_s=PATIENCE_S,
        console=Console(file=printed, width=200),
    )
    assert held, printed.getvalue()
    assert "each of 2 bets: flow → acme → edge → game → wallet → SQL INSERT" in printed.getvalue()
