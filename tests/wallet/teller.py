"""A short history in which everything happens once, and what a test does to it."""

# ruff: noqa: S608 (the statements are this file's own, and tampering is what they are for)

import contextlib
import sqlite3
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

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
    SetPolicy,
    SetRestriction,
    Stance,
    Win,
    WinShort,
    Withdraw,
)
from services.wallet.domain.chain import GENESIS, seal
from services.wallet.domain.history import Finding
from services.wallet.domain.values import BonusId, Kind
from services.wallet.service import WalletService
from services.wallet.store.auditing import Auditing
from services.wallet.verify import Anchor, Audit, Progress, rebuild
from tests.kit.clock import ManualClock

PLAYER = PlayerId(bytes(15) + b"\x01")


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

    async def write(self, *, policies: bool = True) -> None:
        later = Micros(to_micros(self._clock.now()) + 10**12)
        nothing: dict[str, Any] = {"key": Key("t", "office", "restrict"), "player_id": PLAYER}
        nothing |= {"actor": "ann", "reason": "care"}
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
        if policies:
            await self._set_policies()

    async def _set_policies(self) -> None:
        of_sports: list[dict[str, Any]] = [
            {"rollback_win_short": WinShort.DEBT, "debt_limit": 70},
            {"rollback_unknown": Stance.REFUSE},
        ]
        for number, switches in enumerate(of_sports):
            key = Key("t", "office", f"policy-{number}")
            policy = SetPolicy(key=key, source="sports", reason="r", actor="a", **switches)
            await self.apply(policy)

    async def _second_bonus(self) -> BonusId:
        async with self._service.database.snapshot() as connection:
            found = await connection.scalar(text("SELECT bonus_id FROM bonus WHERE granted = 50"))
        return BonusId(bytes(found))


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


async def corrected(database: Database) -> int:
    events = [each async for each in rebuild(database)]
    last = events[-1]
    assert isinstance(last, int), events
    return last


async def rows_of(database: Database, table: str, order: str) -> list[Any]:
    async with database.snapshot() as connection:
        wanted = text(f"SELECT * FROM {table} ORDER BY {order}")
        return [
            {name: value for name, value in row.items() if name != "version"}
            for row in (await connection.execute(wanted)).mappings()
        ]


async def as_an_older_version_wrote(database: Database) -> None:
    """Takes out of history the words that versions before kept only in caches, and seals it."""
    auditing = Auditing(database, shard=0)
    caches = await auditing.read_caches()
    assert caches is not None
    sealed = [
        each async for each in auditing.follow(last_batch=caches.shard["last_batch"], page=64)
    ]
    statements = ["UPDATE transfer SET detail = NULL WHERE seq IN ({})"]
    forgotten: list[int] = []
    head = GENESIS
    for batch in sealed:
        transfers = []
        for each in batch.transfers:
            forgets = each.kind in _GAME or each.kind is Kind.HOLD_DEPOSIT
            transfers.append(each._replace(detail=None) if forgets else each)
            forgotten += [each.seq] if forgets else []
        again = seal(
            shard=0,
            batch_no=batch.batch.batch_no,
            epoch=batch.batch.epoch,
            transfers=transfers,
            entries=batch.entries,
            prev_hash=head,
        )
        written = {"hash": again.hash.hex(), "prev_hash": head.hex()}
        for column, value in written.items():
            statements.append(
                f"UPDATE batch SET {column} = {_bytes(database, value)}"
                f" WHERE batch_no = {again.batch_no}"
            )
        head = again.hash
    statements[0] = statements[0].format(",".join(map(str, forgotten)))
    statements.append(f"UPDATE shard SET head_hash = {_bytes(database, head.hex())}")
    await tamper(database, *statements)


_GAME = (Kind.BET, Kind.WIN, Kind.ROLLBACK, Kind.CLOSE_ROUND)


def _bytes(database: Database, digits: str) -> str:
    return f"x'{digits}'" if database.is_sqlite else f"'\\x{digits}'::bytea"
