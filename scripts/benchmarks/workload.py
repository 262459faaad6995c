"""What every row of the ledger's table does: bets of a few cents, each in a round of its own."""

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

SOURCE = "bench"
GAME = "bench"
CURRENCY = "EUR"
STAKE = 100
FUNDS = 10**12
# Each transfer that is booked has two entries: one of the player, one of the house.
ENTRIES_PER_POSTING = 2
_PLAYERS_BASE = 1_000
_ENTRIES_PER_PLAYER = 100
_NAMESPACE = UUID("9d2c5680-e2b1-4f6e-9c1d-2f4b8a7c6d5e")


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The times of many calls."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


def player(number: int) -> str:
    """Returns a player's id: the same for the same number, so that no list is passed around."""
    return str(uuid5(_NAMESPACE, str(number)))


def players_for(entries: int) -> int:
    """How many players a ledger of that size has."""
    return _PLAYERS_BASE + entries // _ENTRIES_PER_PLAYER


def quantiles(times_ms: Sequence[float]) -> Quantiles:
    """Returns the middle and the two tails, by nearest rank."""
    ranked = sorted(times_ms)
    return Quantiles(*(_rank(ranked, share) for share in (0.50, 0.95, 0.99)))


def _rank(ranked: Sequence[float], share: float) -> float:
    return ranked[math.ceil(share * len(ranked)) - 1] if ranked else 0.0


def spare_collections() -> None:
    """Collects garbage as seldom as a service does, so that nothing here is slower for that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
