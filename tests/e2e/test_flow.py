"""The whole flow through the front doors: Envoy, five services, a PSP and a provider."""

import asyncio
import io
import re
from collections.abc import Iterator

import httpx
import pytest
from rich.console import Console

from scripts.flow.play import play
from scripts.mesh.description import Description
from tests.docs.pages import names, rows
from tests.e2e.running import RunningMesh, running
from tests.kit.postgres import shared_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Tests run on machines that do much else at the same time.
PATIENCE_S = 60.0
EDGE, SERVICES = "edge", ("security", "player", "wallet", "game", "analytics")
# What the query API says of a span itself, as tags.
JAEGERS_OWN = re.compile(r"span\.kind|error|otel\..*")


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


@pytest.fixture(scope="module")
def played(mesh: RunningMesh) -> str:
    """Plays the flow once, and returns what it has printed."""
    printed = io.StringIO()
    held = asyncio.run(
        play(
            mesh.wait_ready(),
            patience_s=PATIENCE_S,
            figures_within_s=PATIENCE_S,
            console=Console(file=printed, width=200),
        )
    )
    assert held, printed.getvalue()
    return printed.getvalue()


def test_every_step_of_the_flow_holds(played: str) -> None:
    assert "each of 2 bets: flow → acme → edge → game → wallet → SQL INSERT" in played


@pytest.mark.usefixtures("played")
def test_spans_are_those_that_the_page_about_telemetry_tells(description: Description) -> None:
    told = {
        names(span)[0]: set(names(attributes))
        for span, _, attributes in rows("telemetry.md", heading="Span")
    }
    patterns = {name: re.compile(re.sub(r"<\w+>", r"[\\w.]+", re.escape(name))) for name in told}
    found: dict[str, set[str]] = {}
    for service, name, attributes in spans_of(description.trace_url):
        kind = next((kind for kind, each in patterns.items() if each.fullmatch(name)), name)
        found.setdefault(kind, set()).update(attributes if service != EDGE else ())
    assert found == told
    explained = {names(name)[0] for name, _ in rows("telemetry.md", heading="Attribute")}
    assert explained == set().union(*told.values())


def spans_of(url: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yields service, name and attributes of the mesh's spans."""
    with httpx.Client(base_url=url, timeout=30) as client:
        for service in (EDGE, *SERVICES):
            answer = client.get("/api/traces", params={"service": service, "limit": "1000"})
            for trace in answer.json()["data"]:
                for span in trace["spans"]:
                    if trace["processes"][span["processID"]]["serviceName"] == service:
                        keys = {tag["key"] for tag in span["tags"]}
                        ours = {key for key in keys if not JAEGERS_OWN.fullmatch(key)}
                        yield service, span["operationName"], ours
