from datetime import UTC, datetime, timedelta

import pytest

from services.player.domain import (
    Change,
    Limit,
    LimitKind,
    LimitName,
    LimitPeriod,
    LimitSetting,
    PendingMaximum,
    Step,
    next_step,
)

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
NAME = LimitName(currency_code="EUR", kind=LimitKind.DEPOSIT, period=LimitPeriod.DAY)

# A limit as (in force, (to come, from when)); None is no maximum, and no second part is nothing to
# come.
Shape = tuple[int | None, tuple[int | None, datetime] | None]


def limit(shape: Shape) -> Limit:
    most, pending = shape
    return Limit(
        name=NAME,
        max_minor_units=most,
        pending=pending and PendingMaximum(max_minor_units=pending[0], start_time=pending[1]),
    )


@pytest.mark.parametrize(
    ("before", "wish", "after"),
    [
        # The first maximum, whatever it is, is tighter than none.
        ((None, None), 100, (100, None)),
        ((None, None), 0, (0, None)),
        ((None, None), None, (None, None)),
        # Tighter, at once.
        ((100, None), 99, (99, None)),
        ((100, None), 0, (0, None)),
        # The same.
        ((100, None), 100, (100, None)),
        ((0, None), 0, (0, None)),
        # Looser, or lifted, after a day.
        ((100, None), 101, (100, (101, NOW + DAY))),
        ((0, None), 1, (0, (1, NOW + DAY))),
        ((100, None), None, (100, (None, NOW + DAY))),
        # Another wish takes the place of what is to come.
        ((100, (200, NOW + TICK)), 50, (50, None)),
        ((100, (200, NOW + TICK)), 100, (100, None)),
        ((100, (None, NOW + TICK)), 100, (100, None)),
        ((100, (200, NOW + TICK)), 150, (100, (150, NOW + DAY))),
        ((100, (200, NOW + TICK)), 300, (100, (300, NOW + DAY))),
        ((100, (200, NOW + TICK)), None, (100, (None, NOW + DAY))),
        ((100, (None, NOW + TICK)), 200, (100, (200, NOW + DAY))),
        # The same wish again does not wait longer.
        ((100, (200, NOW + TICK)), 200, (100, (200, NOW + TICK))),
        ((100, (None, NOW + TICK)), None, (100, (None, NOW + TICK))),
        # What has begun is what counts.
        ((100, (200, NOW)), 200, (200, None)),
        ((100, (200, NOW)), 150, (150, None)),
        ((100, (200, NOW)), 201, (200, (201, NOW + DAY))),
        ((100, (None, NOW - DAY)), 1_000, (1_000, None)),
        ((100, (None, NOW)), None, (None, None)),
    ],
)
def test_tighter_wish_counts_at_once_and_looser_one_after_a_day(
    before: Shape, wish: int | None, after: Shape
) -> None:
    assert limit(before).wished(wish, now=NOW) == limit(after)


@pytest.mark.parametrize(
    ("moment", "most"), [(NOW - TICK, 100), (NOW, 200), (NOW + 100 * DAY, 200)]
)
def test_maximum_to_come_begins_on_time(moment: datetime, most: int) -> None:
    assert limit((100, (200, NOW))).at(moment).max_minor_units == most


@pytest.mark.parametrize(
    ("shape", "most", "start_time"),
    [
        ((100, None), 100, None),
        ((None, None), None, None),
        ((100, (200, NOW)), 200, NOW),
        ((100, (None, NOW)), None, NOW),
    ],
)
def test_wallet_is_told_what_the_last_wish_made(
    shape: Shape, most: int | None, start_time: datetime | None
) -> None:
    assert limit(shape).setting == LimitSetting(
        name=NAME, max_minor_units=most, start_time=start_time
    )


AT_ONCE, LATER = None, NOW + DAY


@pytest.mark.parametrize(
    ("starts", "attempted", "sent", "superseded"),
    [
        ([LATER], 0, 1, []),
        ([AT_ONCE, AT_ONCE], 0, 2, [1]),
        # What begins later does not say what counts until then.
        ([AT_ONCE, LATER], 0, 1, []),
        ([AT_ONCE, AT_ONCE, LATER], 0, 2, [1]),
        ([LATER, LATER], 0, 1, []),
        ([LATER, AT_ONCE, LATER, LATER], 0, 2, [1]),
        ([LATER, LATER, AT_ONCE], 0, 3, [1, 2]),
        # What is in doubt goes first.
        ([LATER, AT_ONCE], 1, 1, []),
        ([AT_ONCE, LATER, AT_ONCE], 1, 1, []),
    ],
)
def test_maximum_of_the_present_is_not_skipped_for_a_later_one(
    starts: list[datetime | None], attempted: int, sent: int, superseded: list[int]
) -> None:
    changes = [
        Change(
            change_id=f"change-{number}",
            player_id="player",
            number=number,
            content=LimitSetting(name=NAME, max_minor_units=number, start_time=start_time),
            attempted=number <= attempted,
        )
        for number, start_time in enumerate(starts, start=1)
    ]
    assert next_step(changes) == Step(
        send=changes[sent - 1], superseded=tuple(changes[number - 1] for number in superseded)
    )
