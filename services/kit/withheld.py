"""Tells errors of the database without the values of rows, which may be secrets or personal data.

PostgreSQL quotes them in the details of an error, as in "Key (email)=(…) already exists", and both
the drivers and SQLAlchemy put that, and arguments that they cannot convert, into the text of their
exceptions. The names of tables, columns and constraints say as much to whoever mends a fault.
"""

import re
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy import exc

_DATABASE_ERRORS = (
    exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
)
# Errors of SQLAlchemy's own whose text never holds more than names.
_PLAIN = (exc.NoResultFound, exc.MultipleResultsFound, exc.TimeoutError, exc.ResourceClosedError)
# By class of SQLSTATE: connection, transaction, constraint, login, race, syntax and names,
# resources, limits, operator and system, and what our own triggers raise. The text of these holds
# no value, only their details do; that of others, such as 22 for bad data, quotes it.
_PLAIN_CLASSES = frozenset({"08", "23", "25", "28", "40", "42", "53", "54", "55", "57", "58", "P0"})
_PLAIN_SQLITE = re.compile(
    r"(UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed"
    r"|database (is|table is|schema is) locked|database (disk image is malformed|or disk is full)"
    r"|disk I/O error|attempt to write a readonly database|unable to open database file"
    r"|no such (table|column|index)|\w+ is append-only|interrupted|file is not a database"
)
# What would give a copied text away wherever it stands: from here to its end.
_TELLTALE = re.compile(r"(DETAIL:|\[parameters:|for query argument \$\d+:).*", re.DOTALL)
_MARK = "[withheld]"
# A shorter text is replaced where it is the whole text, not where it is a part: it may be a word.
_COPIED_MIN = 12


class Withheld:
    """Rewrites texts that may have taken over what an error says."""

    def __init__(self, error: BaseException | None) -> None:
        """Learns the texts of an error and of all that it came from."""
        self._told: dict[str, str] = {}
        for each, told in _unsafe(error) if error is not None else ():
            for text in (str(each), repr(each)):
                self._told.setdefault(text, told)

    def __call__(self, text: str) -> str:
        """Returns the text without what the database quoted."""
        if text in self._told:
            return self._told[text]
        # The longest first: it may contain another.
        for unsafe in sorted(self._told, key=len, reverse=True):
            if len(unsafe) >= _COPIED_MIN:
                text = text.replace(unsafe, self._told[unsafe])
        return _TELLTALE.sub(_mark, text)


def _mark(found: "re.Match[str]") -> str:
    return f"{found[1]} {_MARK}"


def _unsafe(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yields the errors of a chain whose text may hold values, each with what may be told."""
    seen: set[int] = set()
    # Each with whether an error of the database came from it, which makes it part of that.
    left: list[tuple[BaseException | None, bool]] = [(error, False)]
    while left:
        each, below = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        database = isinstance(each, _DATABASE_ERRORS)
        if database or below:
            yield each, _told(each)
        left.append((each.__context__, below))
        left.append((each.__cause__, below or database))
        if isinstance(each, BaseExceptionGroup):
            left.extend((member, below) for member in each.exceptions)


def _told(error: BaseException) -> str:
    if isinstance(error, _PLAIN):
        return str(error)
    if isinstance(error, exc.StatementError):
        origin = error.orig if error.orig is not None else error.__cause__
        cause = "" if origin is None else _told(origin)
        return f"({type(origin).__name__}) {cause}\n[SQL: {error.statement}]"
    if isinstance(error, asyncpg.PostgresError):
        return _told_by_postgres(error)
    if isinstance(error, sqlite3.Error):
        text = str(error)
        name = getattr(error, "sqlite_errorname", "")
        return text if _PLAIN_SQLITE.match(text) else f"{_MARK} {name}".rstrip()
    if getattr(error, "sqlstate", None) and isinstance(error.__cause__, asyncpg.PostgresError):
        # SQLAlchemy's own around the driver's.
        return _told_by_postgres(error.__cause__)
    return _MARK


def _told_by_postgres(error: asyncpg.PostgresError) -> str:
    state = error.sqlstate or ""
    text = str(error.args[0]) if error.args and state[:2] in _PLAIN_CLASSES else _MARK
    names = {
        "sqlstate": state,
        "table": error.table_name,
        "column": error.column_name,
        "constraint": error.constraint_name,
    }
    told = ", ".join(f"{key} {name}" for key, name in names.items() if name)
    return f"{text} ({told})" if told else text
