"""Each kind of tampering is found, and what is only a sum can be made anew."""

# ruff: noqa: S608 (the statements are this file's own, and tampering is what they are for)

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from services.kit.clock import to_micros
from services.kit.database import Database
from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    Group,
    HoldDeposit,
    HoldId,
    Key,
    LimitKind,
    Micros,
    OpenWallet,
    Operation,
    Outcome,
    Period,
    PlayerId,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetRestriction,
    Win,
    Withdraw,
)
from services.wallet.domain.history import Finding
from services.wallet.domain.values import BonusId
from services.wallet.service import WalletService
from services.wallet.store.auditing import correct_caches
from services.wallet.verify import Anchor, Audit, Progress, rebuild
from services.wallet.writer import WriterState
from tests.kit.clock import ManualClock

PLAYER = PlayerId(bytes(15) + b"\x01")
HISTORY = ("transfer", "entry", "batch")


class Teller:
    """Writes a short history in which everything happens once."""

    def __init__(self, service: WalletService, clock: ManualClock) -> None:
        self._service = service
        self._clock = clock
        self._count = 0

    def fields(self, id_: str = "", **values: Any) -> dict[str, Any]:
        self._count += 1
        key = Key("t", "studio", id_ or f"op-{self._count}")
        return {"key": key, "player_id": PLAYER, "currency_code": "EUR"} | values

    async def apply(self, operation: Operation) -> Any:
        self._clock.advance(timedelta(minutes=1))
        answer = await self._service.submit(operation)
        assert answer.result.outcome.success, answer.result.outcome
        return answer.result

    async def write(self) -> None:
        later = Micros(to_micros(self._clock.now()) + 10**12)
        nothing: dict[str, Any] = {"key": Key("t", "office", "restrict"), "player_id": PLAYER}
        await self.apply(OpenWallet(**self.fields()))
        for kind in LimitKind:
            limit: dict[str, Any] = {
                "limit_kind": kind,
                "period": Period.DAY,
                "scope": Scope.PLAYER,
            }
            await self.apply(SetLimit(max_amount=9_000, **self.fields(**limit)))
        await self.apply(Deposit(amount=1_000, **self.fields()))
        granted = await self.apply(
            GrantBonus(amount=200, wager_required=400, expire_time=later, **self.fields())
        )
        await self.apply(
            GrantBonus(amount=50, wager_required=400, expire_time=later, **self.fields())
        )
        await self.apply(Bet(amount=1_100, round_key="r1", **self.fields("b1")))
        await self.apply(Win(amount=300, round_key="r1", reference="b1", **self.fields("w1")))
        await self.apply(Bet(amount=30, round_key="r2", **self.fields("b2")))
        await self.apply(Rollback(reference="b2", round_key="r2", **self.fields()))
        await self.apply(Rollback(reference="never", round_key="r3", **self.fields()))
        await self.apply(CloseRound(round_key="r1", **self.fields()))
        held = await self.apply(Withdraw(amount=50, **self.fields()))
        hold: dict[str, Any] = {"key": Key("t", "psp", "capture"), "player_id": PLAYER}
        await self.apply(Capture(hold_id=HoldId(held.hold_id), amount=40, **hold))
        held = await self.apply(HoldDeposit(amount=70, expire_time=later, **self.fields()))
        hold = {"key": Key("t", "psp", "release"), "player_id": PLAYER}
        await self.apply(Release(hold_id=HoldId(held.hold_id), **hold))
        await self.apply(HoldDeposit(amount=80, **self.fields()))
        give_up: dict[str, Any] = {"key": Key("t", "office", "forfeit"), "player_id": PLAYER}
        if granted.bonus_id is not None:
            second = await self._second_bonus()
            await self.apply(ForfeitBonus(bonus_id=second, **give_up))
        await self.apply(
            Adjust(
                amount=-5,
                bucket=Bucket.CASH,
                reason="r",
                actor="a",
                approver="b",
                **self.fields(),
            )
        )
        await self._service.submit_group(
            Group((Bet(amount=10, **self.fields()), Win(amount=5, **self.fields())))
        )
        await self.apply(
            SetRestriction(scope=Scope.OPERATOR, restrictions=Restriction.NO_BET, **nothing)
        )
        refused = await self._service.submit(Bet(amount=1, **self.fields()))
        assert refused.result.outcome is Outcome.PLAYER_RESTRICTED

    async def _second_bonus(self) -> BonusId:
        async with self._service.database.snapshot() as connection:
            found = await connection.scalar(text("SELECT bonus_id FROM bonus WHERE granted = 50"))
        return BonusId(bytes(found))


@pytest.fixture
async def ledger(wallet_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    service = WalletService(wallet_url, clock)
    await service.start()
    await Teller(service, clock).write()
    await service.stop()
    database = Database(wallet_url, schema="wallet")
    yield database
    await database.close()


async def findings(database: Database, *anchors: Anchor) -> list[Finding]:
    return [each async for each in Audit(database).run(anchors) if isinstance(each, Finding)]


async def head_of(database: Database) -> Anchor:
    progress = [each async for each in Audit(database).run() if isinstance(each, Progress)]
    return progress[-1].head


async def tamper(database: Database, *statements: str) -> None:
    """Changes what nobody may change: with the rights of whoever owns the machine."""
    if database.is_sqlite:
        with contextlib.closing(sqlite3.connect(make_url(database.url).database or "")) as file:
            triggers = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                file.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                assert file.execute(statement).rowcount > 0, statement
            file.commit()
        return
    async with database.engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            changed = await connection.execute(text(statement))
            assert changed.rowcount > 0, statement


async def test_a_ledger_that_nobody_touched_is_sound(ledger: Database) -> None:
    events = [each async for each in Audit(ledger).run()]
    assert [each for each in events if isinstance(each, Finding)] == []
    last = events[-1]
    assert isinstance(last, Progress)
    assert last.transfers == last.of > 25


async def test_an_anchor_of_its_own_past_is_accepted(ledger: Database) -> None:
    progress = [each async for each in Audit(ledger).run() if isinstance(each, Progress)]
    assert await findings(ledger, *(each.head for each in progress)) == []


async def test_history_cannot_be_changed_through_the_front_door(ledger: Database) -> None:
    for table in HISTORY:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET shard = 1"):
            with pytest.raises(DBAPIError):
                async with ledger.transaction() as connection:
                    await connection.execute(text(statement))


BET = "(SELECT seq FROM transfer WHERE kind = 9 AND amount = 1100)"
LAST = "(SELECT last_seq FROM shard)"


@pytest.mark.parametrize(
    ("statements", "check"),
    [
        # Edits.
        ([f"UPDATE transfer SET amount = 1099 WHERE seq = {BET}"], "chain"),
        ([f"UPDATE transfer SET outcome = 2 WHERE seq = {BET}"], "chain"),
        (["UPDATE transfer SET game_id = 'other' WHERE seq = 9"], "chain"),
        (["UPDATE transfer SET detail = '{}' WHERE kind = 15"], "history"),
        (["UPDATE transfer SET outcome = 99 WHERE seq = 5"], "history"),
        (["UPDATE transfer SET create_time = create_time - 1 WHERE seq = 5"], "chain"),
        ([f"UPDATE entry SET debit_posted = 1 WHERE seq = {BET} AND leg = 0"], "sum"),
        (["UPDATE entry SET balance_after = balance_after + 1 WHERE seq = 5"], "version"),
        (["UPDATE batch SET epoch = 0 WHERE batch_no = 3"], "chain"),
        (["UPDATE batch SET create_time = 1 WHERE batch_no = 3"], "chain"),
        (["UPDATE batch SET hash = prev_hash WHERE batch_no = 3"], "chain"),
        # Removals.
        (["DELETE FROM entry WHERE seq = 5 AND leg = 0"], "sum"),
        ([f"DELETE FROM entry WHERE seq = {BET}"], "chain"),
        (["DELETE FROM transfer WHERE seq = 9"], "seq"),
        (["DELETE FROM transfer WHERE seq = 9", "DELETE FROM entry WHERE seq = 9"], "chain"),
        (["DELETE FROM batch WHERE batch_no = 4"], "chain"),
        ([f"DELETE FROM transfer WHERE seq = {LAST}"], "seq"),
        (["DELETE FROM batch WHERE batch_no = (SELECT last_batch FROM shard)"], "chain"),
        # Another order.
        (
            [
                "UPDATE transfer SET seq = 1000 WHERE seq = 3",
                "UPDATE transfer SET seq = 3 WHERE seq = 4",
                "UPDATE transfer SET seq = 4 WHERE seq = 1000",
            ],
            "chain",
        ),
        # Additions.
        (
            [
                (
                    "INSERT INTO entry SELECT shard, seq, 9, account_id, 1000, 0, 0, 0, 0, 0"
                    f" FROM entry WHERE seq = {BET} AND leg = 0"
                )
            ],
            "chain",
        ),
        ([f"UPDATE entry SET seq = 1000 WHERE seq = {BET}"], "chain"),
        # The head.
        (["UPDATE shard SET last_seq = last_seq + 1"], "seq"),
        (
            ["UPDATE shard SET head_hash = (SELECT prev_hash FROM batch WHERE batch_no = 2)"],
            "chain",
        ),
        (["UPDATE shard SET epoch = 0"], "chain"),
        # What is only summed up.
        (["UPDATE account SET credits_posted = credits_posted + 1 WHERE bucket = 1"], "account"),
        (["UPDATE account SET credits_pending = 0 WHERE bucket = 1"], "account"),
        (["UPDATE account SET version = version + 1 WHERE house_kind = 9"], "account"),
        (["UPDATE account SET source = 'other' WHERE house_kind = 9"], "account"),
        (["UPDATE hold SET state = 2 WHERE state = 0"], "hold"),
        (["UPDATE hold SET posted_amount = 39 WHERE state = 1"], "hold"),
        (["UPDATE round SET state = 1 WHERE round_key = 'r1'"], "round"),
        (["UPDATE round SET staked_bonus = 0 WHERE round_key = 'r1'"], "round"),
        (["UPDATE bonus SET wager_done = 0"], "bonus"),
        (["UPDATE bonus SET state = 3 WHERE state = 2"], "bonus"),
        (["UPDATE limit_counter SET used = 0"], "limit_counter"),
        (["UPDATE limit_counter SET max_amount = 9001"], "limit_counter"),
        (["UPDATE player SET restrictions = 0"], "player"),
        (["DELETE FROM limit_counter"], "limit_counter"),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else value,
)
async def test_tampering_is_found(ledger: Database, statements: list[str], check: str) -> None:
    await tamper(ledger, *statements)
    found = await findings(ledger)
    assert check in {each.check for each in found}, list(map(str, found))


CUT = [
    "DELETE FROM entry WHERE seq > 20",
    "DELETE FROM transfer WHERE seq > 20",
    "DELETE FROM batch WHERE first_seq > 20",
    (
        "UPDATE shard SET last_seq = 20, last_batch = (SELECT max(batch_no) FROM batch),"
        " head_hash = (SELECT hash FROM batch ORDER BY batch_no DESC LIMIT 1)"
    ),
]


async def test_a_tail_that_was_cut_off_cleanly_shows_against_an_anchor(ledger: Database) -> None:
    anchor = await head_of(ledger)
    await tamper(ledger, *CUT)
    # Whoever cuts makes the sums fit as well.
    assert await corrected(ledger) > 0
    assert await findings(ledger) == []
    assert [each.check for each in await findings(ledger, anchor)] == ["anchor"]


async def test_a_chain_that_was_sealed_anew_shows_against_an_anchor(ledger: Database) -> None:
    anchor = await head_of(ledger)
    other = Anchor(anchor.batch_no, bytes(32))
    assert [each.check for each in await findings(ledger, other)] == ["anchor"]


async def corrected(database: Database) -> int:
    events = [each async for each in rebuild(database)]
    last = events[-1]
    assert isinstance(last, int), events
    return last


async def test_a_rebuild_of_a_sound_ledger_changes_nothing(ledger: Database) -> None:
    assert await corrected(ledger) == 0
    assert await findings(ledger) == []


async def rows_of(database: Database, table: str, order: str) -> list[Any]:
    async with database.snapshot() as connection:
        wanted = text(f"SELECT * FROM {table} ORDER BY {order}")
        return [
            {name: value for name, value in row.items() if name != "version"}
            for row in (await connection.execute(wanted)).mappings()
        ]


async def test_a_rebuild_makes_every_sum_anew(ledger: Database) -> None:
    tables = {
        "account": "account_id",
        "bonus": "bonus_id",
        "hold": "hold_id",
        "limit_counter": "kind",
        "player": "player_id",
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
    )
    assert await corrected(ledger) > 10
    assert await findings(ledger) == []
    after = {name: await rows_of(ledger, name, order) for name, order in tables.items()}
    assert after == before


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


async def test_a_round_whose_row_is_gone_is_told_and_not_made_up(ledger: Database) -> None:
    await tamper(ledger, "DELETE FROM round WHERE round_key = 'r1'")
    told = [each async for each in rebuild(ledger) if isinstance(each, Finding)]
    assert any(each.check == "rebuild" and "round_key" in each.message for each in told)


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


async def test_a_shard_that_does_not_exist_is_a_finding(ledger: Database) -> None:
    found = [each async for each in Audit(ledger, shard=7).run()]
    assert [each.check for each in found if isinstance(each, Finding)] == ["shard"]
