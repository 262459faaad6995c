"""What the ledger's movements add up to, and how an interval is read from what was added up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple

from services.analytics.errors import IntervalInvalidError
from services.kit.clock import EPOCH

BUCKETS_MAX = 10_000
"""The most buckets of an answer, in time and in all."""


class Span(StrEnum):
    """The lengths of the time buckets that are kept, from midnight UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long a bucket is."""
        return _LENGTHS[self]

    def begin(self, moment: datetime) -> datetime:
        """Returns when the bucket that contains `moment` begins."""
        return moment - (moment - EPOCH) % self.length

    def end(self, moment: datetime) -> datetime:
        """Returns the first boundary of buckets that is not before `moment`."""
        begin = self.begin(moment)
        return begin if begin == moment else begin + self.length


_LENGTHS = {
    Span.MINUTE: timedelta(minutes=1),
    Span.HOUR: timedelta(hours=1),
    Span.DAY: timedelta(days=1),
}


class Movement(Enum):
    """What the ledger booked for a player and a game."""

    BET = "bet"
    WIN = "win"
    BET_ROLLBACK = "bet rollback"
    WIN_ROLLBACK = "win rollback"


class RoundKey(NamedTuple):
    """A round: live tables share one round id among their players."""

    provider_id: str
    player_id: str
    round_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A movement that the ledger has applied."""

    movement: Movement
    time: datetime
    currency_code: str
    game_id: str
    round_key: RoundKey
    minor_units: int
    """What was really moved, cash and bonus, never negative: a stake, a win, or what was reversed
    of either."""


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """A round that takes no more bets."""

    round_key: RoundKey


Fact = Booking | RoundEnd


class Group(NamedTuple):
    """What one set of figures is of."""

    span: Span
    bucket_time: datetime
    currency_code: str
    provider_id: str
    game_id: str


class Presence(NamedTuple):
    """A player who placed a bet in a group."""

    group: Group
    player_id: str


@dataclass(slots=True)
class Figures:
    """What happened in a group; the columns of the rollup."""

    bets_minor_units: int = 0
    """Stakes less rolled-back stakes."""
    wins_minor_units: int = 0
    """Wins less rolled-back wins."""
    bet_count: int = 0
    win_count: int = 0
    rollback_count: int = 0
    round_count: int = 0

    def count(self, booking: Booking) -> None:
        """Adds a movement."""
        match booking.movement:
            case Movement.BET:
                self.bets_minor_units += booking.minor_units
                self.bet_count += 1
            case Movement.WIN:
                self.wins_minor_units += booking.minor_units
                self.win_count += 1
            case Movement.BET_ROLLBACK:
                self.bets_minor_units -= booking.minor_units
                self.rollback_count += 1
            case Movement.WIN_ROLLBACK:
                self.wins_minor_units -= booking.minor_units
                self.rollback_count += 1

    def add(self, other: "Figures") -> None:
        """Adds the figures of a part."""
        self.bets_minor_units += other.bets_minor_units
        self.wins_minor_units += other.wins_minor_units
        self.bet_count += other.bet_count
        self.win_count += other.win_count
        self.rollback_count += other.rollback_count
        self.round_count += other.round_count


@dataclass(slots=True)
class Tally:
    """What some facts add up to, by minute."""

    figures: dict[Group, Figures] = field(default_factory=dict)
    presences: set[Presence] = field(default_factory=set)
    first_bets: dict[RoundKey, Group] = field(default_factory=dict)
    """Of each round with a bet here, where its first one was. Whether it is the round's first of
    all, only the store knows."""
    ended_rounds: set[RoundKey] = field(default_factory=set)

    def count_rounds(self, begun: Iterable[RoundKey]) -> None:
        """Counts the rounds whose first bet is here."""
        for round_key in begun:
            self.figures[self.first_bets[round_key]].round_count += 1

    def figures_of_all_spans(self) -> dict[Group, Figures]:
        """Returns the figures by minute, hour and day."""
        summed: dict[Group, Figures] = {}
        for group, figures in self.figures.items():
            for wider in _widened(group):
                summed.setdefault(wider, Figures()).add(figures)
        return summed

    def presences_of_all_spans(self) -> set[Presence]:
        """Returns who placed bets by minute, hour and day."""
        return {
            Presence(wider, player_id)
            for group, player_id in self.presences
            for wider in _widened(group)
        }


def tally(facts: Iterable[Fact]) -> Tally:
    """Adds facts up, in the order of the ledger."""
    summed = Tally()
    for fact in facts:
        if isinstance(fact, RoundEnd):
            summed.ended_rounds.add(fact.round_key)
            continue
        if fact.movement is Movement.WIN and not fact.minor_units:
            continue  # how a provider says that a round was lost
        group = Group(
            Span.MINUTE,
            Span.MINUTE.begin(fact.time),
            fact.currency_code,
            fact.round_key.provider_id,
            fact.game_id,
        )
        summed.figures.setdefault(group, Figures()).count(fact)
        if fact.movement is Movement.BET:
            summed.presences.add(Presence(group, fact.round_key.player_id))
            summed.first_bets.setdefault(fact.round_key, group)
    return summed


def _widened(group: Group) -> Iterable[Group]:
    return (group._replace(span=span, bucket_time=span.begin(group.bucket_time)) for span in Span)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityQuery:
    """What is asked about games. Empty ids and codes mean all."""

    start: datetime
    end: datetime
    span: Span | None
    """None: one bucket for the whole interval."""
    by_game: bool = False
    by_provider: bool = False
    game_id: str = ""
    provider_id: str = ""
    currency_code: str = ""


class Segment(NamedTuple):
    """A part of an interval that consists of whole buckets of one span."""

    span: Span
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is answered."""

    start: datetime
    """Begin of the first bucket."""
    segments: Sequence[Segment]


class AnswerGroup(NamedTuple):
    """What one set of figures in an answer is of; empty where it was not grouped by."""

    bucket_time: datetime
    currency_code: str
    provider_id: str
    game_id: str


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened in one group of an answer."""

    group: AnswerGroup
    figures: Figures
    active_player_count: int


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a query."""

    activities: Sequence[Activity]
    follow_time: datetime | None
    """When the last event was committed that is counted; None before the first."""


def plan(query: ActivityQuery) -> Plan:
    """Rounds an interval to whole buckets and chooses what to read.

    Raises:
        IntervalInvalidError: It is empty or has too many buckets.
    """
    if query.start >= query.end:
        raise IntervalInvalidError(buckets=0, buckets_max=BUCKETS_MAX)
    span = query.span or Span.MINUTE
    start, end = span.begin(query.start), span.end(query.end)
    if query.span is None:
        return Plan(start, list(_cover(start, end)))
    buckets = (end - start) // span.length
    if buckets > BUCKETS_MAX:
        raise IntervalInvalidError(buckets=buckets, buckets_max=BUCKETS_MAX)
    return Plan(start, [Segment(span, start, end)])


def _cover(
    start: datetime, end: datetime, spans: Sequence[Span] = (Span.DAY, Span.HOUR, Span.MINUTE)
) -> Iterable[Segment]:
    """Cuts an interval of whole minutes into parts of the longest buckets: at most five."""
    span, shorter = spans[0], spans[1:]
    first, last = span.end(start), span.begin(end)
    if first < last:
        yield from _cover(start, first, shorter) if shorter else ()
        yield Segment(span, first, last)
        yield from _cover(last, end, shorter) if shorter else ()
    elif shorter:
        yield from _cover(start, end, shorter)
