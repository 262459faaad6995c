"""Limits: what counts, for how long, and when one is reached.

A window opens with the first amount that counts after the one before it has ended, and its end is
fixed from then on. Nothing but an operation that applies changes a counter.
"""

import calendar
from collections.abc import Iterator
from datetime import timedelta

from services.kit.clock import from_micros, to_micros
from services.wallet.domain.book import Book, Refused
from services.wallet.domain.rows import LimitCounter
from services.wallet.domain.values import LimitKind, Micros, Outcome, Period, PlayerId

_FIXED = {Period.DAY: timedelta(hours=24), Period.WEEK: timedelta(days=7)}
_DECEMBER = 12


def window_end(start: Micros, period: Period) -> Micros:
    """Tells when a window that starts now ends: a month later is the same day, if there is one."""
    moment = from_micros(start)
    fixed = _FIXED.get(period)
    if fixed is not None:
        return Micros(to_micros(moment + fixed))
    year, month = divmod(moment.month, _DECEMBER)
    year, month = moment.year + year, month + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return Micros(to_micros(moment.replace(year=year, month=month, day=day)))


def maximum(counter: LimitCounter, now: Micros) -> int | None:
    """Tells what a limit allows at present; None is everything."""
    if counter.next_time is not None and now >= counter.next_time:
        return counter.next_max
    return counter.max_amount


def used(counter: LimitCounter, now: Micros) -> int:
    """Tells what has been used of the window that is open."""
    return counter.used if now < counter.window_end else 0


def _counters(
    book: Book, player_id: PlayerId, currency_code: str, kind: LimitKind
) -> Iterator[LimitCounter]:
    for counter in book.limits.get(player_id, ()):
        if counter.kind is kind and counter.currency_code == currency_code:
            yield counter


def check(
    book: Book, player_id: PlayerId, currency_code: str, amounts: dict[LimitKind, int]
) -> None:
    """Refuses amounts that would pass a limit. Of several limits it names the tightest."""
    if player_id not in book.limits:
        return
    tightest: LimitCounter | None = None
    room_left = 0
    for kind, amount in amounts.items():
        if amount <= 0:
            continue
        for counter in _counters(book, player_id, currency_code, kind):
            most = maximum(counter, book.now)
            if most is None:
                continue
            room = most - used(counter, book.now)
            if amount > room and (tightest is None or room < room_left):
                tightest, room_left = counter, room
    if tightest is not None:
        is_open = book.now < tightest.window_end
        raise Refused(
            Outcome.LIMIT_REACHED,
            limit={
                "scope": int(tightest.scope),
                "kind": int(tightest.kind),
                "period": int(tightest.period),
                "max_amount": maximum(tightest, book.now),
                "used": used(tightest, book.now),
                "window_end": tightest.window_end if is_open else None,
            },
        )


def count(
    book: Book, player_id: PlayerId, currency_code: str, amounts: dict[LimitKind, int]
) -> None:
    """Adds amounts to the counters, opening a window where none is open."""
    if player_id not in book.limits:
        return
    for kind, amount in amounts.items():
        if not amount:
            # A stake of bonus money alone is no loss of cash, and opens no window of one.
            continue
        for counter in _counters(book, player_id, currency_code, kind):
            book.touch(counter)
            bring_up_to_date(counter, book.now)
            if book.now >= counter.window_end:
                counter.used = 0
                counter.window_seq = book.next_seq
                counter.window_end = window_end(book.now, counter.period)
            counter.used += amount


def take_back(
    book: Book,
    player_id: PlayerId,
    currency_code: str,
    amounts: dict[LimitKind, int],
    *,
    since: int,
) -> None:
    """Takes amounts off the counters whose open window contains what counted them.

    Args:
        book: The working copy.
        player_id: Whose limits.
        currency_code: In which currency.
        amounts: What to take off; negative adds.
        since: The transfer that counted the amounts.
    """
    if player_id not in book.limits:
        return
    for kind, amount in amounts.items():
        for counter in _counters(book, player_id, currency_code, kind):
            if counter.window_seq <= since and book.now < counter.window_end:
                book.touch(counter)
                counter.used -= amount


def bring_up_to_date(counter: LimitCounter, now: Micros) -> None:
    """Lets a change that was to come take effect."""
    if counter.next_time is not None and now >= counter.next_time:
        counter.max_amount = counter.next_max
        counter.next_max = counter.next_time = None
