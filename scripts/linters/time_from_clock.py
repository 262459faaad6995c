"""The time comes from `kit/clock.py`: code that reads the machine's clock cannot be tested."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services

# `time.monotonic` and `perf_counter` measure spans and are free.
_CLOCKS = frozenset(
    {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "datetime.datetime.now",
        "date.today",
        "time.time",
    }
)


def _applies(path: PurePosixPath) -> bool:
    return in_services(path) and path.parts[1] != "trace" and str(path) != "services/kit/clock.py"


def _breaks(node: ast.AST) -> bool:
    return called_name(node) in _CLOCKS


RULE = Rule(
    name="time-from-clock",
    message="take the time from a Clock that is passed in",
    applies=_applies,
    breaks=_breaks,
)
