"""Work that goes on beside the calls of a server, for as long as it runs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import structlog

from services.kit.errors import ServiceError

_END_S = 5.0
_log = structlog.get_logger()

Step = Callable[[], Awaitable[object]]
"""A piece of work that is done again and again; it may be cancelled at any point."""


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


def repeat_in_background(
    steps: Mapping[str, Step], stack: AsyncExitStack, *, every: timedelta
) -> None:
    """Starts to repeat steps, one after the other; the stack ends it.

    A step that fails is logged, keeps no other from its turn, and has its next try in the next
    round. A pause comes before each round: what cannot wait has been done by the start. Each
    replica of a service repeats the same steps, which must allow for that.

    Args:
        steps: What to do, by its name in the log.
        stack: Takes the service apart.
        every: How long a pause is.
    """
    run_in_background(_repeat(steps, every), stack, name=", ".join(steps))


async def _repeat(steps: Mapping[str, Step], every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        for name, step in steps.items():
            try:
                await step()
            except ServiceError as error:
                _log.warning("background work interrupted", work=name, error=error.message)
            except Exception:  # noqa: BLE001 (logged whole; it has its next try)
                _log.exception("background work failed", work=name)


def _tell(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        _log.error("background work ended", work=task.get_name(), exc_info=task.exception())


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    _, late = await asyncio.wait({task}, timeout=_END_S)
    if late:
        _log.error("background work does not end", work=task.get_name())
