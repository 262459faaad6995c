from pathlib import Path, PurePosixPath

import pytest

from scripts.linters import check
from scripts.linters.__main__ import findings, rules

RULES = {rule.name: rule for rule in rules()}
SERVICE = "services/player/service.py"

# rule, path, a line that breaks it, a line that does not
CASES = [
    ("commit-in-one-place", SERVICE, "connection.commit()", "connection.execute(s)"),
    ("sql-in-store", SERVICE, "select(PLAYER)", "store.select_player()"),
    ("abort-in-one-place", SERVICE, "context.abort(code, '')", "raise NotFound"),
    ("time-from-clock", SERVICE, "datetime.now(UTC)", "clock.now()"),
    ("time-from-clock", SERVICE, "time.time()", "time.monotonic()"),
    ("no-float-money", "services/wallet/domain/x.py", "a = 0.5", "a = 5"),
    ("no-float-money", "services/kit/money.py", "float(a)", "int(a)"),
    ("environment-in-settings", SERVICE, "os.environ['A']", "settings.a"),
]


def lines_found(rule: str, path: str, source: str) -> list[int]:
    return [found.line for found in check(RULES[rule], PurePosixPath(path), source)]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES)
def test_rule_finds_what_breaks_it_and_nothing_else(
    rule: str, path: str, bad: str, good: str
) -> None:
    assert lines_found(rule, path, f"{good}\n{bad}\n") == [2]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES)
def test_reason_on_the_line_allows_it(rule: str, path: str, bad: str, good: str) -> None:
    reason = f"  # house: allow {rule} (measured, see below)"
    assert lines_found(rule, path, f"{good}\n{bad}{reason}\n") == []
    assert lines_found(rule, path, f"{bad}  # house: allow {rule}\n") == [1]
    assert lines_found(rule, path, f"{bad}  # house: allow other-rule (a good reason)\n") == [1]


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(RULES)


def test_tree_keeps_the_rules() -> None:
    assert list(findings(Path())) == []
