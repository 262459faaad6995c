import itertools
from datetime import UTC, datetime, timedelta

from croupier.analytics.v1 import analytics_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.domain import ActivityQuery, Segment, Span, plan
from services.analytics.servicer import SPANS

BEGIN = datetime(2027, 1, 15, tzinfo=UTC)
MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 (hypothesis wants the bounds naive)
    max_value=datetime(2199, 12, 31),  # noqa: DTZ001 (as above)
    timezones=st.just(UTC),
)


def whole(start: datetime, end: datetime) -> list[Segment]:
    return list(plan(ActivityQuery(start=start, end=end, span=None)).segments)


def test_every_granularity_has_a_span() -> None:
    assert set(SPANS) == set(analytics_pb2.Granularity.values())


def test_longest_buckets_are_read_where_they_fit() -> None:
    day, hour, minute = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
    assert whole(BEGIN, BEGIN + 3 * day) == [(Span.DAY, BEGIN, BEGIN + 3 * day)]
    assert whole(BEGIN + hour, BEGIN + 2 * hour) == [(Span.HOUR, BEGIN + hour, BEGIN + 2 * hour)]
    assert whole(BEGIN - minute, BEGIN + minute) == [(Span.MINUTE, BEGIN - minute, BEGIN + minute)]
    assert whole(BEGIN - hour - minute, BEGIN + day + hour + minute) == [
        (Span.MINUTE, BEGIN - hour - minute, BEGIN - hour),
        (Span.HOUR, BEGIN - hour, BEGIN),
        (Span.DAY, BEGIN, BEGIN + day),
        (Span.HOUR, BEGIN + day, BEGIN + day + hour),
        (Span.MINUTE, BEGIN + day + hour, BEGIN + day + hour + minute),
    ]


@given(MOMENTS, MOMENTS)
def test_parts_make_up_the_whole_interval_in_whole_buckets(one: datetime, two: datetime) -> None:
    start, end = min(one, two), max(one, two) + timedelta(seconds=1)
    segments = whole(start, end)
    assert len(segments) <= 5
    assert segments[0].start == Span.MINUTE.begin(start)
    assert segments[-1].end == Span.MINUTE.end(end)
    for before, after in itertools.pairwise(segments):
        assert before.end == after.start
    for span, begin, finish in segments:
        assert begin < finish
        assert (span.begin(begin), span.begin(finish)) == (begin, finish)
