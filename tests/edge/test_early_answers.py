"""What a client of HTTP/2 gets that is still sending when the edge refuses its request."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.edge.doubles import Mesh
from tests.edge.envoy import Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/payments:deposit"
MIB = 1 << 20
SIZE = 10 * MIB
# More than fits into the connection's window, unless what is thrown away is given back to it.
TURNS = 6


@dataclass(slots=True)
class Answer:
    """What came on one stream."""

    status: str = ""
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None
    unsent: int = 0


class Http2:
    """One connection, by hand: it sends as much as it may before it reads anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()

    async def post(self, headers: Mapping[str, str], size: int) -> Answer:
        stream = self._h2.get_next_available_stream_id()
        pseudo = {":method": "POST", ":path": PATH, ":scheme": "https", ":authority": "127.0.0.1"}
        self._h2.send_headers(stream, [*pseudo.items(), *headers.items()])
        answer = Answer(unsent=size)
        while not (answer.ended and (answer.reset is not None or not answer.unsent)):
            await self._send(stream, answer)
            await self._receive(answer)
        return answer

    async def _send(self, stream: int, answer: Answer) -> None:
        while answer.unsent and answer.reset is None:
            size = min(
                answer.unsent,
                self._h2.max_outbound_frame_size,
                self._h2.local_flow_control_window(stream),
            )
            if size <= 0:
                break
            answer.unsent -= size
            self._h2.send_data(stream, bytes(size), end_stream=not answer.unsent)
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()

    async def _receive(self, answer: Answer) -> None:
        received = await self._reader.read(65_536)
        assert received, "the connection was closed"
        for event in self._h2.receive_data(received):
            if isinstance(event, ResponseReceived):
                answer.status = {str(name): str(value) for name, value in event.headers}[":status"]
            elif isinstance(event, DataReceived):
                answer.body += event.data
            elif isinstance(event, StreamEnded):
                answer.ended = True
            elif isinstance(event, StreamReset):
                answer.reset = event.error_code
        self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def connected(edge: Edge) -> AsyncIterator[Http2]:
    trust = ssl.create_default_context(cafile=str(edge.authority))
    trust.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, ssl=trust)
    try:
        yield Http2(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize("told", [{"content-length": str(SIZE)}, {}], ids=["length", "none"])
async def test_refusal_of_a_large_body_is_whole_and_ends_the_stream_without_an_error(
    edge: Edge, mesh: Mesh, player: dict[str, str], told: dict[str, str]
) -> None:
    headers = {**player, "content-type": "application/json", **told}
    async with asyncio.timeout(30), connected(edge) as connection:
        for _ in range(TURNS):
            answer = await connection.post(headers, SIZE)
            assert answer.status == "413"
            assert json.loads(answer.body)["details"][0]["metadata"] == {"bytes_max": str(MIB)}
            # NO_ERROR: stop sending, and take the answer as it is (RFC 9113, 8.1).
            assert (answer.ended, answer.reset) == (True, 0)
            assert answer.unsent
        # The connection is as good as before.
        assert (await connection.post({**player, "content-type": "application/json"}, 2)).status
    assert mesh.received == []
