"""SQL stands in store, tables and migrations: elsewhere nobody looks for it."""

import ast
from pathlib import PurePosixPath

from scripts.linters import Rule, called_name, in_services

_PLACES = ("store", "tables", "migrations", "kit", "trace")
_SQL = frozenset({"select", "insert", "update", "delete", "text"})


def _applies(path: PurePosixPath) -> bool:
    inside = path.parts[1:]
    return in_services(path) and not any(part.removesuffix(".py") in _PLACES for part in inside)


def _breaks(node: ast.AST) -> bool:
    name = called_name(node)
    return name in _SQL or name.removeprefix("sqlalchemy.") in _SQL - {"text"}


RULE = Rule(
    name="sql-in-store",
    message="SQL belongs in store.py, tables.py or a migration",
    applies=_applies,
    breaks=_breaks,
)
