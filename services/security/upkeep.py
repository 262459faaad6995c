"""What happens without a caller: keys rotate, sessions expire and are forgotten, Game is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog

from services.kit.errors import ServiceError

_log = structlog.get_logger()

Step = Callable[[], Awaitable[None]]


class Upkeep:
    """Repeats steps until it is cancelled. Each replica does; the steps allow for it."""

    def __init__(self, steps: Mapping[str, Step], *, every: timedelta) -> None:
        """Takes the steps by name, and the pause between two rounds."""
        self._steps = steps
        self._every_s = every.total_seconds()

    async def run(self) -> None:
        """Pauses, runs all steps, and begins again. A step that fails has its next try then.

        It begins with the pause: what cannot wait has been done by the start.
        """
        while True:
            await asyncio.sleep(self._every_s)
            for name, step in self._steps.items():
                await self._try(name, step)

    async def _try(self, name: str, step: Step) -> None:
        try:
            await step()
        except ServiceError as error:
            _log.warning("upkeep interrupted", step=name, error=error.message)
        except Exception:  # noqa: BLE001 (whatever it was, the other steps must go on)
            _log.exception("upkeep failed", step=name)
