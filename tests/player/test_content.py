import asyncio
from dataclasses import replace
from datetime import date

import pytest

from services.kit.errors import OverloadedError
from services.player.domain import Application
from services.player.service.content import ContentHasher

APPLICATION = Application(
    request_id="0198c0de-0000-7000-8000-000000000001",
    email="erika@example.com",
    password="correct horse battery staple",
    given_name="Erika",
    family_name="Mustermann",
    date_of_birth=date(1990, 8, 12),
    country_code="DE",
    postal_address="Heidestraße 17",
    currency_code="EUR",
)


async def test_content_is_recognized_and_salted() -> None:
    hasher = ContentHasher()
    first, second = await hasher.hash(APPLICATION), await hasher.hash(APPLICATION)
    assert first != second
    assert await hasher.matches(APPLICATION, first)
    assert await hasher.matches(replace(APPLICATION, request_id="another"), second)
    assert not await hasher.matches(replace(APPLICATION, password="another password"), first)
    # What moves from one field to the next is other content.
    moved = replace(APPLICATION, given_name="ErikaM", family_name="ustermann")
    assert not await hasher.matches(moved, first)


async def test_more_than_may_wait_are_turned_away() -> None:
    hasher = ContentHasher(waiting_max=1)
    outcomes = await asyncio.gather(
        *(hasher.hash(APPLICATION) for _ in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [str] * 3 + [OverloadedError] * 2
    assert await hasher.matches(APPLICATION, await hasher.hash(APPLICATION))


def test_application_shows_nothing_of_the_person() -> None:
    shown = repr(APPLICATION)
    for private in ("erika", "Erika", "Mustermann", "1990", "correct horse", "Heidestraße"):
        assert private not in shown
    with pytest.raises(AttributeError):
        APPLICATION.password = "changed"  # type: ignore[misc] # that is the point
