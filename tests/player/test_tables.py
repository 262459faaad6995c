from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.clock import to_micros
from services.kit.database import Database
from services.player.tables import (
    BLOCK,
    EXCLUSION,
    IDENTITY_CHECK,
    LIMIT_REQUEST,
    METADATA,
    PLAYER,
    PLAYER_LIMIT,
    SESSION_ENDING,
    WALLET_CHANGE,
)
from tests.kit.postgres import shared_server
from tests.player.world import World

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """The store of a service that has excluded, blocked, checked and limited one player."""
    player_id = (await world.verified()).player_id
    await world.exclude(player_id, None)
    await world.block(player_id, sub="operator-7")
    await world.unblock(player_id, sub="operator-8")
    await world.set_limit(player_id, 5_000)
    await world.set_limit(player_id, None)
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
    changes = sorted(await rows(database, WALLET_CHANGE), key=lambda row: str(row["number"]))
    assert [row["number"] for row in changes] == [1, 2, 3, 4, 5]
    assert all(row["attempt_time"] == row["settle_time"] == NOW for row in changes)
    assert await rows(database, SESSION_ENDING) == []
    wishes = sorted(await rows(database, LIMIT_REQUEST), key=lambda row: str(row["request_id"]))
    assert {
        (row["player_id"], row["requester_id"], row["kind"], row["period"], row["request_time"])
        for row in wishes
    } == {(player_id, player_id, "LIMIT_KIND_DEPOSIT", "LIMIT_PERIOD_DAY", NOW)}
    assert [
        (row["old_max_minor_units"], row["new_max_minor_units"], row["start_time"])
        for row in wishes
    ] == [(None, 5_000, NOW), (5_000, None, NOW + timedelta(hours=24))]


@pytest.mark.parametrize("table", [EXCLUSION, BLOCK, IDENTITY_CHECK, LIMIT_REQUEST], ids=str)
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
        (WALLET_CHANGE, {"superseded": True}, "superseded_was_never_sent"),
        (WALLET_CHANGE, {"restrictions": ""}, "restrictions_are_told"),
        (
            WALLET_CHANGE,
            {"subject": "", "restrictions": "", "max_minor_units": 1},
            "maximum_is_of_limit",
        ),
        (PLAYER_LIMIT, {"kind": "TIME"}, "kind_known"),
        (PLAYER_LIMIT, {"period": "YEAR"}, "period_known"),
        (PLAYER_LIMIT, {"max_minor_units": -1}, "max_minor_units_not_negative"),
        (PLAYER_LIMIT, {"next_max_minor_units": 5_000, "next_time": NOW}, "next_is_looser"),
        (PLAYER_LIMIT, {"max_minor_units": None}, "next_is_looser"),
        (PLAYER_LIMIT, {"next_max_minor_units": 5_001, "next_time": None}, "next_has_time"),
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


async def test_changes_of_restrictions_move_to_the_table_of_all_changes(
    engine_name: str, tmp_path: Path
) -> None:
    if engine_name == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    else:
        url = shared_server().create_database(f"t{uuid4().hex}")
    await migrations.upgrade(url, "services.player", "0001")
    database = Database(url, schema="player")
    moments = {"now": to_micros(NOW)}
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO player VALUES ('p', 'r', 'h', 'e', 'g', 'f', '1990-01-01', 'DE', 'a', "
                "'EUR', 'd1', 'd2', :now, :now, :now, :now, "
                "'IDENTITY_STATE_PENDING', false, NULL, NULL, '', 2)"
            ),
            moments,
        )
        await connection.execute(
            text(
                "INSERT INTO restriction_change VALUES "
                "('p', 1, 'c1', 'RESTRICTION_NO_BET', :now, :now, :now, false), "
                "('p', 2, 'c2', '', :now, NULL, NULL, false)"
            ),
            moments,
        )
    await migrations.upgrade(url, "services.player")
    moved = sorted(await rows(database, WALLET_CHANGE), key=lambda row: str(row["number"]))
    assert [
        (row["change_id"], row["subject"], row["restrictions"], row["settle_time"]) for row in moved
    ] == [("c1", "", "RESTRICTION_NO_BET", NOW), ("c2", "", "", None)]
    await database.close()
