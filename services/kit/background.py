"""Work that goes on beside the calls of a server, for as long as it runs."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog

_END_S = 5.0
_log = structlog.get_logger()


def run_in_background(
    work: Coroutine[Any, Any, None], stack: AsyncExitStack, *, name: str
) -> "asyncio.Task[None]":
    """Starts work that never ends by itself; the stack ends it.

    Such work handles its own failures. If it ends all the same, the log says so at once, and not
    only when the server stops.

    Args:
        work: What to run.
        stack: Takes the service apart.
        name: For the log.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell)
    stack.push_async_callback(_end, task)
    return task


def _tell(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        _log.error("background work ended", work=task.get_name(), exc_info=task.exception())


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    _, late = await asyncio.wait({task}, timeout=_END_S)
    if late:
        _log.error("background work does not end", work=task.get_name())
