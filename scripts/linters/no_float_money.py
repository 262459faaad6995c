"""No float near money: a third of a cent is somebody's cent."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services

# Where amounts are decided, translated and stored. The writer, the adapters and the streams of the
# wallet measure time, and handle amounts without looking at them.
_FILES = frozenset({"money.py", "tables.py", "servicer.py", "messages.py", "refusals.py"})


def _applies(path: PurePosixPath) -> bool:
    if not in_services(path):
        return False
    return path.name in _FILES or (path.parts[1] == "wallet" and "domain" in str(path))


def _breaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div) and not isinstance(node.left, ast.Name | ast.Call)
    return called_name(node) in {"float", "Float", "Numeric", "Decimal"}


RULE = Rule(
    name="no-float-money",
    message="money is whole minor units; no float, no division",
    applies=_applies,
    breaks=_breaks,
)
