"""A statement as CSV leads from one balance to the other, and stays text in a spreadsheet."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from scripts.auditing.__main__ import app
from services.kit.clock import to_micros
from services.kit.database import Database
from services.kit.errors import InvalidRequestError
from services.wallet.domain import (
    Bet,
    Bucket,
    Deposit,
    Key,
    Micros,
    OpenWallet,
    Operation,
    PlayerId,
    Win,
    Withdraw,
    unpack_id,
)
from services.wallet.errors import AccountNotFoundError, PlayerNotFoundError
from services.wallet.reporting import ReportingService
from services.wallet.service import WalletService
from services.wallet.statement_csv import (
    COLUMNS,
    ContradictionError,
    Written,
    guarded,
    write_statement,
)
from services.wallet.store import StatementQuery
from tests.kit.clock import ManualClock
from tests.wallet.backups import files_in

PLAYER = PlayerId(bytes(15) + b"\x01")
FORMULA = '=HYPERLINK("http://x","y")'


class Account:
    """A player whose money moves, a minute at a time."""

    def __init__(self, service: WalletService, clock: ManualClock, url: str) -> None:
        self.service = service
        self.url = url
        self._clock = clock
        self.begin = clock.now()
        self._reporting = ReportingService(service.database, clock)

    async def apply(
        self, kind: type[Any], id_: str, currency_code: str = "EUR", **fields: Any
    ) -> None:
        self._clock.advance(timedelta(minutes=1))
        operation: Operation = kind(
            key=Key("t", "studio", id_), player_id=PLAYER, currency_code=currency_code, **fields
        )
        answer = await self.service.submit(operation)
        assert answer.result.outcome.success, answer.result.outcome

    async def play(self, rounds: int) -> None:
        for number in range(rounds):
            amount, round_key = 10 + number, f"r{number}"
            await self.apply(
                Bet, f"b{number}", amount=amount, round_key=round_key, game_id="plinko"
            )
            await self.apply(
                Win, f"w{number}", amount=number, round_key=round_key, game_id="plinko"
            )

    def query(self, start: int = 0, end: int = 10**6, **fields: Any) -> StatementQuery:
        def moment(minutes: int) -> Micros:
            return Micros(to_micros(self.begin + timedelta(minutes=minutes)))

        values: dict[str, Any] = {
            "player_id": PLAYER,
            "currency_code": "EUR",
            "bucket": Bucket.CASH,
        } | fields
        return StatementQuery(start=moment(start), end=moment(end), **values)

    async def statement(
        self, query: StatementQuery, page_size: int = 1_000
    ) -> tuple[Written, str, list[dict[str, str]]]:
        out = io.StringIO(newline="")
        written = await write_statement(self._reporting, query, out, page_size=page_size)
        return (
            written,
            out.getvalue(),
            list(csv.DictReader(io.StringIO(out.getvalue(), newline=""))),
        )

    async def page(self, query: StatementQuery) -> Any:
        return await self._reporting.get_statement(query, page_size=1)


@pytest.fixture
async def account(wallet_url: str, clock: ManualClock) -> AsyncIterator[Account]:
    service = WalletService(wallet_url, clock)
    await service.start()
    account = Account(service, clock, wallet_url)
    await account.apply(OpenWallet, "open")
    await account.apply(Deposit, "d1", amount=1_000)
    yield account
    await service.stop()


@pytest.mark.parametrize("page_size", [1, 7, 1_000])
async def test_entries_lead_from_the_opening_to_the_closing_balance(
    account: Account, page_size: int
) -> None:
    await account.play(10)
    await account.apply(Withdraw, "out", amount=100)
    query = account.query(start=8, end=20)
    written, _, rows = await account.statement(query, page_size)
    opening, *entries, closing = rows
    assert (opening["line"], closing["line"]) == ("opening", "closing")
    assert {each["line"] for each in entries} == {"entry"}
    balance = int(opening["balance_after_minor_units"])
    for each in entries:
        balance += int(each["change_minor_units"])
        assert balance == int(each["balance_after_minor_units"])
    assert balance == int(closing["balance_after_minor_units"])
    page = await account.page(query)
    assert written == Written(len(entries), page.opening_balance, page.closing_balance)
    assert (written.opening_balance, written.closing_balance) == (
        int(opening["balance_after_minor_units"]),
        balance,
    )
    versions = [int(each["account_version"]) for each in entries]
    assert versions == list(range(versions[0], versions[0] + len(entries)))
    assert len(entries) == 12


async def test_amounts_stand_in_minor_units_and_in_decimals(account: Account) -> None:
    await account.apply(Bet, "b", amount=5, round_key="r")
    await account.apply(Withdraw, "out", amount=95)
    _, _, rows = await account.statement(account.query())
    bet, held = rows[2:4]
    assert (bet["change_minor_units"], bet["change"]) == ("-5", "-0.05")
    assert (bet["balance_after_minor_units"], bet["balance_after"]) == ("995", "9.95")
    assert (held["pending_change_minor_units"], held["pending_change"]) == ("95", "0.95")
    assert (held["change_minor_units"], held["balance_after"]) == ("0", "9.95")


@pytest.mark.parametrize(("code", "told"), [("JPY", "1234"), ("BTC", "0.00001234")])
async def test_decimals_are_those_of_the_currency(account: Account, code: str, told: str) -> None:
    await account.apply(OpenWallet, f"open-{code}", currency_code=code)
    await account.apply(Deposit, f"d-{code}", currency_code=code, amount=1_234)
    _, _, rows = await account.statement(account.query(currency_code=code))
    assert [each["balance_after"] for each in rows[1:]] == [told, told]


async def test_period_without_entries_has_its_two_balances(account: Account) -> None:
    for start, end, balance in ((0, 0, "0"), (500, 600, "1000")):
        written, _, rows = await account.statement(account.query(start=start, end=end))
        assert written.entries == 0
        assert [each["line"] for each in rows] == ["opening", "closing"]
        assert {each["balance_after_minor_units"] for each in rows} == {balance}


async def test_file_is_what_the_rfc_says(account: Account) -> None:
    await account.apply(Bet, 'b,"1"', amount=5, round_key="line\u2028break", game_id="größe")
    _, written, rows = await account.statement(account.query())
    lines = written.split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    assert lines[-1] == ""
    assert "\n" not in written.replace("\r\n", "")
    assert len(lines) == len(rows) + 2
    assert rows[2]["transaction_id"] == 'b,"1"'
    assert rows[2]["game_id"] == "größe"


async def test_ids_from_outside_are_no_formulas(account: Account) -> None:
    await account.apply(Bet, FORMULA, amount=5, round_key="@SUM(A1)", game_id="+1")
    _, _, rows = await account.statement(account.query())
    found = rows[2]
    assert found["transaction_id"] == f"'{FORMULA}"
    assert (found["round_id"], found["game_id"]) == ("'@SUM(A1)", "'+1")


@pytest.mark.parametrize(
    "dangerous",
    ["=1", "+1", "-1", "@a", "|a", "%a", " =1", "\t1", "\r1", "\n1", "\uff1d1", "\uff0b1", "'=1"],
)
def test_formula_is_told_as_text_and_can_be_read_back(dangerous: str) -> None:
    assert guarded(dangerous) == f"'{dangerous}"


@pytest.mark.parametrize(
    "harmless", ["", "a", "b-1", "1=2", "00000000-0000-7000-8000-000000000000"]
)
def test_other_text_is_told_as_it_is(harmless: str) -> None:
    assert guarded(harmless) == harmless


async def test_statement_that_does_not_add_up_has_no_last_line(
    account: Account, clock: ManualClock
) -> None:
    await account.play(3)
    database = Database(account.url, schema="wallet")
    async with database.transaction() as connection:
        # With the rights of whoever owns the database.
        off = (
            "DROP TRIGGER entry_refuses_update"
            if database.is_sqlite
            else "ALTER TABLE entry DISABLE TRIGGER USER"
        )
        await connection.execute(text(off))
        await connection.execute(
            text(
                "UPDATE entry SET balance_after = 1 WHERE account_version = 4"
                " AND account_id = (SELECT account_id FROM account WHERE bucket = 1)"
            )
        )
    await database.close()
    out = io.StringIO()
    with pytest.raises(ContradictionError):
        await write_statement(
            ReportingService(account.service.database, clock), account.query(), out
        )
    assert "closing" not in out.getvalue()


async def test_statement_of_nobody_and_of_nothing_is_refused(account: Account) -> None:
    with pytest.raises(PlayerNotFoundError):
        await account.statement(account.query(player_id=PlayerId(bytes(16))))
    with pytest.raises(AccountNotFoundError):
        await account.statement(account.query(currency_code="USD"))
    with pytest.raises(InvalidRequestError):
        await account.statement(account.query(start=2, end=1))


# The command.


async def ledger(*arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_command_writes_the_statement_to_a_file_and_overwrites_none(
    account: Account, tmp_path: Path
) -> None:
    await account.play(3)
    output = tmp_path / "statement.csv"
    day = account.begin.date()
    arguments = [
        "statement", "--player", unpack_id(PLAYER), "--currency", "EUR", "--database", account.url,
        "--from", day.isoformat(), "--to", (day + timedelta(days=1)).isoformat(),
        "--output", str(output),
    ]  # fmt: skip
    done = await ledger(*arguments)
    assert done.exit_code == 0, done.output
    assert "6 entries, from 0 to 970 minor units" in done.output
    _, expected, _ = await account.statement(account.query())
    assert output.read_bytes().decode().split("\r\n")[1:-2][1:] == expected.split("\r\n")[1:-2][1:]
    before = output.read_bytes()
    assert (await ledger(*arguments)).exit_code == 2
    assert output.read_bytes() == before
    assert output.stat().st_mode & 0o777 == 0o600


async def test_command_writes_no_file_for_an_account_that_is_not_there(
    account: Account, tmp_path: Path
) -> None:
    for changed in (["--currency", "USD"], ["--currency", "EUR", "--from", "yesterday"]):
        done = await ledger(
            "statement", "--player", unpack_id(PLAYER), *changed, "--database", account.url,
            "--output", str(tmp_path / "s.csv"),
        )  # fmt: skip
        assert done.exit_code == 2
    assert files_in(tmp_path) == []


async def test_command_writes_lines_of_the_rfc_to_standard_output(account: Account) -> None:
    done = await ledger(
        "statement", "--player", unpack_id(PLAYER), "--currency", "EUR", "--database", account.url,
        "--to", "2100-01-01",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout_bytes.count(b"\r\n") == 4
    assert done.stdout_bytes.split(b"\r\n")[0].decode() == ",".join(COLUMNS)
