"""Everything that the steps share: clients of the front doors, and what earlier steps found out."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx

from scripts.flow.balance_stream import BalanceStream
from scripts.flow.player import Player, stopwatch
from scripts.flow.provider import Answer, ProviderControl
from scripts.flow.step import StepFailedError
from scripts.mesh.description import Description
from scripts.mesh.folder import read_secret
from scripts.mesh.front_door import FrontDoor
from scripts.mesh.seed import Operator

_LOOK_EVERY_S = 0.02
# An access token with less than this left is replaced before it is used.
_FRESH = timedelta(seconds=2)

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Activity:
    """What Analytics says of a game."""

    bets: int = 0
    wins: int = 0
    ggr: int = 0
    bet_count: int = 0
    rollback_count: int = 0
    round_count: int = 0

    def __sub__(self, other: "Activity") -> "Activity":
        return Activity(
            bets=self.bets - other.bets,
            wins=self.wins - other.wins,
            ggr=self.ggr - other.ggr,
            bet_count=self.bet_count - other.bet_count,
            rollback_count=self.rollback_count - other.rollback_count,
            round_count=self.round_count - other.round_count,
        )


@dataclass(slots=True)
class World:
    """The state of one flow."""

    mesh: Description
    door: FrontDoor
    provider: ProviderControl
    checkout: httpx.AsyncClient
    """The player's browser at the PSP."""
    player: Player
    stream: BalanceStream
    patience_s: float
    """How long is waited for what follows from something else."""
    figures_within_s: float
    """How soon after a movement Analytics must show it."""

    balance: int = 0
    """What the player must have, by the steps so far."""
    first_token: str = ""
    game_session_id: str = ""
    session_token: str = ""
    round_id: str = ""
    bet_id: str = ""
    bets: list[Answer] = field(default_factory=list)
    """What each stake that was taken was answered."""
    last_movement_at: float = 0.0
    activity_before: Activity = field(default_factory=Activity)
    _operator: Operator | None = None

    @property
    def game_id(self) -> str:
        """The game that is played."""
        return self.mesh.game_ids[0]

    async def operator(self) -> Operator:
        """Returns the first operator, with a token that is good for a moment at least."""
        known = self._operator
        if known is None or known.expire_time - datetime.now(UTC) < _FRESH:
            password = read_secret(Path(self.mesh.operator_password_file))
            known = self._operator = await Operator.login(self.door, password)
        return known

    async def eventually(
        self, look: Callable[[], Awaitable[FoundT | None]], *, otherwise: Callable[[], str]
    ) -> FoundT:
        """Looks again and again until something is found, for as long as patience lasts.

        Raises:
            StepFailedError: It was not found in time.
        """
        deadline = stopwatch() + self.patience_s
        while True:
            found = await look()
            if found is not None:
                return found
            if stopwatch() > deadline:
                raise StepFailedError(f"{otherwise()} after {self.patience_s:g} s")
            await asyncio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def open_world(
    mesh: Description, *, patience_s: float, figures_within_s: float
) -> AsyncIterator[World]:
    """Opens all clients, and closes them at the end."""
    authority = Path(mesh.authority)
    provider = ProviderControl(
        mesh.provider_url,
        authority=authority,
        key=read_secret(Path(mesh.provider_control_key_file)),
    )
    async with (
        FrontDoor(mesh.edge_url, authority=authority) as door,
        httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=mesh.authority), trust_env=False
        ) as checkout,
    ):
        player = Player(door)
        stream = BalanceStream(door, player)
        try:
            yield World(
                mesh=mesh,
                door=door,
                provider=provider,
                checkout=checkout,
                player=player,
                stream=stream,
                patience_s=patience_s,
                figures_within_s=figures_within_s,
            )
        finally:
            await stream.stop()
            await provider.close()
