"""What is only a cache of history can be made anew from it."""

# ruff: noqa: S608 (the statements are this file's own, and tampering is what they are for)

import contextlib
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit.database import Database
from services.wallet.domain import (
    CloseRound,
    Deposit,
    Key,
    Outcome,
)
from services.wallet.domain.history import Finding
from services.wallet.service import WalletService
from services.wallet.store.auditing import correct_caches
from services.wallet.verify import rebuild
from services.wallet.writer import WriterState
from tests.kit.clock import ManualClock
from tests.wallet.teller import (
    PLAYER,
    as_an_older_version_wrote,
    corrected,
    findings,
    rows_of,
    tamper,
)


async def test_a_rebuild_of_a_sound_ledger_changes_nothing(ledger: Database) -> None:
    assert await corrected(ledger) == 0
    assert await findings(ledger) == []


async def test_a_rebuild_makes_every_sum_anew(ledger: Database) -> None:
    tables = {
        "account": "account_id",
        "bonus": "bonus_id",
        "hold": "hold_id",
        "limit_counter": "kind",
        "player": "player_id",
        "policy": "policy_id",
        "round": "round_id",
    }
    before = {name: await rows_of(ledger, name, order) for name, order in tables.items()}
    await tamper(
        ledger,
        "UPDATE account SET debits_posted = 0, credits_posted = 0, debits_pending = 0,"
        " credits_pending = 0, version = 0",
        "UPDATE hold SET posted_amount = 0, state = 0",
        "UPDATE round SET staked_cash = 0, won_cash = 0, wins = 0, state = 1",
        "DELETE FROM bonus",
        "DELETE FROM limit_counter",
        "DELETE FROM account WHERE house_kind > 0",
        "UPDATE player SET restrictions = 0",
        "UPDATE policy SET switches = '{}', actor = 'b' WHERE policy_id = 2",
        "DELETE FROM policy WHERE policy_id IN (1, 3)",
    )
    assert await corrected(ledger) > 10
    assert await findings(ledger) == []
    after = {name: await rows_of(ledger, name, order) for name, order in tables.items()}
    assert after == before


async def test_a_rebuild_takes_a_policy_away_that_nobody_set(ledger: Database) -> None:
    before = await rows_of(ledger, "policy", "policy_id")
    await execute(
        ledger,
        "INSERT INTO policy (policy_id, tenant, source, version, switches, create_time)"
        " VALUES (9, 't', 'studio', 1, '{}', 0)",
    )
    assert [each.check for each in await findings(ledger)] == ["policy"]
    assert await corrected(ledger) == 1
    assert await rows_of(ledger, "policy", "policy_id") == before
    assert await findings(ledger) == []
    # Otherwise versions are only added to, as they were.
    for change in ("UPDATE policy SET actor = 'b'", "DELETE FROM policy"):
        with pytest.raises(DBAPIError, match="append-only"):
            await execute(ledger, change)


async def execute(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement))


async def test_a_ledger_goes_on_after_its_rebuild(
    ledger: Database, wallet_url: str, clock: ManualClock
) -> None:
    await tamper(ledger, "UPDATE account SET credits_posted = credits_posted + 7 WHERE bucket = 1")
    assert await corrected(ledger) == 1
    service = WalletService(wallet_url, clock)
    await service.start()
    fields: dict[str, Any] = {
        "key": Key("t", "psp", "after"),
        "player_id": PLAYER,
        "currency_code": "EUR",
    }
    answer = await service.submit(Deposit(amount=5, **fields))
    assert answer.result.outcome is Outcome.APPLIED
    await service.stop()
    assert await findings(ledger) == []


async def test_nothing_is_rebuilt_from_a_history_in_doubt(ledger: Database) -> None:
    await tamper(
        ledger,
        "UPDATE account SET credits_posted = credits_posted + 7 WHERE bucket = 1",
        "DELETE FROM entry WHERE seq = 5 AND leg = 0",
    )
    events = [each async for each in rebuild(ledger)]
    assert not any(isinstance(each, int) for each in events)
    assert any(each.check == "account" for each in await findings(ledger))


@pytest.mark.parametrize("table", ["round", "hold"])
async def test_rows_that_are_gone_come_back_as_they_were(ledger: Database, table: str) -> None:
    before = await rows_of(ledger, table, f"{table}_id")
    await tamper(ledger, f"DELETE FROM {table}")
    assert await corrected(ledger) == len(before)
    assert await findings(ledger) == []
    assert await rows_of(ledger, table, f"{table}_id") == before


async def test_the_name_of_a_round_may_be_of_any_characters(
    ledger: Database, wallet_url: str, clock: ManualClock
) -> None:
    names = ['a"b', "a\\", 'x","y":"z', "ü\u2028\x01", "\t"]
    service = WalletService(wallet_url, clock)
    await service.start()
    for number, name in enumerate(names):
        fields: dict[str, Any] = {
            "key": Key("t", "other", f"close-{number}"),
            "player_id": PLAYER,
            "currency_code": "EUR",
        }
        close = CloseRound(round_key=name, **fields)
        first = await service.submit(close)
        assert first.result.outcome is Outcome.APPLIED
        assert first.result.detail == {"round_key": name}
        assert (await service.submit(close)).result == first.result
    await service.stop()
    await tamper(ledger, "DELETE FROM round WHERE source = 'other'")
    assert await corrected(ledger) == len(names)
    assert await findings(ledger) == []
    restored = await rows_of(ledger, "round", "round_id")
    assert [row["round_key"] for row in restored if row["source"] == "other"] == names


async def test_a_name_and_an_expiry_that_were_changed_are_found_and_set_right(
    ledger: Database,
) -> None:
    await tamper(
        ledger,
        "UPDATE round SET round_key = 'forged' WHERE round_key = 'r1'",
        "UPDATE hold SET expire_time = expire_time + 1 WHERE expire_time IS NOT NULL",
    )
    told = {(each.check, each.message.partition(" ")[0]) for each in await findings(ledger)}
    assert told == {("round", "round_key"), ("hold", "expire_time")}
    assert await corrected(ledger) == 2
    assert await findings(ledger) == []


async def test_a_ledger_of_an_older_version_is_sound(ledger: Database) -> None:
    await as_an_older_version_wrote(ledger)
    assert await findings(ledger) == []
    assert await corrected(ledger) == 0


async def test_what_an_older_version_did_not_keep_is_told_and_not_made_up(
    ledger: Database,
) -> None:
    await as_an_older_version_wrote(ledger)
    rounds = await rows_of(ledger, "round", "round_id")
    withdrawals = [row for row in await rows_of(ledger, "hold", "hold_id") if not row["direction"]]
    await tamper(ledger, "DELETE FROM round", "DELETE FROM hold")
    events = [each async for each in rebuild(ledger)]
    told = [each for each in events if isinstance(each, Finding) and each.check == "rebuild"]
    assert {each.message for each in told} == {
        "cannot be made anew: history does not hold its round_key",
        "cannot be made anew: history does not hold its expire_time",
    }
    assert sum(each.place.startswith("round ") for each in told) == len(rounds)
    # Withdrawals never expire, whoever wrote them.
    assert events[-1] == len(withdrawals) > 0
    assert await rows_of(ledger, "hold", "hold_id") == withdrawals


async def test_a_rebuild_deposes_a_writer_that_still_runs(
    ledger: Database, wallet_url: str, clock: ManualClock
) -> None:
    service = WalletService(wallet_url, clock)
    await service.start()
    assert await corrected(ledger) == 0
    fields: dict[str, Any] = {
        "key": Key("t", "psp", "late"),
        "player_id": PLAYER,
        "currency_code": "EUR",
    }
    with contextlib.suppress(Exception):
        await service.submit(Deposit(amount=5, **fields))
    assert service.state is WriterState.DEPOSED
    await service.stop()
    assert await findings(ledger) == []


async def test_a_ledger_that_grew_since_it_was_added_up_is_not_corrected(ledger: Database) -> None:
    assert not await correct_caches(ledger, shard=0, as_of=1, corrections=[])
