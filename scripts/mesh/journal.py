"""Follows the logs of all programs: shows what an operator should see, and keeps them short."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_LOOK_EVERY_S = 0.25
_CHUNK_BYTES = 262_144
_SHOWN_MAX = 20
_LENGTH_MAX = 300
_ROTATE_BYTES = 32 * 1024 * 1024
_LOUD = frozenset({"warning", "error", "critical"})
# Warnings that say only that what was asked for happens.
_EXPECTED = frozenset({"caught ENVOY_SIGTERM"})
# What every line says anyway.
_COMMON = frozenset({"event", "level", "time", "service", "trace_id", "exception", "logger"})

Show = Callable[[str, str], None]


class Journal:
    """Reads what is appended to logs."""

    def __init__(
        self,
        logs: Path,
        names: Sequence[str],
        show: Show,
        *,
        silent: Sequence[str] = (),
        rotate_bytes: int = _ROTATE_BYTES,
    ) -> None:
        """Begins at the end of what is there already.

        Args:
            logs: The folder with a log for each program.
            names: The programs.
            show: Takes the name of a program and a line about it.
            silent: Further logs, which are only kept short.
            rotate_bytes: How long a log may become before it is begun anew.
        """
        self._files = {name: logs / f"{name}.log" for name in names}
        self._places = {
            name: file.stat().st_size if file.exists() else 0 for name, file in self._files.items()
        }
        self._silent = [logs / f"{name}.log" for name in silent]
        self._rests = dict.fromkeys(names, b"")
        self._show = show
        self._rotate_bytes = rotate_bytes

    async def run(self) -> None:
        """Follows the logs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Shows what was added since the last look."""
        for name, file in self._files.items():
            if not file.exists():
                continue
            lines = [line for line in self._new_lines(name, file) if line]
            for line in lines[:_SHOWN_MAX]:
                self._show(name, line)
            if len(lines) > _SHOWN_MAX:
                self._show(name, f"… and {len(lines) - _SHOWN_MAX} more lines like these in {file}")

        for file in self._silent:
            if file.exists() and file.stat().st_size > self._rotate_bytes:
                _begin_anew(file)

    def _new_lines(self, name: str, file: Path) -> Iterator[str]:
        with file.open("rb") as opened:
            opened.seek(self._places[name])
            added = opened.read(_CHUNK_BYTES)
        self._places[name] += len(added)
        *lines, self._rests[name] = (self._rests[name] + added).split(b"\n")
        # A line without an end is no line of a log; it must not pile up.
        self._rests[name] = self._rests[name][-_CHUNK_BYTES:]
        if self._places[name] > self._rotate_bytes and len(added) < _CHUNK_BYTES:
            _begin_anew(file)
            self._places[name] = 0
        for line in lines:
            yield loud(line.decode(errors="replace"))


def _begin_anew(log: Path) -> None:
    # Programs hold the file open for appending, so that it can be emptied under them.
    shutil.copyfile(log, log.with_suffix(".log.1"))
    log.write_bytes(b"")


def loud(line: str) -> str:
    """Returns what a log line says if it is a warning or worse; empty otherwise."""
    entry = _entry(line)
    if entry.get("level") not in _LOUD or entry.get("event") in _EXPECTED:
        return ""
    return _told(entry)


def readable(line: str) -> str:
    """Returns what a log line says, and the line itself if it is no entry of a log."""
    entry = _entry(line)
    return _told(entry) if "level" in entry else line[:_LENGTH_MAX]


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _told(entry: Mapping[str, Any]) -> str:
    values = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _COMMON)
    said = f"{entry['level']}: {entry.get('event', '')} {values}".rstrip()
    match entry.get("exception"):
        case [{"exc_type": kind, "exc_value": value}, *_]:
            said += f" ({kind}: {value})"
    return said[:_LENGTH_MAX]
