"""A service's own spans arrive at the backend, as OpenTelemetry's variables say."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest
from pydantic import ValidationError

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import telemetry
from services.kit.server import export_traces
from services.kit.settings import ServerSettings
from services.trace.server import Running
from tests.kit.waiting import until
from tests.trace.sending import counter

TRACE_ID = "ab" * 16
EDGE = telemetry.RemoteSpan(f"00-{TRACE_ID}-{'cd' * 8}-01")


@pytest.fixture
def environment(authority: DevelopmentAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = authority.identity("game")
    monkeypatch.setenv("CROUPIER_TLS_CERTIFICATE", str(identity.certificate))
    monkeypatch.setenv("CROUPIER_TLS_KEY", str(identity.key))
    monkeypatch.setenv("CROUPIER_TLS_AUTHORITY", str(identity.authority))
    # Put back at the end.
    monkeypatch.setattr(telemetry, "_tracer", telemetry._tracer)


def from_environment() -> ServerSettings:
    return ServerSettings()  # type: ignore[call-arg] # the environment gives what is required


async def record_a_step() -> None:
    stack = AsyncExitStack()
    export_traces("game", from_environment(), stack)
    telemetry.start_span("Bet", parent=EDGE).end()
    # Closing sends what is left, and blocks while it does.
    await asyncio.to_thread(asyncio.run, stack.aclose())


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", ["", "TRACES_"])
@pytest.mark.parametrize("protocol", ["", "grpc", "http/protobuf"])
async def test_spans_of_a_service_arrive_by_the_protocol_that_is_chosen(
    backend: Running,
    http: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    kind: str,
) -> None:
    endpoint = f"http://{backend.grpc}"
    if protocol:
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{kind}PROTOCOL", protocol)
    if protocol == "http/protobuf":
        endpoint = backend.page_url.rstrip("/")
        if kind:
            # This one is taken as it is; to the other, exporters add the path.
            endpoint += "/v1/traces"
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT", endpoint)
    await record_a_step()
    await until(lambda: counter(backend, "stored") == 1)
    answer = await http.get(f"/api/traces/{TRACE_ID}")
    [span] = answer.json()["data"][0]["spans"]
    assert span["operationName"] == "Bet"


@pytest.mark.usefixtures("environment")
async def test_nothing_is_recorded_where_no_endpoint_is_set() -> None:
    before = telemetry._tracer
    await record_a_step()
    assert telemetry._tracer is before


@pytest.mark.usefixtures("environment")
def test_protocol_that_is_not_there_is_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(ValidationError, match="'grpc' or 'http/protobuf'"):
        from_environment()
