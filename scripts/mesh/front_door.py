"""The edge as a client sees it: JSON over HTTPS, errors as `google.rpc.Status`."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from scripts.sandbox.tracing import sent_context

_TIMEOUT_S = 10.0
_STREAM_SILENCE_S = 30.0
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the edge answered."""

    status: int
    body: Json
    reason: str = ""
    """`ErrorInfo.reason` without its prefix; empty for a success."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """`ErrorInfo.metadata`."""

    @property
    def is_ok(self) -> bool:
        """Whether it is a success."""
        return self.status < httpx.codes.BAD_REQUEST

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


class UnexpectedReplyError(Exception):
    """The edge refused what it had to do."""

    def __init__(self, request: str, reply: Reply) -> None:
        """Says what was asked and what was answered."""
        super().__init__(f"{request}: {reply} {reply.body.get('message', '')}".rstrip())
        self.reply = reply


class FrontDoor:
    """A client of the edge; tells its running span with every request."""

    def __init__(self, url: str, *, authority: Path) -> None:
        """Prepares the client; it connects when first used.

        Args:
            url: `https://host:port`.
            authority: What the edge's certificate is verified by, PEM.
        """
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=ssl.create_default_context(cafile=str(authority)),
            timeout=_TIMEOUT_S,
            # A proxy for the outside world cannot reach a server on this machine.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        token: str = "",
        query: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Sends one request and reads the answer, whatever it is.

        Raises:
            httpx.HTTPError: There is no answer.
        """
        response = await self._http.request(
            method, path, json=body, params=query, headers=_headers(token)
        )
        return _reply(response.status_code, response.content)

    async def expect(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        token: str = "",
        query: Mapping[str, Any] | None = None,
    ) -> Json:
        """Sends one request and returns the body of its success.

        Raises:
            UnexpectedReplyError: It was refused.
            httpx.HTTPError: There is no answer.
        """
        reply = await self.call(method, path, body, token=token, query=query)
        if not reply.is_ok:
            raise UnexpectedReplyError(f"{method} {path}", reply)
        return reply.body

    @asynccontextmanager
    async def follow(
        self, path: str, *, token: str, query: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """Opens a stream of JSON lines.

        Raises:
            UnexpectedReplyError: It was refused.
            httpx.HTTPError: There is no answer, or it broke off.
        """
        async with self._http.stream(
            "GET",
            path,
            params=query,
            headers=_headers(token),
            timeout=httpx.Timeout(_TIMEOUT_S, read=_STREAM_SILENCE_S),
        ) as response:
            if response.status_code != httpx.codes.OK:
                reply = _reply(response.status_code, await response.aread())
                raise UnexpectedReplyError(f"GET {path}", reply)
            yield _lines(response)


async def _lines(response: httpx.Response) -> AsyncIterator[Json]:
    async for line in response.aiter_lines():
        if line.strip():
            yield json.loads(line)


def _headers(token: str) -> dict[str, str]:
    headers = sent_context()
    if token:
        headers["authorization"] = f"Bearer {token}"
    return headers


def _reply(status: int, content: bytes) -> Reply:
    try:
        body = json.loads(content)
    except ValueError:
        body = {"message": content.decode(errors="replace")}
    if not isinstance(body, dict):
        body = {"message": str(body)}
    for detail in body.get("details", ()):
        if detail.get("@type") == _ERROR_INFO:
            reason = str(detail.get("reason", "")).removeprefix("ERROR_REASON_")
            return Reply(status, body, reason, detail.get("metadata", {}))
    return Reply(status, body)
