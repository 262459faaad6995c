"""The statements themselves: what they cost does not grow with the history."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import make_url

from services.wallet.store import statements
from services.wallet.store.sqlite import _DIALECT, _pieces
from services.wallet.store.statements import SetStatement
from tests.conftest import Templates

STATEMENTS = {
    each.name: each for each in vars(statements).values() if isinstance(each, SetStatement)
}
# The few policies there are, read at the start of a reign.
WHOLE_TABLES = {"select_policies"}


@pytest.fixture
def connection(templates: Templates) -> Iterator[sqlite3.Connection]:
    path = make_url(templates.copy("services.wallet", "sqlite")).database
    assert path is not None
    with closing(sqlite3.connect(path)) as opened:
        yield opened


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_each_statement_finds_its_rows_by_an_index(
    connection: sqlite3.Connection, name: str
) -> None:
    statement = STATEMENTS[name]
    sql = statement.for_values(_DIALECT, 2)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [0] * 2 * len(statement.given))
    steps = [row[3] for row in plan if row[3] not in {"SCAN raw", "SCAN 2 CONSTANT ROWS"}]
    assert not [step for step in steps if step.startswith("SCAN")]
    searched = [step for step in steps if step.startswith("SEARCH transfer ")]
    assert not [step for step in searched if step.endswith("PRIMARY KEY (shard=?)")]
    if name not in WHOLE_TABLES:
        assert not [step for step in steps if "rowid>?" in step]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 63, 64, 255, 256, 257, 511, 1000])
def test_rows_are_cut_into_pieces_of_fixed_sizes(number: int) -> None:
    rows = [(n,) for n in range(number)]
    pieces = list(_pieces(rows))
    assert [row for piece in pieces for row in piece] == rows
    assert {len(piece) for piece in pieces} <= {256, 128, 64, 32, 16, 8, 4, 2, 1}
    assert len(pieces) <= number // 256 + 8
