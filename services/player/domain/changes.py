"""Changes on their way to the wallet, and the order in which they may go.

The wallet remembers each change by its id, and a repeat has no effect. So a change that is in doubt
is settled by sending it again, and only a change that is settled may be followed by the next one of
the same subject: whatever comes late, the wallet ends with the newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.player.domain.limits import LimitName, LimitSetting
from services.player.domain.player import Restrictions

Subject = LimitName | None
"""What a change is about: one limit, or (None) the restrictions. Subjects do not wait for each
other."""

RESTRICTIONS: Subject = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from, for the record."""

    actor_id: str
    """The operator or the player who wanted it; empty: nobody, or it is not known."""
    reason: str
    """Why; empty: it is not known."""


UNKNOWN_ORIGIN = Origin("", "")
EXCLUSION_OVER = Origin("", "exclusion is over")


def self_exclusion(player_id: str) -> Origin:
    """Returns the origin of what a player wanted to be kept from."""
    return Origin(player_id, "self-exclusion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what the wallet enforces, which the wallet has not confirmed."""

    change_id: str
    player_id: str
    number: int
    """1, 2, 3, … for each player, over all subjects."""
    content: Restrictions | LimitSetting
    """All restrictions that are in force from this change on, or what is set of one limit."""
    attempted: bool
    """Whether it may have reached the wallet."""
    origin: Origin = UNKNOWN_ORIGIN
    """Who wanted it, and why."""

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return self.content.name if isinstance(self.content, LimitSetting) else RESTRICTIONS

    @property
    def replaces_all_before(self) -> bool:
        """Whether the wallet need not know the earlier changes of the subject.

        A maximum that begins later says nothing of the one until then.
        """
        return not isinstance(self.content, LimitSetting) or self.content.start_time is None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next for a subject."""

    send: Change
    superseded: tuple[Change, ...] = ()
    """Changes that never left and need not any more."""


def next_step(outstanding: Sequence[Change]) -> Step | None:
    """Decides which change goes to the wallet now; None if there is none.

    Args:
        outstanding: What the wallet has not confirmed of one subject, in the order of the numbers.
    """
    first = 0
    for index, change in enumerate(outstanding):
        if change.attempted:
            return Step(send=change)
        if change.replaces_all_before:
            first = index
    if not outstanding:
        return None
    return Step(send=outstanding[first], superseded=tuple(outstanding[:first]))
