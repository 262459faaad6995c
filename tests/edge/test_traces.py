import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.doubles import Mesh
from tests.edge.envoy import edge_settings, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE_ID}-00f067aa0ba902b7-00"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: asyncio.Queue[Any] = asyncio.Queue()

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put_nowait(span)
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield collector, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.parametrize(
    ("trusted", "percent", "sent", "continued", "sampled"),
    [
        (False, 100, None, False, True),
        (False, 100, UNSAMPLED, False, True),
        (False, 0, SAMPLED, False, False),
        (True, 0, None, False, False),
        (True, 0, SAMPLED, True, True),
        (True, 100, UNSAMPLED, True, False),
    ],
)
async def test_sampling_is_decided_at_the_edge(
    shared_mesh: Mesh,
    authority: DevelopmentAuthority,
    player: dict[str, str],
    tmp_short: Path,
    *,
    trusted: bool,
    percent: float,
    sent: str | None,
    continued: bool,
    sampled: bool,
) -> None:
    shared_mesh.reset()
    async with collecting() as (collector, address):
        settings = edge_settings(
            tmp_short,
            authority=authority,
            ports=shared_mesh.ports,
            traces=address,
            sampled_percent=percent,
            trust_client_trace=trusted,
        )
        async with running_edge(settings, tmp_short) as edge, edge.client() as client:
            headers = {**player, **({"traceparent": sent} if sent else {})}
            assert (await client.get(PATH, headers=headers)).status_code == 200
            _, trace_id, span_id, flags = (
                shared_mesh.last("ListBalances").metadata["traceparent"].split("-")
            )
            assert (trace_id == TRACE_ID) is continued
            assert flags == ("01" if sampled else "00")
            if sampled:
                span = await asyncio.wait_for(collector.spans.get(), 20)
                assert span.trace_id.hex() == trace_id
                assert span.span_id.hex() == span_id
                assert span.name == "GET croupier.wallet.v1.WalletService/ListBalances"
