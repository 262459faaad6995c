"""A slot game: three reels and a pay table. Pure, but for the draw."""

import secrets
from dataclasses import dataclass

_REEL = ("cherry", "cherry", "cherry", "lemon", "lemon", "bell", "bell", "star", "seven")
# What three of a kind pay, as a multiple of the stake.
_PAYS = {"cherry": 8, "lemon": 18, "bell": 20, "star": 70, "seven": 100}


@dataclass(frozen=True, slots=True)
class Spin:
    """What the reels show, and what it pays."""

    symbols: tuple[str, str, str]
    win_minor_units: int


def spin(stake_minor_units: int) -> Spin:
    """Draws one spin."""
    symbols = (secrets.choice(_REEL), secrets.choice(_REEL), secrets.choice(_REEL))
    multiple = _PAYS[symbols[0]] if len(set(symbols)) == 1 else 0
    return Spin(symbols, multiple * stake_minor_units)
