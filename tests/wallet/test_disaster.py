"""The drill: a ledger is copied under load, lost, and brought back, by real processes."""

import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.simulation.auditor import Auditor
from scripts.simulation.killing import Caller
from scripts.simulation.wire import operation_line, parse_answer
from services.kit import migrations
from services.wallet.backup import adopt
from services.wallet.domain import Key, OpenWallet, Operation
from services.wallet.service import WalletService
from services.wallet.store import LeaseTakenError
from tests.kit.postgres import PostgresServer
from tests.kit.waiting import until
from tests.wallet.backups import (
    CLOCK,
    PLAYER,
    copied,
    deposit,
    findings,
    ignore,
    lose,
    restored,
    scalar,
    write,
)

ROOT = Path(__file__).resolve().parents[2]
CALLERS = 6
KILLS = 4


async def spawn(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def ledger(*arguments: str) -> tuple[int | None, str]:
    """Runs `scripts/ledger`, and returns its exit code and what it printed."""
    process = await spawn("scripts.auditing", *arguments)
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def start(url: str, socket: Path) -> asyncio.subprocess.Process:
    """Starts the ledger in a process of its own."""
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    process = await spawn("scripts.simulation.worker", "--database", url, "--socket", str(socket))
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"ready\n"
    return process


async def ask(socket: Path, operations: list[Operation]) -> list[Any]:
    """Sends operations again, as callers do who hold no answer."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    told = []
    for operation in operations:
        writer.write(operation_line(operation))
        told.append(parse_answer(await reader.readline()))
    writer.close()
    await writer.wait_closed()
    return told


async def test_ledger_that_is_deleted_under_load_comes_back(
    database_url: Callable[[str], str], tmp_path: Path
) -> None:
    url, socket, backup = database_url("services.wallet"), tmp_path / "s", tmp_path / "backup.db"
    auditor, stopping = Auditor(), asyncio.Event()
    callers = [
        Caller(number, random.Random(number), auditor, socket)  # noqa: S311 (a seed repeats it)
        for number in range(CALLERS)
    ]

    def acknowledged() -> dict[Operation, Any]:
        return {operation: told for each in callers for operation, told in each.told.items()}

    process = await start(url, socket)
    playing = [asyncio.create_task(each.play(stopping)) for each in callers]
    try:
        await until(lambda: len(acknowledged()) > 200)
        before = acknowledged()
        code, printed = await ledger("backup", str(backup), "--database", url)
        assert code == 0, printed
        assert "the copy is sound" in printed
        during = len(acknowledged())
        assert during > len(before)
        await until(lambda: len(acknowledged()) > during + 50)
    finally:
        process.kill()
        await process.wait()
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
    everything_told = acknowledged()
    await asyncio.to_thread(lose, url)

    code, printed = await ledger("restore", str(backup), "--database", url)
    assert code == 0, printed
    last_seq = await scalar(url, "SELECT last_seq FROM shard")
    assert f"restored {last_seq} transfers" in printed
    assert all(told.seq <= last_seq for told in before.values())
    # What came after the backup is lost, and the command says so.
    assert any(told.seq > last_seq for told in everything_told.values())
    assert f"acknowledged after transfer {last_seq} is not in it" in printed
    code, printed = await ledger("verify", "--database", url)
    assert code == 0, printed

    process = await start(url, socket)
    kept = {each: told for each, told in everything_told.items() if told.seq <= last_seq}
    assert await ask(socket, list(kept)) == list(kept.values())
    # It is a ledger like any other: what was lost may come again.
    lost = [each for each in everything_told if each not in kept]
    assert None not in await ask(socket, lost)
    process.terminate()
    await process.wait()
    service = WalletService(url, CLOCK)
    await service.start()
    # Every outcome and every balance, as the model of the ledger comes to them.
    await auditor.check(service, whole=True)
    await service.stop()
    assert await findings(url) == []


async def test_there_is_a_sound_ledger_whenever_a_restore_is_killed(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(30))
    made = await copied(wallet_url, tmp_path / "backup.db")
    chance = random.Random(1)  # noqa: S311 (a seed repeats it)
    for _ in range(KILLS):
        process = await spawn("tests.wallet.restoring", str(made.path), wallet_url)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"restored\n"
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=chance.uniform(0, 1))
        process.kill()
        await process.wait()
        assert await findings(wallet_url, made.head) == []
        assert await scalar(wallet_url, "SELECT last_seq FROM shard") == made.last_seq
    # The last one is complete in every respect, whatever the ones before have left.
    await until(lambda: _restores(made.path, wallet_url))
    await write(wallet_url, range(35))
    assert await findings(wallet_url, made.head) == []


async def _restores(backup: Path, url: str) -> bool:
    try:
        await restored(backup, url, replace=True)
    except LeaseTakenError:
        # The server has not noticed yet that the client was killed.
        return False
    return True


class Recovered(PostgresServer):
    """A server that is recovered from a physical copy of another."""

    def __init__(self, source: PostgresServer) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="croupier-pg-"))
        self._user = source._user
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._data = self._folder / "data"
        self._run("pg_basebackup", "-D", str(self._data), "-h", str(source._folder),
                  "-U", "postgres", "-c", "fast", "-X", "stream")  # fmt: skip

    def start(self) -> None:
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-l", str(self._folder / "log"),
            "-o", f"-c listen_addresses='' -k {self._folder}", "start",
        )  # fmt: skip


@pytest.fixture
def servers() -> Iterator[list[PostgresServer]]:
    """Servers that are stopped at the end, if they run."""
    running: list[PostgresServer] = []
    yield running
    for server in running:
        server.stop()


@pytest.mark.postgresql
async def test_ledger_in_a_physical_backup_is_adopted(servers: list[PostgresServer]) -> None:
    primary = await asyncio.to_thread(PostgresServer)
    servers.append(primary)
    url = await asyncio.to_thread(primary.create_database, "casino")
    await migrations.upgrade(url, "services.wallet")
    service = WalletService(url, CLOCK)
    await service.start()
    opening = OpenWallet(key=Key("t", "player", "open"), player_id=PLAYER, currency_code="EUR")
    await service.submit(opening)
    told: dict[int, Any] = {}
    stopping = asyncio.Event()

    async def play() -> None:
        while not stopping.is_set():
            number = len(told)
            told[number] = (await service.submit(deposit(number))).result

    playing = asyncio.create_task(play())
    try:
        await until(lambda: len(told) > 20)
        before = dict(told)
        recovered = await asyncio.to_thread(Recovered, primary)
    finally:
        stopping.set()
        await playing
        await service.stop()
    servers.remove(primary)
    await asyncio.to_thread(primary.stop)
    await asyncio.to_thread(recovered.start)
    servers.append(recovered)

    copy = recovered.url("casino")
    incarnation = await scalar(copy, "SELECT incarnation FROM shard")
    adopted = await adopt(copy, tell=ignore)
    assert adopted.incarnation != incarnation
    assert adopted.incarnation == await scalar(copy, "SELECT incarnation FROM shard")
    service = WalletService(copy, CLOCK)
    await service.start()
    for number, result in before.items():
        again = await service.submit(deposit(number))
        assert again.replayed
        assert again.result == result
    await service.stop()
    assert await findings(copy) == []
