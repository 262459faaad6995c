"""Calls to Croupier's `ProviderService`: a key, a deadline, and the same id until it is answered.

Croupier answers a repeated id as it did the first time. So a call whose fate is unknown is simply
made again; only an answer ends it.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
from croupier.game.v1 import provider_service_pb2_grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from scripts.sandbox.tracing import current_trace_id, sent_context

_TIMEOUT_S = 3.0
_TRIES_MAX = 4
_PAUSE_S = 0.1
_UNKNOWN_FATE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_DETAILS_KEY = "grpc-status-details-bin"
_REPLAYED_KEY = "croupier-replayed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What Croupier said in the end."""

    code: str
    response: Message | None = None
    reason: str = ""
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False
    tries: int = 1
    trace_id: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the call succeeded."""
        return self.code == "OK"


class Wallet:
    """Croupier, seen from a provider."""

    def __init__(
        self, address: str, *, authority: Path, api_key_file: Path, tracer: Tracer
    ) -> None:
        """Opens the channel; it connects when first used."""
        self._api_key_file = api_key_file
        self._tracer = tracer
        self._channel = grpc.aio.secure_channel(
            address,
            grpc.ssl_channel_credentials(root_certificates=authority.read_bytes()),
            options=[("grpc.max_reconnect_backoff_ms", 1_000)],
        )
        self._stub = provider_service_pb2_grpc.ProviderServiceStub(self._channel)

    async def call(self, method: str, request: Message, *, api_key: str = "") -> Answer:
        """Calls a method until it is answered, a few times at most.

        Args:
            method: Its name, such as `PlaceBet`.
            request: Its request.
            api_key: Another key than the provider's own.
        """
        with self._tracer.start_as_current_span(
            f"ProviderService/{method}", kind=SpanKind.CLIENT
        ) as span:
            metadata = (
                ("x-api-key", api_key or self._api_key_file.read_text().strip()),
                *sent_context().items(),
            )
            tries = 1
            while True:
                answer = await self._once(method, request, metadata, tries)
                if answer.code not in {code.name for code in _UNKNOWN_FATE} or tries == _TRIES_MAX:
                    break
                await asyncio.sleep(_PAUSE_S * 2**tries * random.uniform(0.5, 1.5))  # noqa: S311 (jitter)
                tries += 1
            if not answer.is_ok:
                span.set_status(StatusCode.ERROR, answer.reason or answer.code)
            return answer

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close(grace=None)

    async def _once(
        self, method: str, request: Message, metadata: tuple[tuple[str, str], ...], tries: int
    ) -> Answer:
        call = getattr(self._stub, method)(request, timeout=_TIMEOUT_S, metadata=metadata)
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            return _refusal(error, tries)
        trailing = dict(await call.trailing_metadata() or ())
        return Answer(
            code="OK",
            response=response,
            replayed=trailing.get(_REPLAYED_KEY) == "1",
            tries=tries,
            trace_id=current_trace_id(),
        )


def _refusal(error: grpc.aio.AioRpcError, tries: int) -> Answer:
    info = error_details_pb2.ErrorInfo()
    trailing = dict(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ()))
    status = status_pb2.Status.FromString(trailing.get(_DETAILS_KEY, b""))
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return Answer(
        code=error.code().name,
        reason=info.reason,
        message=error.details() or "",
        metadata=dict(info.metadata),
        replayed=trailing.get(_REPLAYED_KEY) == "1",
        tries=tries,
        trace_id=current_trace_id(),
    )
