"""`./scripts/up` as its user meets it: it starts, survives, refuses and stops."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.flow.player import Player
from scripts.flow.steps import deposit
from scripts.flow.steps.authorization import log_in, register
from scripts.flow.world import World, open_world
from scripts.mesh.console import commands
from scripts.mesh.description import Description
from tests.e2e.running import ROOT, STOP_S_MAX, RunningMesh, is_alive, running, wait_gone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    # What is printed for a shell must hold in a folder that a shell would take apart.
    folder = tmp_path_factory.mktemp("up") / "the player's EDGE"
    with running(folder, "--port", "0") as started:
        started.wait_ready()
        yield started


async def pay_in(description: Description) -> Player:
    """Registers a player who deposits."""
    async with open_world(description, patience_s=PATIENCE_S, figures_within_s=PATIENCE_S) as world:
        await register(world)
        await log_in(world)
        await deposit.deposit(world)
        return world.player


async def cash_of(player: Player, description: Description) -> int:
    """Logs the player in again, and reads the balance."""
    async with open_world(description, patience_s=PATIENCE_S, figures_within_s=PATIENCE_S) as world:
        again = as_before(player, world)
        reply = await again.log_in(again.password)
        assert reply.is_ok, reply
        return await again.cash()


def as_before(player: Player, world: World) -> Player:
    again = Player(world.door)
    again.email, again.password = player.email, player.password
    return again


async def test_killed_service_is_started_again_with_what_it_had(mesh: RunningMesh) -> None:
    description = mesh.wait_ready()
    player = await pay_in(description)
    os.kill(description.pids["wallet"], signal.SIGKILL)
    mesh.wait_printed("wallet │ ended with SIGKILL; starts again in")
    mesh.wait_printed("wallet │ serves again, after")
    async with open_world(description, patience_s=PATIENCE_S, figures_within_s=PATIENCE_S) as world:
        again = as_before(player, world)
        assert (await again.log_in(again.password)).is_ok

        async def look() -> int | None:
            # The edge sends nobody to the wallet before it has seen it healthy.
            reply = await again.call("GET", "/v1/wallet/balances")
            return int(reply.body["balances"][0]["cashMinorUnits"]) if reply.is_ok else None

        assert await world.eventually(look, otherwise=lambda: "no balance") == 5_000


def test_commands_that_it_prints_lead_to_an_open_game(mesh: RunningMesh) -> None:
    script = "\n".join(commands(mesh.wait_ready()))
    mesh.wait_printed("To play by hand:")
    assert all(line in mesh.printed for line in script.splitlines())
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(  # noqa: S603 (what `up` told its user to run)
        [bash, "-euo", "pipefail", "-c", f"token=\n{script}"],
        capture_output=True,
        text=True,
        timeout=STOP_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"identityState":"IDENTITY_STATE_VERIFIED"' in done.stdout
    assert '"checkoutUrl":"https://' in done.stdout
    assert '"launchUrl":"https://' in done.stdout


def test_second_up_on_the_same_folder_is_refused(mesh: RunningMesh) -> None:
    second = subprocess.run(  # noqa: S603 (our own command)
        [str(ROOT / "scripts" / "up"), "--data", str(mesh.folder), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=STOP_S_MAX,
        check=False,
    )
    assert second.returncode == 1
    assert f"{mesh.folder} is in use by process {mesh.process.pid}" in second.stdout
    assert mesh.process.poll() is None


def test_secrets_and_keys_are_readable_only_by_their_owner(mesh: RunningMesh) -> None:
    loose = [
        file
        for file in mesh.folder.rglob("*")
        if file.is_file() and file.stat().st_mode & 0o077 and file.suffix != ".log"
    ]
    assert [file for file in loose if "secrets" in file.parts or file.suffix == ".key"] == []
    assert mesh.folder.stat().st_mode & 0o077 == 0


async def test_ctrl_c_drains_and_the_next_start_finds_everything_where_it_was(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "data", "--port", "0") as first:
        before = first.wait_ready()
        async with open_world(before, patience_s=PATIENCE_S, figures_within_s=PATIENCE_S) as world:
            await register(world)
            await log_in(world)
            await deposit.deposit(world)
            player = world.player
            assert await asyncio.to_thread(first.stop, signal.SIGINT) == 0
            # Whoever watches a balance is told that it ends, and why.
            assert world.stream.ends == ["DRAINING"]
        wait_gone(before.pids)
        assert first.printed.rstrip().endswith("All processes have ended.")
        assert "was killed" not in first.printed
        assert not (tmp_path / "data" / "mesh.json").exists()
    with running(tmp_path / "data") as second:
        after = second.wait_ready()
        assert after.ports == before.ports
        assert await cash_of(player, after) == 5_000
        assert second.stop(signal.SIGTERM) == 0
        wait_gone(after.pids)


def test_processes_end_with_an_up_that_is_killed(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--port", "0") as mesh:
        pids = mesh.wait_ready().pids
        assert all(is_alive(pid) for pid in pids.values())
        mesh.process.kill()
        wait_gone(pids)


def test_second_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--port", "0") as mesh:
        pids = mesh.wait_ready().pids
        os.kill(pids["wallet"], signal.SIGSTOP)
        mesh.process.send_signal(signal.SIGINT)
        mesh.wait_printed("Draining …")
        mesh.process.send_signal(signal.SIGINT)
        assert mesh.process.wait(STOP_S_MAX) == 130
        wait_gone(pids)


def test_once_plays_everything_and_exits_with_0(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--once") as mesh:
        code = mesh.process.wait(PATIENCE_S * 2)
        assert code == 0, mesh.printed
        assert "steps held" in mesh.printed
        for hop in ("flow", "acme", "edge", "game", "wallet"):
            assert f"{hop} " in mesh.printed


def test_once_fails_with_the_name_of_the_step_that_did_not_hold(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--once") as mesh:
        wallet = mesh.wait_ready().pids["wallet"]
        os.kill(wallet, signal.SIGSTOP)
        mesh.wait_printed("The flow failed at: ")
        os.kill(wallet, signal.SIGCONT)
        assert mesh.process.wait(STOP_S_MAX) == 1
        assert "✗" in mesh.printed
        assert "steps held" not in mesh.printed
