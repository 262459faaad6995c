from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from services.game.tables import GAME, GAME_CURRENCY, GAME_SESSION, METADATA, PROVIDER, ROUND
from services.kit import migrations
from services.kit.clock import EPOCH
from services.kit.database import Database

PROVIDER_ROW = {
    "provider_id": "acme",
    "display_name": "Acme",
    "launch_address": "127.0.0.1:9",
    "create_time": EPOCH,
}
GAME_ROW = {
    "game_id": "plinko",
    "provider_id": "acme",
    "display_name": "Plinko",
    "disabled": False,
    "wager_weight_bp": 10_000,
    "create_time": EPOCH,
}
SESSION_ROW = {
    "game_session_id": "s-1",
    "token_hash": b"1" * 32,
    "player_id": "p-1",
    "game_id": "plinko",
    "provider_id": "acme",
    "currency_code": "EUR",
    "login_session_id": "l-1",
    "state": "open",
    "create_time": EPOCH,
    "expire_time": EPOCH,
    "end_time": None,
}
ROUND_ROW = {
    "round_id": "i-1",
    "provider_id": "acme",
    "player_id": "p-1",
    "provider_round_id": "r-1",
    "game_id": "plinko",
    "currency_code": "EUR",
    "staked_minor_units": 1,
    "won_minor_units": 1,
    "bet_count": 1,
    "reversed_bet_count": 0,
    "closed": False,
    "start_seq": 1,
    "start_time": EPOCH,
    "end_time": None,
}


@pytest.fixture
async def database(game_url: str) -> AsyncIterator[Database]:
    opened = Database(game_url, schema="game")
    async with opened.transaction() as connection:
        await connection.execute(insert(PROVIDER).values(PROVIDER_ROW))
        await connection.execute(insert(GAME).values(GAME_ROW))
        await connection.execute(insert(GAME_SESSION).values(SESSION_ROW))
        await connection.execute(insert(ROUND).values(ROUND_ROW))
    yield opened
    await opened.close()


async def test_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    assert await migrations.differences(database, METADATA) == []
    assert await migrations.is_current(database, "services.game")


def other_session(**changes: Any) -> dict[str, Any]:
    return {
        **SESSION_ROW,
        "game_session_id": "s-2",
        "token_hash": b"2" * 32,
        "player_id": "p-2",
        **changes,
    }


def other_round(**changes: Any) -> dict[str, Any]:
    return {**ROUND_ROW, "round_id": "i-2", "provider_round_id": "r-2", **changes}


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (PROVIDER, PROVIDER_ROW),
        (GAME, GAME_ROW),
        (GAME, {**GAME_ROW, "game_id": "dice", "provider_id": "nobody"}),
        (GAME, {**GAME_ROW, "game_id": "dice", "wager_weight_bp": 10_001}),
        (GAME_CURRENCY, {"game_id": "nothing", "currency_code": "EUR"}),
        (GAME_SESSION, other_session(player_id="p-1")),
        (GAME_SESSION, other_session(token_hash=b"1" * 32)),
        (GAME_SESSION, other_session(token_hash=b"2" * 31)),
        (GAME_SESSION, other_session(state="paused")),
        (GAME_SESSION, other_session(state="ended")),
        (GAME_SESSION, other_session(end_time=EPOCH)),
        (GAME_SESSION, other_session(game_id="nothing")),
        (ROUND, other_round(provider_round_id="r-1")),
        (ROUND, other_round(bet_count=-1)),
    ],
)
async def test_row_that_breaks_an_invariant_is_refused(
    database: Database, table: Any, row: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as connection:
            await connection.execute(insert(table).values(row))


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (GAME_SESSION, other_session()),
        (GAME_SESSION, other_session(player_id="p-1", state="ended", end_time=EPOCH)),
        (ROUND, other_round()),
        (ROUND, other_round(provider_round_id="r-1", player_id="p-2")),
        (ROUND, other_round(provider_round_id="r-1", provider_id="bolt")),
    ],
)
async def test_row_that_breaks_none_is_taken(
    database: Database, table: Any, row: dict[str, Any]
) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(table).values(row))
