"""What the commands say of themselves."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["bench", "ledger", "simulate", "trace", "up"])
def test_help_names_the_command_as_it_is_called(name: str) -> None:
    done = subprocess.run(  # noqa: S603 (our own command)
        [str(ROOT / "scripts" / name), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Usage: ./scripts/{name} " in done.stdout
