"""Checks a request against the rules of its contract, and that it is what its type says."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import protovalidate
from google.protobuf.message import DecodeError, Message

from services.kit.errors import InvalidRequestError

_VIOLATIONS_MAX = 20
_VALIDATOR = protovalidate.Validator()

_BROKEN = object()


class InvalidMessageError(InvalidRequestError):
    """A message of a stream of requests breaks a rule. Those after it can still be read."""

    def __init__(self, violations: dict[str, str], request: Any) -> None:
        """Keeps the message, for a servicer that answers each by itself."""
        super().__init__(violations)
        self.request = request


class ValidatedRequests:
    """A stream of requests, each checked when it is read.

    A message that breaks a rule is raised in its place. A servicer that lets it pass ends the
    stream with it; one that can answer it catches `InvalidMessageError` and reads on. After what
    is no message of its type nothing can be read.
    """

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        """Takes the stream as gRPC reads it."""
        self._requests = aiter(requests)

    def __aiter__(self) -> Self:
        """Is its own iterator: a stream is read once."""
        return self

    async def __anext__(self) -> Any:
        """Reads the next request.

        Raises:
            InvalidMessageError: It breaks a rule.
            InvalidRequestError: It is no message of its type.
        """
        request = await anext(self._requests)
        violations = _violations(request)
        if request is _BROKEN:
            raise InvalidRequestError(violations)
        if violations:
            raise InvalidMessageError(violations, request)
        return request


def decoder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Wraps a request's decoder: what it cannot read is refused by `validate`, as a bad request.

    gRPC would tell the caller of an unknown error, with the exception's text.
    """

    def decode_or_mark(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _BROKEN

    return decode_or_mark


def validate(request: Message) -> None:
    """Refuses a request that is no message of its type or breaks a `buf.validate` rule.

    Raises:
        InvalidRequestError: Names each field and rule, at most 20.
    """
    violations = _violations(request)
    if violations:
        raise InvalidRequestError(violations)


def _violations(request: Any) -> dict[str, str]:
    if request is _BROKEN:
        return {"": "is not a message of this type"}
    try:
        _VALIDATOR.validate(request)
    except protovalidate.ValidationError as error:
        return {
            _path(violation): violation.proto.message
            for violation in error.violations[:_VIOLATIONS_MAX]
        }
    return {}


def _path(violation: protovalidate.Violation) -> str:
    field = violation.proto.field
    return "" if field is None else ".".join(each.field_name for each in field.elements)
