"""Turns what a method raises into a status; the only place that aborts a call."""

import asyncio
from typing import NoReturn

import grpc
import structlog
from google.protobuf.message import Message

from services.kit.call import Call
from services.kit.contract import redacted
from services.kit.errors import (
    DETAILS_KEY,
    DeadlineExceededError,
    InternalError,
    ServiceError,
    status_of,
)

_log = structlog.get_logger()


def expected(error: BaseException, call: Call, request: object) -> ServiceError:
    """Returns the error as the caller may see it; logs it whole if it is a fault of ours."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceededError()
    _log.error(
        "call failed",
        method=call.method.full_name,
        request_id=call.request_id,
        request=redacted(request) if isinstance(request, Message) else None,
        exc_info=error,
    )
    return InternalError(request_id=call.request_id)


async def abort(call: Call, error: ServiceError) -> NoReturn:
    """Ends the call with the error's status."""
    status = status_of(error)
    await call.context.abort(
        _CODES[status.code],
        status.message,
        # What the method has set stays; `abort` alone would replace it.
        (*(call.context.trailing_metadata() or ()), (DETAILS_KEY, status.SerializeToString())),
    )
    raise asyncio.CancelledError  # abort never returns; this tells the type checker so


_CODES = {code.value[0]: code for code in grpc.StatusCode}
