"""House rules that no public linter knows, one a module: `python -m scripts.linters`.

Each rule remembers a mistake that is easy to make and dear to find. A line may break a rule if it
says why: `# house: allow <rule> (<reason>)`.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_ALLOW = re.compile(r"# house: allow (?P<rule>[a-z-]+) \(.{8,}\)")


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that breaks a rule."""

    path: PurePosixPath
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Renders the finding as editors understand it."""
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A house rule."""

    name: str
    message: str
    applies: Callable[[PurePosixPath], bool]
    breaks: Callable[[ast.AST], bool]


def check(rule: Rule, path: PurePosixPath, source: str) -> Iterator[Finding]:
    """Yields each place in a file that breaks the rule without a reason."""
    if not rule.applies(path):
        return
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not rule.breaks(node):
            continue
        line = getattr(node, "lineno", 1)
        allowed = _ALLOW.search(lines[line - 1])
        if allowed is None or allowed["rule"] != rule.name:
            yield Finding(path=path, line=line, rule=rule.name, message=rule.message)


def called_name(node: ast.AST) -> str:
    """Returns the dotted name of what is called, as `datetime.now`; empty if it has none."""
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def dotted(node: ast.AST) -> str:
    """Returns a dotted name as written; empty if the expression is not one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        below = dotted(node.value)
        return f"{below}.{node.attr}" if below else f".{node.attr}"
    return ""


def in_services(path: PurePosixPath) -> bool:
    """Tells whether the path is our service code."""
    return path.parts[0] == "services"
