"""Checks a request against the rules of its contract, and that it is what its type says."""

from collections.abc import Callable
from typing import Any

import protovalidate
from google.protobuf.message import DecodeError, Message

from services.kit.errors import InvalidRequestError

_VIOLATIONS_MAX = 20
_VALIDATOR = protovalidate.Validator()

_BROKEN = object()


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
    if request is _BROKEN:
        raise InvalidRequestError({"": "is not a message of this type"})
    try:
        _VALIDATOR.validate(request)
    except protovalidate.ValidationError as error:
        raise InvalidRequestError(
            {
                _path(violation): violation.proto.message
                for violation in error.violations[:_VIOLATIONS_MAX]
            }
        ) from None


def _path(violation: protovalidate.Violation) -> str:
    field = violation.proto.field
    return "" if field is None else ".".join(each.field_name for each in field.elements)
