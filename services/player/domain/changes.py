"""Changes of restrictions on their way to the wallet, and the order in which they may go.

The wallet remembers each change by its id, and a repeat has no effect. So a change that is in doubt
is settled by sending it again, and only a change that is settled may be followed by the next one:
whatever comes late, the wallet ends with the newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.player.domain.player import Restrictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a player's restrictions that the wallet has not confirmed."""

    change_id: str
    player_id: str
    number: int
    """1, 2, 3, … for each player."""
    restrictions: Restrictions
    """All that are in force from this change on."""
    attempted: bool
    """Whether it may have reached the wallet."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next for a player."""

    send: Change
    superseded: tuple[Change, ...] = ()
    """Changes that never left and need not any more."""


def next_step(outstanding: Sequence[Change]) -> Step | None:
    """Decides which change goes to the wallet now; None if there is none.

    Args:
        outstanding: What the wallet has not confirmed, in the order of their numbers.
    """
    if not outstanding:
        return None
    for change in outstanding:
        if change.attempted:
            return Step(send=change)
    *older, newest = outstanding
    return Step(send=newest, superseded=tuple(older))
