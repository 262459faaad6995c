"""A PSP that misbehaves: the real sandbox PSP behind faults, and a server that speaks no HTTP."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scripts.mesh.pki import DevelopmentAuthority

Fault = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]
ALL = "*"


class MisbehavingPsp:
    """Stands between a wallet and the sandbox PSP. What has no fault passes.

    Attributes:
        faults: By what is asked about: a payment's id when its checkout is asked for, then the
            checkout's id; `ALL` for what has no fault of its own.
        asked: What the wallet has asked about, in order.
        under_way: How many of its questions are neither answered nor given up.
    """

    def __init__(self) -> None:
        self.faults: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.under_way = 0

    def around(self, application: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith("/v1/"):
                await application(scope, receive, send)
                return
            headers = dict(scope["headers"])
            name = headers.get(b"idempotency-key", b"").decode()
            name = name or scope["path"].rpartition("/")[2]
            self.asked.append(name)
            fault = self.faults.get(name) or self.faults.get(ALL)
            self.under_way += 1
            try:
                if fault is None:
                    await application(scope, receive, send)
                else:
                    await fault(application, scope, receive, send)
            finally:
                self.under_way -= 1

        return answer


def answers(status: int, body: bytes = b'{"error": {"code": "no"}}') -> Fault:
    """Answers this, and does nothing."""

    async def fault(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        del application, scope, receive
        await _send(send, status, body)

    return fault


def tells(**changes: Any) -> Fault:
    """Answers as it should, but for some fields; None leaves one out."""

    async def fault(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = await _answer_of(application, scope, receive)
        told = {**json.loads(body), **changes}
        told = {name: value for name, value in told.items() if value is not None}
        await _send(send, status, json.dumps(told).encode())

    return fault


async def loses_its_answer(
    application: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Does what it is asked, and nobody hears of it."""
    await _answer_of(application, scope, receive)
    await _send(send, 502, b"")


async def hangs(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Never answers."""
    del application, scope, send
    while (await receive())["type"] != "http.disconnect":
        pass


async def drips(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without an end, a byte now and then."""
    await send({"type": "http.response.start", "status": 200, "headers": []})

    async def drip() -> None:
        while True:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    await hangs(application, scope, receive, send)
    dripping.cancel()


@contextlib.asynccontextmanager
async def no_http(authority: DevelopmentAuthority, sent: bytes) -> AsyncIterator[str]:
    """Serves these bytes over TLS to whoever asks, and closes; yields its address."""
    identity = authority.identity("psp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _answer_of(application: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def collect(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, collect)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
