import socket
import stat
import subprocess
from pathlib import Path

import pytest

from scripts.mesh.folder import (
    DataFolder,
    FolderInUseError,
    FolderUnusableError,
    PortTakenError,
    random_secret,
)

UP = Path(__file__).parents[2] / "scripts" / "up"


def test_second_holder_of_a_folder_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path).locked(),
        pytest.raises(FolderInUseError, match="is in use by process"),
        DataFolder(tmp_path).locked(),
    ):
        pytest.fail("two held the folder")
    with DataFolder(tmp_path).locked():
        assert (tmp_path / "lock").exists()


def test_ports_are_the_same_the_next_time(tmp_path: Path) -> None:
    names = ("security", "player", "edge")
    first = DataFolder(tmp_path).ports(names, fixed={})
    assert len(set(first.values())) == len(names)
    assert DataFolder(tmp_path).ports(names, fixed={}) == first


def test_port_that_is_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    first = DataFolder(tmp_path).ports(("security", "player"), fixed={})
    with socket.create_server(("127.0.0.1", first["player"])):
        second = DataFolder(tmp_path).ports(("security", "player"), fixed={})
    assert second["security"] == first["security"]
    assert second["player"] != first["player"]


def test_preferred_port_is_taken_the_first_time_if_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        preferred = {"free": _free(), "busy": busy}
        given = DataFolder(tmp_path).ports(("free", "busy"), fixed={}, preferred=preferred)
    assert given["free"] == preferred["free"]
    assert given["busy"] != busy


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_fixed_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} for edge is taken"):
            DataFolder(tmp_path).ports(("edge",), fixed={"edge": port})


def test_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "new")
    file = folder.secret("psp-api-key", random_secret)
    made = file.read_text()
    assert folder.secret("psp-api-key", random_secret).read_text() == made
    assert len(made) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_folder_is_the_same_by_each_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    names = (tmp_path / "data", tmp_path / "x" / ".." / "data", tmp_path / "link")
    assert {DataFolder(name).path for name in names} == {(tmp_path / "data").resolve()}


def test_folder_in_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(FolderUnusableError, match="cannot be used: "):
        DataFolder(tmp_path / "a" / "data")


def test_up_says_in_one_sentence_that_its_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    done = subprocess.run(  # noqa: S603 (our own command)
        [str(UP), "--data", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == f"{folder} cannot be used: Not a directory\n"
    assert done.stderr == ""
