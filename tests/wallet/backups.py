"""Ledgers that are written, lost and compared."""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from services.kit.clock import SystemClock
from services.kit.database import Database
from services.wallet.backup import BackedUp, Restored, back_up, restore
from services.wallet.domain import Adjust, Bucket, Deposit, Key, OpenWallet, PlayerId
from services.wallet.domain.history import Finding
from services.wallet.service import WalletService
from services.wallet.verify import Anchor, Audit
from tests.kit.postgres import shared_server

SPOILT = b"\xa5"
PLAYER = PlayerId(bytes(15) + b"\x01")
CLOCK = SystemClock()


def ignore(event: object) -> None:
    del event


def deposit(number: int, player_id: PlayerId = PLAYER) -> Deposit:
    key = Key("t", "psp", f"deposit-{number}")
    return Deposit(key=key, player_id=player_id, currency_code="EUR", amount=number + 1)


async def write(url: str, numbers: range) -> None:
    """Writes deposits, as a wallet of its own would."""
    service = WalletService(url, CLOCK)
    await service.start()
    opening = OpenWallet(key=Key("t", "player", "open"), player_id=PLAYER, currency_code="EUR")
    await service.submit(opening)
    await asyncio.gather(*(service.submit(deposit(number)) for number in numbers))
    await service.stop()


async def write_at_length(url: str, count: int) -> None:
    """Writes corrections with much to read: 0.5 kB each, and more with all that goes with them."""
    service = WalletService(url, CLOCK)
    await service.start()

    def correction(number: int) -> Adjust:
        return Adjust(
            key=Key("t", "office", f"correction-{number}"),
            player_id=PLAYER,
            currency_code="EUR",
            amount=1,
            bucket=Bucket.CASH,
            reason="because " * 60,
            actor="a",
            approver="b",
        )

    await asyncio.gather(*(service.submit(correction(number)) for number in range(count)))
    await service.stop()


async def execute(url: str, statement: str) -> None:
    database = Database(url, schema="wallet")
    try:
        async with database.transaction() as connection:
            await connection.execute(text(statement))
    finally:
        await database.close()


async def scalar(url: str, statement: str) -> Any:
    database = Database(url, schema="wallet")
    async with database.snapshot() as connection:
        value = await connection.scalar(text(statement))
    await database.close()
    return value


async def findings(url: str, *anchors: Anchor) -> list[Finding]:
    database = Database(url, schema="wallet")
    found = [each async for each in Audit(database).run(anchors) if isinstance(each, Finding)]
    await database.close()
    return found


async def copied(url: str, target: Path, **options: Any) -> BackedUp:
    return await back_up(url, target, clock=CLOCK, tell=ignore, **options)


async def restored(backup: Path, url: str, **options: Any) -> Restored:
    return await restore(backup, url, clock=CLOCK, tell=ignore, **options)


async def everything(url: str) -> dict[str, list[Any]]:
    """Reads all rows, as proof that nothing was touched."""
    database = Database(url, schema="wallet")
    tables = ("shard", "transfer", "entry", "batch", "account", "player", "currency", "policy")
    async with database.snapshot() as connection:
        rows = {
            name: (await connection.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2"))).all()  # noqa: S608 (the names above)
            for name in tables
        }
    await database.close()
    return {name: list(map(tuple, each)) for name, each in rows.items()}


def file_of(url: str) -> Path:
    return Path(make_url(url).database or "")


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def lose(url: str) -> None:
    """Deletes the ledger, as an operator does who believes to be somewhere else."""
    if url.startswith("sqlite"):
        file_of(url).unlink()
    else:
        name = make_url(url).database or ""
        shared_server().drop_database(name)
        shared_server().create_database(name)


def spoil(url: str) -> None:
    """Damages the ledger so that nothing can be read from it."""
    if url.startswith("sqlite"):
        for path in (file_of(url), file_of(url).with_name(f"{file_of(url).name}-wal")):
            path.write_bytes(SPOILT * 65_536)
    else:
        name = make_url(url).database or ""
        shared_server().execute("DROP TABLE wallet.shard, wallet.entry", database=name)
