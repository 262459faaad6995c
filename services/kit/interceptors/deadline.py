"""Gives every call a deadline, and lets the calls that it makes inherit it."""

import time

from services.kit.call import Call
from services.kit.errors import DeadlineExceededError


def impose(call: Call, *, default_s: float) -> float | None:
    """Notes until when the call may run.

    Returns:
        The seconds after which the server itself must stop the call, because the client set no
        deadline; None where gRPC does it.
    """
    remaining = call.context.time_remaining()
    if remaining is None:
        call.deadline = time.monotonic() + default_s
        return default_s
    if remaining <= 0:
        raise DeadlineExceededError
    call.deadline = time.monotonic() + remaining
    return None
