"""Only `kit/database.py` commits: a commit in the middle splits what must be whole."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services

# The wallet's writer and the trace store talk to their drivers themselves, on purpose: the first
# owns group commit, the second is no part of the mesh.
_OWN_DRIVERS = (
    "services/kit/database.py",
    "services/wallet/store/",
    "services/wallet/writer/",
    "services/trace/",
)


def _applies(path: PurePosixPath) -> bool:
    return in_services(path) and not str(path).startswith(_OWN_DRIVERS)


def _breaks(node: ast.AST) -> bool:
    return called_name(node).endswith(".commit")


RULE = Rule(
    name="commit-in-one-place",
    message="open `database.transaction()`; leaving it commits",
    applies=_applies,
    breaks=_breaks,
)
