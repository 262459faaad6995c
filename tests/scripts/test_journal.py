import json
from pathlib import Path

import pytest

from scripts.mesh.journal import Journal, loud, readable

WARNING = {"event": "psp does not answer", "level": "warning", "time": "…", "psp": "sandbox"}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (json.dumps(WARNING), "warning: psp does not answer psp=sandbox"),
        (json.dumps({**WARNING, "level": "info"}), ""),
        (json.dumps({"event": "failed", "level": "error"}), "error: failed"),
        (json.dumps({"event": "caught ENVOY_SIGTERM", "level": "warning", "logger": "main"}), ""),
        ("Traceback (most recent call last):", ""),
        ("[1, 2]", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_only_warnings_and_worse_are_shown(line: str, shown: str) -> None:
    assert loud(line) == shown


def test_each_line_is_shown_once_and_what_was_there_before_is_not(tmp_path: Path) -> None:
    log = tmp_path / "wallet.log"
    log.write_text(json.dumps(WARNING) + "\n")
    shown: list[tuple[str, str]] = []
    journal = Journal(tmp_path, ["wallet"], lambda name, line: shown.append((name, line)))
    journal.look()
    assert shown == []
    with log.open("a") as opened:
        half = json.dumps(WARNING)
        opened.write(half[:10])
        opened.flush()
        journal.look()
        assert shown == []
        opened.write(half[10:] + "\n")
    journal.look()
    journal.look()
    assert shown == [("wallet", "warning: psp does not answer psp=sandbox")]


def test_flood_is_cut(tmp_path: Path) -> None:
    shown: list[str] = []
    journal = Journal(tmp_path, ["wallet"], lambda _, line: shown.append(line))
    (tmp_path / "wallet.log").write_text((json.dumps(WARNING) + "\n") * 100)
    journal.look()
    assert len(shown) == 21
    assert shown[-1].startswith("… and 80 more lines")


def test_long_log_is_begun_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    shown: list[str] = []
    journal = Journal(tmp_path, ["wallet"], lambda _, line: shown.append(line), rotate_bytes=1000)
    log = tmp_path / "wallet.log"
    with log.open("a") as opened:
        opened.write((json.dumps(WARNING) + "\n") * 20)
        opened.flush()
        journal.look()
        assert log.stat().st_size == 0
        assert (tmp_path / "wallet.log.1").stat().st_size > 1000
        opened.write(json.dumps(WARNING) + "\n")
        opened.flush()
        journal.look()
    assert len(shown) == 21


def test_silent_log_is_kept_short_and_never_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    journal = Journal(
        tmp_path, [], lambda _, line: shown.append(line), silent=["access"], rotate_bytes=1000
    )
    (tmp_path / "access.log").write_text((json.dumps(WARNING) + "\n") * 20)
    journal.look()
    assert (tmp_path / "access.log").stat().st_size == 0
    assert (tmp_path / "access.log.1").stat().st_size > 1000
    assert shown == []


CRASH = {
    "event": "uncaught",
    "level": "critical",
    "time": "…",
    "exception": [{"exc_type": "OSError", "exc_value": "no space left", "frames": []}],
}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (json.dumps({**WARNING, "level": "info"}), "info: psp does not answer psp=sandbox"),
        (json.dumps(CRASH), "critical: uncaught (OSError: no space left)"),
        ("Fatal Python error: Segmentation fault", "Fatal Python error: Segmentation fault"),
        ("[1, 2]", "[1, 2]"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_any_line_can_be_read(line: str, shown: str) -> None:
    assert readable(line) == shown
