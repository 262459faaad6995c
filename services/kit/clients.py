"""Typed calls to other services: deadline, retry, trace and errors, the same for all.

A call inherits the deadline of the call that is being served, and never outlives it. Only methods
whose contract says that they may be repeated are retried, by gRPC itself, on UNAVAILABLE.
"""

import json
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry.trace import Span, SpanKind, StatusCode

from services.kit import telemetry
from services.kit.call import current_call
from services.kit.contract import methods_of
from services.kit.database import inside_transaction
from services.kit.errors import (
    DETAILS_KEY,
    DeadlineExceededError,
    OverloadedError,
    RemoteError,
    UnavailableError,
    error_info_of,
)
from services.kit.tls import Identity

# Kept back from an inherited deadline, so that the answer still arrives in time.
_MARGIN_S = 0.02
_RETRY_AFTER = timedelta(milliseconds=250)
# Refusals that mean the same to our caller as to us. Other codes would be a fault of ours.
_PASSED_ON = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class CallInsideTransactionError(Exception):
    """A programming error: a remote call while a database transaction is open."""


class PeerFaultError(Exception):
    """Another service answered what it never should; the caller sees INTERNAL."""


class Peer:
    """One other service, over one channel."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        identity: Identity,
        services: tuple[str, ...],
        timeout: timedelta,
    ) -> None:
        """Opens the channel; it connects when first used.

        Args:
            name: The service's name: its certificate must carry it.
            address: `host:port`.
            identity: Who we are.
            services: The gRPC services that it serves, to learn what may be retried.
            timeout: For a call that inherits no shorter deadline.
        """
        self.name = name
        self._timeout = timeout
        self.channel = grpc.aio.secure_channel(
            address,
            identity.channel_credentials(),
            options=[
                ("grpc.ssl_target_name_override", name),
                ("grpc.default_authority", name),
                ("grpc.service_config", _service_config(services)),
                ("grpc.enable_retries", 1),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2_000),
            ],
        )

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
    ) -> ResponseT:
        """Calls a method of the peer.

        Raises:
            RemoteError: The peer refused, for a reason that our caller may see.
            UnavailableError: It does not answer; gRPC has tried again where that was safe.
            DeadlineExceededError: The deadline passed.
            OverloadedError: It has too much work.
        """
        if inside_transaction():
            raise CallInsideTransactionError(self.name)
        parent = telemetry.current_span()
        span = (
            telemetry.start_span(f"call {self.name}", kind=SpanKind.CLIENT, parent=parent)
            if parent is not None
            else None
        )
        try:
            return await method(
                request,
                timeout=remaining_s(self._timeout),
                metadata=_metadata(span),
            )
        except grpc.aio.AioRpcError as error:
            if span is not None and span is not parent:
                span.set_status(StatusCode.ERROR, error.code().name)
            raise self._translated(error) from None
        finally:
            if span is not None and span is not parent:
                span.end()

    async def follow(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT],
        request: RequestT,
    ) -> AsyncGenerator[ResponseT, None]:
        """Reads a stream of the peer until it ends; has no deadline.

        Close it (`contextlib.aclosing`) if it may be left before its end: that ends the call.

        Raises:
            RemoteError: The peer refused.
            UnavailableError: It does not answer, or the connection broke.
        """
        if inside_transaction():
            raise CallInsideTransactionError(self.name)
        stream = method(request)
        try:
            async for response in stream:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from None
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close(grace=None)

    def _translated(self, error: grpc.aio.AioRpcError) -> Exception:
        code = error.code()
        if code in _PASSED_ON:
            return _passed_on(error)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError()
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return OverloadedError(retry_after=_RETRY_AFTER)
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return UnavailableError(dependency=self.name)
        return PeerFaultError(f"{self.name}: {code.name}: {error.details()}")


def remaining_s(timeout: timedelta) -> float:
    """Returns the seconds that a call to somebody else may take, with the inherited deadline.

    Raises:
        DeadlineExceededError: None are left.
    """
    call = current_call.get(None)
    if call is None or call.deadline is None:
        return timeout.total_seconds()
    remaining = call.deadline - time.monotonic() - _MARGIN_S
    if remaining <= 0:
        raise DeadlineExceededError
    return min(timeout.total_seconds(), remaining)


def _metadata(span: Span | None) -> tuple[tuple[str, str], ...]:
    sent = []
    if span is not None:
        sent.append(("traceparent", telemetry.traceparent_of(span)))
    call = current_call.get(None)
    if call is not None:
        sent.append(("x-request-id", call.request_id))
    return tuple(sent)


def _passed_on(error: grpc.aio.AioRpcError) -> Exception:
    sent = cast("tuple[tuple[str, str | bytes], ...]", error.trailing_metadata() or ())
    for key, value in sent:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                info = error_info_of(value)
            except DecodeError:
                break
            if info is not None:
                return RemoteError(
                    code=error.code(),
                    reason=info.reason,
                    message=error.details() or "",
                    metadata=dict(info.metadata),
                )
    return PeerFaultError(f"{error.code().name} without a reason: {error.details()}")


def _service_config(services: tuple[str, ...]) -> str:
    repeatable = [
        {"service": service, "method": method.name}
        for service in services
        for method in methods_of(service).values()
        if method.repeatable
    ]
    return json.dumps(
        {
            "methodConfig": [
                {
                    "name": repeatable,
                    "retryPolicy": {
                        "maxAttempts": 3,
                        "initialBackoff": "0.05s",
                        "maxBackoff": "0.5s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE"],
                    },
                }
            ],
            # Retries stop while most calls fail: they would only add to an overload.
            "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
        }
    )
