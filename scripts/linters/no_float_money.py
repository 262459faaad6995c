"""No float near money: a third of a cent is somebody's cent."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services

_TELEMETRY = "telemetry.py"


def _applies(path: PurePosixPath) -> bool:
    if not in_services(path) or path.name in {_TELEMETRY, "settings.py", "writer.py"}:
        return False
    return path.parts[1] == "wallet" or path.name in {"money.py", "tables.py"}


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
