"""Ledgers of older versions, brought up to date."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from services.wallet.domain import Key, SetPolicy
from services.wallet.service import WalletService
from tests.kit.clock import ManualClock
from tests.wallet.teller import Teller, findings, head_of

PLAYER = bytes(15) + b"\x01"


@pytest.fixture
def empty_url(engine_name: str, database_url: Callable[[str], str], tmp_path: Path) -> str:
    """The address of a database without a wallet."""
    if engine_name == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'wallet.db'}"
    # That of another service, whose schema is its own.
    return database_url("services.analytics")


def transfer(seq: int, kind: int, *, bonus: int = 0, outcome: int = 1) -> str:
    return (
        "INSERT INTO transfer (shard, seq, tenant, source, key, kind, fingerprint, player_id,"  # noqa: S608 (numbers of this test)
        " currency_code, amount, bonus_amount, outcome, flags, wager_delta, policy_id, game_id,"
        f" create_time) VALUES (0, {seq}, 't', 's', :key_{seq}, {kind}, :player, :player, 'EUR',"
        f" 100, {bonus}, {outcome}, 0, 0, 1, '', {500 if seq < 5 else 1000})"
    )


def limit(kind: int, period: int, start: int, end: int) -> str:
    return (
        "INSERT INTO limit_counter (player_id, scope, kind, currency_code, period, max_amount,"  # noqa: S608 (numbers of this test)
        " used, window_start, window_end, version)"
        f" VALUES (:player, 0, {kind}, 'EUR', {period}, 100, 0, {start}, {end}, 1)"
    )


async def test_a_window_that_began_at_a_time_begins_at_the_transfer_that_opened_it(
    empty_url: str,
) -> None:
    await migrations.upgrade(empty_url, "services.wallet", "0001")
    database = Database(empty_url, schema="wallet")
    async with database.transaction() as connection:
        for statement in (
            "INSERT INTO player VALUES (:player, 't', 0, 0, 1)",
            "INSERT INTO batch VALUES (0, 1, 1, 1, 4, 500, :player, :player)",
            "INSERT INTO batch VALUES (0, 2, 1, 5, 9, 1000, :player, :player)",
            transfer(4, 9),
            transfer(5, 9, outcome=30),
            transfer(6, 9, bonus=100),
            transfer(7, 4),
            transfer(8, 9, bonus=50),
            transfer(9, 9),
            limit(1, 1, 1000, 2000),
            limit(2, 1, 1000, 2000),
            limit(3, 1, 1000, 2000),
            limit(3, 2, 0, 0),
        ):
            wanted = text(statement)
            names = wanted.compile().params
            given = {name: PLAYER if name == "player" else name.encode() for name in names}
            await connection.execute(wanted, given)
    await migrations.upgrade(empty_url, "services.wallet")
    async with database.snapshot() as connection:
        rows = await connection.execute(
            text("SELECT kind, period, window_seq FROM limit_counter ORDER BY kind, period")
        )
        assert [tuple(row) for row in rows] == [(1, 1, 7), (2, 1, 6), (3, 1, 8), (3, 2, 0)]
    await database.close()


GUARD = "policy_refuses_update"
GUARDS = "BEFORE UPDATE ON policy BEGIN SELECT RAISE(ABORT, 'policy is append-only'); END"


async def test_a_ledger_from_before_policies_were_set_keeps_its_chain_and_is_sound(
    wallet_url: str, clock: ManualClock
) -> None:
    service = WalletService(wallet_url, clock)
    await service.start()
    await Teller(service, clock).write(policies=False)
    await service.stop()
    database = Database(wallet_url, schema="wallet")
    head = await head_of(database)
    changed = "UPDATE policy SET create_time = 1790000000000000"
    async with database.transaction() as connection:
        for statement in (
            *(f"ALTER TABLE policy DROP COLUMN {name}" for name in ("seq", "actor", "reason")),
            "UPDATE alembic_version SET version_num = '0002'",
            *(
                (f"DROP TRIGGER {GUARD}", changed, f"CREATE TRIGGER {GUARD} {GUARDS}")
                if database.is_sqlite
                else ("SET LOCAL session_replication_role = replica", changed)
            ),
        ):
            await connection.execute(text(statement))
    await migrations.upgrade(wallet_url, "services.wallet")
    assert await findings(database, head) == []
    for change in ("UPDATE policy SET version = 2", "DELETE FROM policy"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as connection:
                await connection.execute(text(change))
    service = WalletService(wallet_url, clock)
    await service.start()
    policy = SetPolicy(key=Key("t", "office", "1"), source="studio", reason="r", actor="a")
    set_ = await service.submit(policy)
    assert set_.result.detail["policy_id"] == 2
    await service.stop()
    assert await findings(database, head) == []
    await database.close()
