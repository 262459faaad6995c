"""HTTP/1.1 by hand: bytes that no client library would send, and answers that come early."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Mapping

import httpx

from tests.edge.envoy import Edge

_ANSWER_WITHIN_S = 10.0


async def exchange(
    edge: Edge, head: str, headers: Mapping[str, str], body: Iterable[bytes] = ()
) -> httpx.Response:
    """Sends a request and reads the answer at the same time, as it comes.

    Args:
        edge: Where to.
        head: Method and path, such as `POST /v1/games`.
        headers: All of them, but for `host`.
        body: The body as it goes over the wire.
    """
    trust = ssl.create_default_context(cafile=str(edge.authority))
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, ssl=trust)
        lines = [f"{head} HTTP/1.1", "host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        sending = asyncio.create_task(_send(writer, body))
        try:
            return await _receive(reader)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, body: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):
        for part in body:
            writer.write(part)
            await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> httpx.Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = httpx.Headers(
        [(name, value) for name, _, value in (line.partition(": ") for line in head[1:]) if name]
    )
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return httpx.Response(int(head[0].split()[1]), headers=headers, content=content)
