from datetime import UTC, date, datetime, timedelta

import pytest

from services.player.domain import (
    COUNTRIES,
    Change,
    Exclusion,
    Restriction,
    Step,
    age_min,
    age_on,
    is_credible_birth,
    is_one_line,
    next_step,
    normalized_name,
    prolonged,
)
from services.player.errors import ExclusionNotShortenedError

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        ("2000-06-15", "2018-06-14", 17),
        ("2000-06-15", "2018-06-15", 18),
        ("2000-06-15", "2000-06-15", 0),
        ("2000-12-31", "2018-01-01", 17),
        # A leap day's year is complete on 1 March, but in leap years.
        ("2000-02-29", "2018-02-28", 17),
        ("2000-02-29", "2018-03-01", 18),
        ("2000-02-29", "2020-02-28", 19),
        ("2000-02-29", "2020-02-29", 20),
        # 1900 and 2100 are no leap years.
        ("2096-02-29", "2100-02-28", 3),
        ("2096-02-29", "2100-03-01", 4),
    ],
)
def test_age_counts_full_years(born: str, day: str, age: int) -> None:
    assert age_on(date.fromisoformat(day), date.fromisoformat(born)) == age


@pytest.mark.parametrize(
    ("born", "credible"),
    [
        ("2027-01-15", True),
        ("2027-01-16", False),
        ("1901-01-16", True),
        ("1901-01-15", False),
        ("1900-01-15", False),
    ],
)
def test_birth_date_must_be_of_somebody_alive(born: str, *, credible: bool) -> None:
    assert is_credible_birth(date.fromisoformat(born), today=NOW.date()) is credible


def test_every_assigned_country_is_known_and_has_an_age() -> None:
    assert len(COUNTRIES) == 249
    assert {age_min(country) for country in COUNTRIES} == {18, 19, 21, 25}
    assert [age_min(country) for country in ("DE", "EE", "GR", "LT")] == [18, 21, 21, 21]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jean-Luc", "jean luc"),
        ("O'Brien", "O\u2019BRIEN"),
        ("José", "Jose\u0301"),
        ("Straße", "STRASSE"),
        ("  Anna   Maria ", "Anna Maria"),
        ("Ångström", "ANGSTROM"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("\uff21\uff4e\uff4e\uff41", "anna"),
    ],
)
def test_spellings_of_a_name_are_one_name(one: str, other: str) -> None:
    assert normalized_name(one) == normalized_name(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("Anna", "Anne"), ("राम", "रमा"), ("李", "季"), ("Louis 1", "Louis 2")]
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalized_name(one) != normalized_name(other)


@pytest.mark.parametrize("text", ["", "-", "  ", "\u0301", "'", "🙂"])
def test_name_without_letters_is_none(text: str) -> None:
    assert normalized_name(text) == ""


def test_control_characters_make_no_line() -> None:
    assert is_one_line("Heidestraße 17, 51147 Köln")
    assert not any(is_one_line(f"a{bad}b") for bad in "\x00\n\r\t\x7f\x85\u2028\u2029")


def change(number: int, *, attempted: bool) -> Change:
    return Change(
        change_id=f"change-{number}",
        player_id="player",
        number=number,
        content=frozenset({Restriction.NO_BET}),
        attempted=attempted,
    )


@pytest.mark.parametrize(
    ("attempted", "sent", "superseded"),
    [
        ([False], 1, []),
        ([True], 1, []),
        ([False, False, False], 3, [1, 2]),
        ([True, False, False], 1, []),
        # Cannot arise, and what is in doubt still comes first.
        ([False, True, False], 2, []),
    ],
)
def test_change_in_doubt_goes_first_and_then_the_newest(
    attempted: list[bool], sent: int, superseded: list[int]
) -> None:
    changes = [change(index, attempted=each) for index, each in enumerate(attempted, start=1)]
    assert next_step(changes) == Step(
        send=changes[sent - 1], superseded=tuple(changes[number - 1] for number in superseded)
    )


def test_nothing_outstanding_is_no_step() -> None:
    assert next_step([]) is None


START = NOW - DAY


@pytest.mark.parametrize(
    ("current_end", "wish", "outcome"),
    [
        (NOW + DAY, NOW + 2 * DAY, NOW + 2 * DAY),
        (NOW + DAY, None, None),
        (NOW + 2 * DAY, NOW + DAY, "refused"),
        (None, NOW + DAY, "refused"),
    ],
)
def test_exclusion_only_grows(
    current_end: datetime | None, wish: datetime | None, outcome: datetime | str | None
) -> None:
    current = Exclusion(start_time=START, end_time=current_end)
    if outcome == "refused":
        with pytest.raises(ExclusionNotShortenedError):
            prolonged(current, end_time=wish, now=NOW)
    else:
        found = prolonged(current, end_time=wish, now=NOW)
        assert (found.start_time, found.end_time) == (START, outcome)


def test_first_exclusion_begins_now() -> None:
    assert prolonged(None, end_time=None, now=NOW) == Exclusion(start_time=NOW, end_time=None)
