from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from services.wallet.payments.tables import METADATA

PAYMENT = (
    "INSERT INTO payment (payment_id, player_id, request_id, psp, currency_code, amount,"
    " return_url, state, hold_id, checkout_id, checkout_url, authorization_number, failure,"
    " create_time, update_time) VALUES (:payment_id, 'p', :request_id, 'sandbox', 'EUR', :amount,"
    " '', :state, '', '', '', :number, '', 1, 1)"
)


@pytest.fixture
async def database(database_url: Callable[[str], str]) -> AsyncIterator[Database]:
    opened = Database(database_url("services.wallet.payments"), schema="payments")
    yield opened
    await opened.close()


async def insert(database: Database, **changes: object) -> None:
    values = {"payment_id": "1", "request_id": "1", "amount": 1, "state": 1, "number": ""}
    async with database.transaction() as connection:
        await connection.execute(text(PAYMENT), {**values, **changes})


async def test_the_migrated_database_is_what_the_code_declares(database: Database) -> None:
    assert await migrations.differences(database, METADATA) == []
    assert await migrations.is_current(database, "services.wallet.payments")


async def test_a_request_id_is_one_payment(database: Database) -> None:
    await insert(database)
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        await insert(database, payment_id="2")
    await insert(database, payment_id="2", request_id="2")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount": 0}, "amount_positive"),
        ({"state": 4}, "state_known"),
        ({"state": 2}, "success_authorized"),
    ],
)
async def test_a_payment_that_cannot_be_is_refused(
    database: Database, changes: dict[str, object], constraint: str
) -> None:
    with pytest.raises(DBAPIError, match=constraint):
        await insert(database, **changes)


async def test_an_older_versions_payment_is_due_at_once(database: Database) -> None:
    await insert(database)
    async with database.snapshot() as connection:
        rows = await connection.execute(text("SELECT asks, ask_time FROM payment"))
        assert [tuple(row) for row in rows] == [(0, 0)]
