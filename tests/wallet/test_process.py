"""The wallet's process as `./scripts/up` runs it: what ends it, and what does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import wallet_pb2, wallet_service_pb2, wallet_service_pb2_grpc
from sqlalchemy import text

from scripts.mesh.child import Program
from scripts.mesh.folder import DataFolder
from scripts.mesh.probes import Probes
from scripts.mesh.processes import Options, Table
from scripts.mesh.supervisor import Supervisor
from services.kit.database import Database
from services.kit.ids import new_id
from tests.kit.postgres import shared_server
from tests.kit.refusals import refusal

PATIENCE_S = 60


class Running:
    """The process, who calls it, and what its supervisor and its log say."""

    def __init__(
        self, supervisor: Supervisor, program: Program, player: Any, reports: list[str], log: Path
    ) -> None:
        self.player = player
        self.reports = reports
        self.database = Database(program.environment["CROUPIER_DATABASE_URL"], schema="wallet")
        self.is_ready = program.is_ready
        self._supervisor = supervisor
        self._log = log

    @property
    def pid(self) -> int | None:
        return self._supervisor.pids.get("wallet")

    async def run(self, statement: str) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(text(statement))

    def logged(self, level: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._log.read_text().splitlines())
        return [line for line in lines if line["level"] == level]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 (another process tells nothing)
                await asyncio.sleep(0.02)

    async def open_wallet(self, player_id: str) -> Any:
        request = wallet_service_pb2.OpenWalletRequest(player_id=player_id, currency_code="EUR")
        return await self.player.OpenWallet(request, timeout=PATIENCE_S, wait_for_ready=True)


@pytest.fixture
async def running(engine_name: str, tmp_path: Path) -> AsyncIterator[Running]:
    folder = DataFolder(tmp_path / "data")
    ports = folder.ports(Table.port_names(), fixed={})
    postgres_url = ""
    if engine_name == "postgresql":
        postgres_url = shared_server().create_database(f"t{new_id()}")
    reports: list[str] = []
    async with Probes(folder.authority().identity("supervisor")) as probes:
        table = Table(Options(postgres_url=postgres_url), folder, ports, probes)
        [program] = [each for each in table.programs() if each.name == "wallet"]

        def report(name: str, said: str) -> None:
            assert name == "wallet"
            reports.append(said)

        supervisor = Supervisor([program], logs=folder.logs, report=report)
        channel = grpc.aio.secure_channel(
            f"127.0.0.1:{ports['wallet']}",
            folder.authority().identity("player").channel_credentials(),
            options=[
                ("grpc.ssl_target_name_override", "wallet"),
                ("grpc.max_reconnect_backoff_ms", 100),
            ],
        )
        player = wallet_service_pb2_grpc.WalletServiceStub(channel)
        await supervisor.start(report)
        reports.clear()
        wallet = Running(supervisor, program, player, reports, folder.logs / "wallet.log")
        try:
            yield wallet
        finally:
            await wallet.database.close()
            await channel.close(grace=None)
            await supervisor.stop()


async def test_a_deposed_wallet_ends_and_its_next_run_serves(running: Running) -> None:
    known, later = new_id(), new_id()
    await running.open_wallet(known)
    first = running.pid
    await running.run("UPDATE shard SET epoch = epoch + 1")
    refused = await refusal(running.open_wallet(later))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "ERROR_REASON_UNAVAILABLE",
    )
    await running.until(lambda: len(running.reports) == 2)
    assert running.reports[0].startswith("ended with exit code 75; starts again in ")
    assert running.reports[1].startswith("serves again, after ")
    assert running.pid != first
    [said] = running.logged("critical")
    assert said["event"] == "this process ends: it can serve no more"
    assert said["lost"] == "another writer has taken the ledger"
    # What it had is there, and what it could not take can be had again.
    assert (await running.open_wallet(known)).result.seq == 1
    assert (await running.open_wallet(later)).result.seq == 2


async def test_a_halted_wallet_stays_for_a_human_to_see(running: Running) -> None:
    player_id = new_id()
    await running.open_wallet(player_id)
    first = running.pid
    await running.run("UPDATE player SET version = version + 7")
    restrict = wallet_service_pb2.SetRestrictionsRequest(
        request_id=new_id(), player_id=player_id, restrictions=[wallet_pb2.RESTRICTION_NO_BET]
    )
    for _ in range(2):
        refused = await refusal(running.player.SetRestrictions(restrict, timeout=PATIENCE_S))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
    async with asyncio.timeout(PATIENCE_S):
        while await running.is_ready():  # noqa: ASYNC110 (another process tells nothing)
            await asyncio.sleep(0.02)
    [said] = running.logged("critical")
    assert (said["event"], said["shard"]) == ("ledger halted", 0)
    assert "./scripts/ledger verify" in said["advice"]
    assert running.reports == []
    assert running.pid == first
