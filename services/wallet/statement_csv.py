"""A player's statement as CSV (RFC 4180), page by page: however long it is, little is in memory.

The first line after the header is the balance before the period and the last one the balance after
it, so that a file that was cut short shows.
"""

import csv
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TextIO

from services.kit.clock import from_micros
from services.kit.money import Money, to_decimal
from services.wallet.domain import unpack_key
from services.wallet.domain.values import Kind
from services.wallet.reporting import PAGE_SIZE_MAX, ReportingService, StatementPage
from services.wallet.store import StatementLine, StatementQuery

COLUMNS = (
    "line",
    "create_time",
    "account_version",
    "seq",
    "kind",
    "source",
    "transaction_id",
    "game_id",
    "round_id",
    "bucket",
    "currency_code",
    "change_minor_units",
    "change",
    "pending_change_minor_units",
    "pending_change",
    "balance_after_minor_units",
    "balance_after",
)

# Spreadsheets take a cell that begins so for a formula, and providers choose the ids that we list.
_FORMULA = frozenset("=+-@|%")
_QUOTE = "'"


class ContradictionError(Exception):
    """The entries do not lead from one balance to the other: the ledger needs an audit."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a statement came to, in minor units."""

    entries: int
    opening_balance: int
    closing_balance: int


async def write_statement(
    reporting: ReportingService,
    query: StatementQuery,
    out: TextIO,
    *,
    page_size: int = PAGE_SIZE_MAX,
) -> Written:
    """Writes a statement.

    Args:
        reporting: Where it is read.
        query: The account and the period.
        out: A text file that translates no line ends.
        page_size: How many entries are read at once.

    Raises:
        ContradictionError: The entries do not add up. What was written lacks its last line.
        InvalidRequestError: The period ends before it begins.
        PlayerNotFoundError: The ledger does not know the player.
        AccountNotFoundError: The player has no wallet in the currency.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    count, balance, page = 0, 0, None
    async for page in _pages(reporting, query, page_size):
        if not count:
            writer.writerow(COLUMNS)
            writer.writerow(_edge("opening", query, query.start, page.opening_balance))
            balance = page.opening_balance
        for line in page.lines:
            balance += line.entry.credit_posted - line.entry.debit_posted
            if balance != line.entry.balance_after:
                message = f"entry {line.entry.account_version} does not continue the one before it"
                raise ContradictionError(message)
            writer.writerow(_row(line, query))
        count += len(page.lines)
    if page is None or balance != page.closing_balance:
        message = f"the entries end at {balance}"
        raise ContradictionError(message)
    writer.writerow(_edge("closing", query, query.end, balance))
    return Written(count, page.opening_balance, page.closing_balance)


async def _pages(
    reporting: ReportingService, query: StatementQuery, page_size: int
) -> AsyncIterator[StatementPage]:
    page = await reporting.get_statement(query, page_size=page_size)
    yield page
    while page.next_page_token:
        page = await reporting.get_statement(query, page_size=page_size, token=page.next_page_token)
        yield page


def _row(line: StatementLine, query: StatementQuery) -> list[object]:
    entry, transfer = line.entry, line.transfer
    return [
        "entry",
        _time(transfer.create_time),
        entry.account_version,
        entry.seq,
        Kind(transfer.kind).name.lower(),
        guarded(transfer.source),
        guarded(unpack_key(transfer.key)),
        guarded(transfer.game_id),
        guarded(line.round_key or ""),
        query.bucket.name.lower(),
        query.currency_code,
        *_amount(query, entry.credit_posted - entry.debit_posted),
        *_amount(query, entry.debit_pending),
        *_amount(query, entry.balance_after),
    ]


def _edge(name: str, query: StatementQuery, time: int, balance: int) -> list[object]:
    nothing = [""] * 7
    account = [query.bucket.name.lower(), query.currency_code]
    return [name, _time(time), *nothing, *account, *[""] * 4, *_amount(query, balance)]


def _amount(query: StatementQuery, minor_units: int) -> tuple[int, str]:
    return minor_units, to_decimal(Money(query.currency_code, minor_units))


def _time(micros: int) -> str:
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def guarded(text: str) -> str:
    """Keeps a text that came from outside from being taken for a formula.

    An apostrophe before it does so in every spreadsheet. One that is there already gets a second
    one, so that taking the first away always gives the text back.
    """
    # A spreadsheet may trim the text first, or read wide forms of the signs as the signs.
    first = unicodedata.normalize("NFKC", text.strip())[:1]
    risky = first in _FORMULA or text[:1] in {_QUOTE, "\t", "\r", "\n"}
    return f"{_QUOTE}{text}" if text and risky else text
