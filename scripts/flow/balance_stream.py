"""The player's balance stream, followed as a front end does: through ends and new tokens."""

import asyncio
import contextlib

import httpx

from scripts.flow.player import CURRENCY, Player
from scripts.flow.step import StepFailedError
from scripts.mesh.front_door import FrontDoor

_PATH = "/v1/wallet/balances:watch"
_AGAIN_S = 0.1
_RECONNECTS_MAX = 100


class BalanceStream:
    """Collects every balance that the stream shows."""

    def __init__(self, door: FrontDoor, player: Player) -> None:
        """Prepares; `start` follows."""
        self._door = door
        self._player = player
        self._seq = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.values: list[int] = []
        """Cash in minor units, one for each line that changed it."""
        self.ends: list[str] = []
        """Why streams ended, by the words of the contract."""

    def start(self) -> None:
        """Follows in the background."""
        self._task = asyncio.create_task(self._follow(), name="balance stream")

    async def reach(self, minor_units: int, *, within_s: float) -> None:
        """Waits until the newest line shows this balance.

        Raises:
            StepFailedError: It does not come in time.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self.values or self.values[-1] != minor_units:
                    if self._task is not None and self._task.done():
                        self._task.result()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise StepFailedError(
                f"the balance stream shows {self.values}, and not {minor_units} at the end"
            ) from None

    async def stop(self) -> None:
        """Ends the stream."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            for _ in range(_RECONNECTS_MAX):
                with contextlib.suppress(httpx.HTTPError):
                    await self._read()
                await asyncio.sleep(_AGAIN_S)
            raise StepFailedError(f"the balance stream ended {_RECONNECTS_MAX} times")
        finally:
            self._changed.set()

    async def _read(self) -> None:
        token = await self._player.token()
        query = {"afterSeq": str(self._seq)}
        async with self._door.follow(_PATH, token=token, query=query) as lines:
            async for line in lines:
                if "end" in line:
                    self.ends.append(str(line["end"]["cause"]).removeprefix("CAUSE_"))
                    return
                balance = line.get("balance")
                if balance is not None and balance["currencyCode"] == CURRENCY:
                    self._seq = int(balance["seq"])
                    self._take(int(balance["cashMinorUnits"]))

    def _take(self, minor_units: int) -> None:
        # A new stream begins with the balance as it is, which need not be a change.
        if not self.values or self.values[-1] != minor_units:
            self.values.append(minor_units)
            self._changed.set()
