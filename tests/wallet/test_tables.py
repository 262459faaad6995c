from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from services.kit.money import CURRENCIES
from services.wallet.tables import METADATA


@pytest.fixture
async def database(wallet_url: str) -> AsyncIterator[Database]:
    opened = Database(wallet_url, schema="wallet")
    yield opened
    await opened.close()


ID = bytes(16)
COUNTERS = ("debits", "credits", "debits_pending", "credits_pending", "floor")


async def run(database: Database, statement: str, **values: object) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement), values)


async def give_history(database: Database) -> None:
    await run(
        database,
        "INSERT INTO transfer (shard, seq, tenant, source, key, kind, fingerprint, player_id,"
        " amount, bonus_amount, outcome, flags, wager_delta, policy_id, game_id, create_time)"
        " VALUES (0, 1, 't', 's', :id, 9, :id, :id, 0, 0, 1, 0, 0, 1, '', 0)",
        id=ID,
    )
    await run(database, "INSERT INTO entry VALUES (0, 1, 0, 1, 1, 5, 0, 0, 0, -5)")
    await run(database, "INSERT INTO batch VALUES (0, 1, 1, 1, 1, 0, :id, :id)", id=ID)


async def test_the_migrated_database_is_what_the_code_declares(database: Database) -> None:
    assert await migrations.differences(database, METADATA) == []
    assert await migrations.is_current(database, "services.wallet")


@pytest.mark.parametrize("table", ["transfer", "entry", "batch", "policy"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
async def test_history_cannot_be_changed(database: Database, table: str, change: str) -> None:
    await give_history(database)
    column = {"transfer": "amount", "entry": "leg", "batch": "epoch", "policy": "version"}[table]
    with pytest.raises(DBAPIError, match="append-only"):
        await run(database, change.format(table, column, column))


ACCOUNT = (
    "INSERT INTO account VALUES (1, 0, :id, 0, '', 'EUR', 1,"
    " :debits, :credits, :debits_pending, :credits_pending, :floor, 1)"
)


@pytest.mark.parametrize(
    "counters", [(0, 10, 10, 0, 0), (0, 10, 15, 0, -5), (10, 10, 0, 5, 0)], ids=str
)
async def test_a_player_account_may_be_spent_to_its_floor(
    database: Database, counters: tuple[int, ...]
) -> None:
    await run(database, "INSERT INTO player VALUES (:id, 't', 0, 0, 1)", id=ID)
    await run(database, ACCOUNT, id=ID, **dict(zip(COUNTERS, counters, strict=True)))


@pytest.mark.parametrize(
    "counters",
    [
        (1, 10, 10, 0, 0),
        (0, 10, 11, 0, 0),
        (0, 10, 16, 0, -5),
        (-1, 10, 0, 0, 0),
        (0, 10, 0, 0, 1),
    ],
    ids=str,
)
async def test_a_player_account_cannot_fall_below_its_floor(
    database: Database, counters: tuple[int, ...]
) -> None:
    await run(database, "INSERT INTO player VALUES (:id, 't', 0, 0, 1)", id=ID)
    with pytest.raises(DBAPIError, match="account_"):
        await run(database, ACCOUNT, id=ID, **dict(zip(COUNTERS, counters, strict=True)))


async def test_the_exponent_of_a_currency_in_use_stays(database: Database) -> None:
    await run(database, "UPDATE currency SET exponent = 3 WHERE code = 'USD'")
    await run(
        database,
        "INSERT INTO account VALUES (9, 0, NULL, 9, 's', 'EUR', 0, 0, 0, 0, 0, 0, 0)",
    )
    with pytest.raises(DBAPIError, match="in use"):
        await run(database, "UPDATE currency SET exponent = 3 WHERE code = 'EUR'")


async def test_no_column_takes_a_fraction(database: Database) -> None:
    if database.is_sqlite:
        with pytest.raises(DBAPIError, match="cannot store REAL"):
            await run(database, "INSERT INTO entry VALUES (0, 1, 0, 1, 1, 1.5, 0, 0, 0, 0)")
        return
    async with database.snapshot() as connection:
        found = await connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'wallet'"
                " AND data_type IN ('numeric', 'real', 'double precision')"
            )
        )
        assert found.all() == []


async def test_the_registry_is_complete(database: Database) -> None:
    async with database.snapshot() as connection:
        rows = (await connection.execute(text("SELECT code, exponent FROM currency"))).all()
    assert {row.code: row.exponent for row in rows} == {
        each.code: each.exponent for each in CURRENCIES.values()
    }
