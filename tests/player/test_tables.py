from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from services.player.tables import (
    BLOCK,
    EXCLUSION,
    IDENTITY_CHECK,
    METADATA,
    PLAYER,
    RESTRICTION_CHANGE,
    SESSION_ENDING,
)
from tests.player.world import World

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """The store of a service that has excluded, blocked and checked one player."""
    player_id = (await world.verified()).player_id
    await world.exclude(player_id, None)
    await world.block(player_id, sub="operator-7")
    await world.unblock(player_id, sub="operator-8")
    database = Database(world.database_url, schema="player")
    yield database
    await database.close()


async def test_migrations_make_the_tables_that_the_code_declares(
    database_url: Callable[[str], str],
) -> None:
    database = Database(database_url("services.player"), schema="player")
    assert await migrations.differences(database, METADATA) == []
    await database.close()


async def rows(database: Database, table: Table) -> list[dict[str, object]]:
    async with database.snapshot() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def test_history_tells_who_what_when_and_why(database: Database) -> None:
    [player] = await rows(database, PLAYER)
    player_id = player["player_id"]
    assert player["terms_accept_time"] == NOW
    [exclusion] = await rows(database, EXCLUSION)
    assert exclusion["kind"] == "SELF"
    assert exclusion["requester_id"] == exclusion["player_id"] == player_id
    assert exclusion["request_time"] == exclusion["start_time"] == NOW
    assert exclusion["end_time"] is None
    blocks = sorted(await rows(database, BLOCK), key=lambda row: str(row["block_id"]))
    assert [
        (row["player_id"], row["blocked"], row["operator_id"], row["reason"], row["create_time"])
        for row in blocks
    ] == [
        (player_id, True, "operator-7", "chargebacks", NOW),
        (player_id, False, "operator-8", "settled", NOW),
    ]
    [check] = await rows(database, IDENTITY_CHECK)
    assert (check["provider"], check["verified"], check["cause"]) == ("sandbox", True, "")
    changes = sorted(await rows(database, RESTRICTION_CHANGE), key=lambda row: str(row["number"]))
    assert [row["number"] for row in changes] == [1, 2, 3]
    assert all(row["attempt_time"] == row["settle_time"] == NOW for row in changes)
    assert await rows(database, SESSION_ENDING) == []


@pytest.mark.parametrize("table", [EXCLUSION, BLOCK, IDENTITY_CHECK], ids=str)
async def test_history_cannot_be_changed(database: Database, table: Table) -> None:
    before = await rows(database, table)
    for statement in (update(table).values(player_id="somebody"), delete(table)):
        with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
            async with database.transaction() as connection:
                await connection.execute(statement)
    assert await rows(database, table) == before


@pytest.mark.parametrize(
    ("table", "changes", "constraint"),
    [
        (PLAYER, {"identity_state": "FINE"}, "identity_state_known"),
        (PLAYER, {"exclusion_end_time": NOW}, "exclusion_ends_after_start"),
        (
            PLAYER,
            {"exclusion_start_time": None, "exclusion_end_time": NOW},
            "exclusion_has_start",
        ),
        (PLAYER, {"change_number": -1}, "change_number_not_negative"),
        (RESTRICTION_CHANGE, {"superseded": True}, "superseded_was_never_sent"),
    ],
)
async def test_row_that_makes_no_sense_is_refused(
    database: Database, table: Table, changes: dict[str, object], constraint: str
) -> None:
    with pytest.raises(DBAPIError, match=constraint):
        async with database.transaction() as connection:
            await connection.execute(update(table).values(**changes))


async def test_player_with_a_history_cannot_be_removed(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        async with database.transaction() as connection:
            await connection.execute(delete(PLAYER))


@pytest.mark.parametrize("column", ["request_id", "email_digest", "person_digest"])
async def test_second_player_with_the_same_claim_is_refused_without_showing_it(
    database: Database, column: str
) -> None:
    [player] = await rows(database, PLAYER)
    copy = {**player, "player_id": "another", "request_id": "another"}
    copy |= {"email_digest": b"another", "person_digest": b"another"}
    copy[column] = player[column]
    with pytest.raises(DBAPIError, match=column) as raised:
        async with database.transaction() as connection:
            await connection.execute(insert(PLAYER).values(**copy))
    for private in ("email", "family_name", "postal_address"):
        assert str(player[private]) not in str(raised.value)
