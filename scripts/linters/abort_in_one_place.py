"""Only the error interceptor aborts a call: elsewhere an error would lose its reason."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services


def _applies(path: PurePosixPath) -> bool:
    return (
        in_services(path)
        and path.parts[1] != "trace"
        and str(path) != ("services/kit/interceptors/errors.py")
    )


def _breaks(node: ast.AST) -> bool:
    return called_name(node).endswith(("context.abort", "context.abort_with_status"))


RULE = Rule(
    name="abort-in-one-place",
    message="raise a ServiceError; the error interceptor aborts",
    applies=_applies,
    breaks=_breaks,
)
