"""How a test looks at an error: code, reason and metadata, as clients see them."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from services.kit.errors import DETAILS_KEY, DOMAIN, error_info_of

PREFIX = "ERROR_REASON_"

told_by_the_edge: set[str] = set()
"""Reasons that tests read in the edge's own answers, which no service sends."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a call ended with."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    info: error_details_pb2.ErrorInfo
    status: status_pb2.Status
    trailing: dict[str, str | bytes]

    def detail(self, kind: Any) -> Any:
        """Returns the detail of a type; fails if there is none."""
        message = kind()
        assert any(packed.Unpack(message) for packed in self.status.details), self.status
        return message


class Told(NamedTuple):
    """What most tests look at. The reason is without the prefix that all reasons have."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Awaits a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    trailing: Any = raised.value.trailing_metadata()
    trailing = dict(tuple(trailing))
    details = trailing.get(DETAILS_KEY)
    assert isinstance(details, bytes), raised.value
    info = error_info_of(details)
    assert info is not None
    assert info.domain == DOMAIN
    return Refusal(
        code=raised.value.code(),
        reason=info.reason,
        metadata=dict(info.metadata),
        info=info,
        status=status_pb2.Status.FromString(details),
        trailing=trailing,
    )


async def told(call: Awaitable[Any]) -> Told:
    """Awaits a call that must be refused, and returns what its caller is told."""
    found = await refusal(call)
    return Told(found.code, found.reason.removeprefix(PREFIX), found.metadata)


def at_once(channel: grpc.aio.Channel, method: str, request: Message) -> Awaitable[Any]:
    """Calls a method that takes a stream with its one message at once.

    A stream of gRPC's sends it later, and where it was refused by then the client fails by itself.

    Args:
        channel: Who calls.
        method: Such as `/croupier.wallet.v1.PostingService/PostStream`.
        request: The message.
    """
    call: Any = channel.unary_unary(
        method, request_serializer=type(request).SerializeToString, response_deserializer=bytes
    )
    answer: Awaitable[Any] = call(request, timeout=10)
    return answer
