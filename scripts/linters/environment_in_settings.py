"""The environment is read in settings only, once: elsewhere a setting hides from its page."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, dotted, in_services


def _applies(path: PurePosixPath) -> bool:
    return in_services(path) and path.name != "settings.py"


def _breaks(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}


RULE = Rule(
    name="environment-in-settings",
    message="add a field to Settings and pass it in",
    applies=_applies,
    breaks=_breaks,
)
