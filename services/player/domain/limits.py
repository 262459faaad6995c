"""Limits that players set themselves: tighter ones at once, looser ones after a day."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

LOOSENING_DELAY = timedelta(hours=24)
"""How long a looser limit waits (GLI-19 A.3.7, UKGC RTS 12B)."""


class LimitKind(StrEnum):
    """What a limit counts, as the contract names it."""

    DEPOSIT = "LIMIT_KIND_DEPOSIT"
    WAGER = "LIMIT_KIND_WAGER"
    LOSS = "LIMIT_KIND_LOSS"


class LimitPeriod(StrEnum):
    """How long a limit counts before it starts anew, as the contract names it."""

    DAY = "LIMIT_PERIOD_DAY"
    WEEK = "LIMIT_PERIOD_WEEK"
    MONTH = "LIMIT_PERIOD_MONTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitName:
    """Which of a player's limits: each has its own maximum."""

    currency_code: str
    kind: LimitKind
    period: LimitPeriod


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMaximum:
    """A maximum that takes the place of the one in force by itself."""

    max_minor_units: int | None
    """None: no maximum."""
    start_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSetting:
    """What the wallet is told of a limit."""

    name: LimitName
    max_minor_units: int | None
    """None lifts the limit."""
    start_time: datetime | None
    """None: at once, which also cancels what was to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit as it was recorded."""

    name: LimitName
    max_minor_units: int | None = None
    """In force; None: no maximum."""
    pending: PendingMaximum | None = None
    """To come; it may have begun since."""

    def at(self, now: datetime) -> "Limit":
        """Returns the limit with what has begun by now in force; the start itself belongs to it."""
        if self.pending is None or now < self.pending.start_time:
            return self
        return replace(self, max_minor_units=self.pending.max_minor_units, pending=None)

    def wished(self, max_minor_units: int | None, *, now: datetime) -> "Limit":
        """Returns what becomes of the limit when the player wishes for another maximum.

        Args:
            max_minor_units: The wish; None is no maximum.
            now: When the player wishes it.
        """
        current = self.at(now)
        if not _is_looser(max_minor_units, than=current.max_minor_units):
            # Also the wish for what is in force: it cancels what was to come.
            return replace(current, max_minor_units=max_minor_units, pending=None)
        if current.pending is not None and current.pending.max_minor_units == max_minor_units:
            return current
        return replace(
            current,
            pending=PendingMaximum(
                max_minor_units=max_minor_units, start_time=now + LOOSENING_DELAY
            ),
        )

    @property
    def setting(self) -> LimitSetting:
        """What the wallet must be told if the last wish made a difference."""
        pending = self.pending
        if pending is None:
            return LimitSetting(
                name=self.name, max_minor_units=self.max_minor_units, start_time=None
            )
        return LimitSetting(
            name=self.name,
            max_minor_units=pending.max_minor_units,
            start_time=pending.start_time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitWish:
    """What a player asks for under a request id."""

    request_id: str
    name: LimitName
    max_minor_units: int | None


def _is_looser(wish: int | None, *, than: int | None) -> bool:
    if than is None:
        return False
    return wish is None or wish > than
