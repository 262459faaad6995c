"""How a test waits for what tells nobody that it has come."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, seconds: float = 30
) -> None:
    """Waits until `condition` is true, and fails if that takes too long."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
