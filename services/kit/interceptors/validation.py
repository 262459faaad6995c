"""Checks a request against the rules of its contract, and that it is what its type says."""

import protovalidate
from google.protobuf.message import Message

from services.kit.errors import InvalidRequestError

_VIOLATIONS_MAX = 20


def validate(request: Message) -> None:
    """Refuses a request that breaks a `buf.validate` rule.

    Raises:
        InvalidRequestError: Names each field and rule, at most 20.
    """
    try:
        protovalidate.validate(request)
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
