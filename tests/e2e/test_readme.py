"""What the README says is what happens: its commands run here as they stand there."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scripts.mesh.description import Description
from scripts.mesh.folder import read_secret
from tests.e2e.running import ROOT, RunningMesh, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

README = (ROOT / "README.md").read_text()
SHELL_S_MAX = 60


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    [found] = [each for each in blocks if containing in each]
    return str(found)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    folder = tmp_path_factory.mktemp("readme") / "data"
    with running(folder, "--port", "0") as started:
        yield started


@pytest.fixture(scope="module")
def description(mesh: RunningMesh) -> Description:
    return mesh.wait_ready()


@pytest.fixture(scope="module")
def first_bet(mesh: RunningMesh, description: Description) -> str:
    """Runs the README's first bet on this mesh, and tells what it printed."""
    script = block("sh", "placeBet").replace(
        "edge=https://127.0.0.1:8443 data=var",
        f"edge={description.edge_url} data={mesh.folder}",
    )
    assert description.edge_url in script
    shell = shutil.which("bash")
    assert shell is not None
    done = subprocess.run(  # noqa: S603 (the README's own commands)
        [shell, "-euo", "pipefail", "-c", f'{script}\necho "session=$session"\necho "name=$name"'],
        capture_output=True,
        text=True,
        timeout=SHELL_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_bet_by_curl_ends_with_the_balance_that_it_promises(first_bet: str) -> None:
    # 50.00 paid in, 2.50 staked, 4.00 won.
    assert '"cashMinorUnits":"5150"' in first_bet
    assert '"rounds":[' in first_bet


def test_provider_bets_with_the_stubs_as_shown(
    mesh: RunningMesh, description: Description, first_bet: str
) -> None:
    shown: dict[str, object] = {}
    exec(block("python", "place_bet"), shown)  # noqa: S102 (the README's own code)
    place_bet = shown["place_bet"]
    assert callable(place_bet)
    [token] = re.findall(r"^session=(.+)$", first_bet, re.MULTILINE)
    api_key = read_secret(mesh.folder / "secrets" / f"{description.provider_id}-api-key")
    authority = Path(description.authority).read_bytes()
    with grpc.secure_channel(
        description.edge_address, grpc.ssl_channel_credentials(authority)
    ) as channel:
        movement = place_bet(channel, api_key, token, "readme-stub-1", "readme-round", 100)
        again = place_bet(channel, api_key, token, "readme-stub-1", "readme-round", 100)
    assert movement.outcome == "APPLIED"
    assert movement.balance.minor_units == 5_050
    assert again == movement


def test_trace_of_the_first_bet_is_found_by_its_transaction_id(
    description: Description, first_bet: str
) -> None:
    [name] = re.findall(r"^name=(.+)$", first_bet, re.MULTILINE)
    done = subprocess.run(  # noqa: S603 (our own command)
        [
            str(ROOT / "scripts" / "trace"),
            f"{name}-1",
            "--wait",
            "20",
            "--url",
            description.trace_url,
        ],
        capture_output=True,
        text=True,
        timeout=SHELL_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for hop in ("edge", "game", "wallet", "insert_transfer"):
        assert hop in done.stdout


def test_commands_that_the_readme_names_exist_and_explain_themselves() -> None:
    named = sorted(set(re.findall(r"\./scripts/([a-z]+)", README)))
    assert {"up", "test", "check", "trace", "bench"} <= set(named)
    for name in named:
        path = ROOT / "scripts" / name
        assert path.stat().st_mode & 0o111, f"{path} cannot be executed"
    for name in ("up", "trace", "bench"):
        done = subprocess.run(  # noqa: S603 (our own command)
            [str(ROOT / "scripts" / name), "--help"],
            capture_output=True,
            text=True,
            timeout=SHELL_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout
