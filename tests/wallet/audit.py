"""Recomputes a ledger from its history, by means of its own, and compares.

Tests of the ledger end with it. `services/wallet/verify.py` proves a ledger for its operators, and
is itself under test; this knows nothing of it, nor of the planner. The two share only how a row is
read and how a batch is sealed, so that a promise which one of them misreads shows in the other.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from services.kit.database import Database
from services.wallet.domain.chain import GENESIS, seal
from services.wallet.domain.rows import Entry, Transfer
from services.wallet.store import decode
from services.wallet.tables import (
    ACCOUNT,
    BATCH,
    BONUS,
    ENTRY,
    HOLD,
    LIMIT_COUNTER,
    ROUND,
    SHARD,
    TRANSFER,
)


class Audit:
    """All rows of a ledger, read once."""

    def __init__(self, rows: dict[str, list[Any]]) -> None:
        self.rows = rows
        self.transfers: list[Transfer] = [decode.transfer_of(row) for row in rows["transfer"]]
        self.entries: list[Entry] = [decode.entry_of(row) for row in rows["entry"]]

    @classmethod
    async def read(cls, url: str) -> "Audit":
        database = Database(url, schema="wallet")
        tables = (ACCOUNT, BATCH, BONUS, ENTRY, HOLD, LIMIT_COUNTER, ROUND, SHARD, TRANSFER)
        async with database.snapshot() as connection:
            rows = {
                table.name: list(
                    (await connection.execute(select(table).order_by(*table.primary_key))).all()
                )
                for table in tables
            }
        await database.close()
        return cls(rows)

    def check(self) -> None:
        self._check_seqs()
        self._check_sums()
        self._check_accounts()
        self._check_chain()
        self._check_rounds()
        self._check_wagering()
        self._check_holds()

    def _check_seqs(self) -> None:
        [shard] = self.rows["shard"]
        assert [each.seq for each in self.transfers] == list(range(1, shard.last_seq + 1))
        keys = {(each.tenant, each.source, each.key) for each in self.transfers}
        assert len(keys) == len(self.transfers)

    def _check_sums(self) -> None:
        posted: defaultdict[tuple[int, Any], int] = defaultdict(int)
        pending: defaultdict[tuple[int, Any], int] = defaultdict(int)
        currencies = {row.account_id: row.currency_code for row in self.rows["account"]}
        for entry in self.entries:
            name = (entry.seq, currencies[entry.account_id])
            posted[name] += entry.credit_posted - entry.debit_posted
            pending[name] += entry.credit_pending - entry.debit_pending
        assert not any(posted.values())
        assert not any(pending.values())
        by_seq = {each.seq: each for each in self.transfers}
        assert all(by_seq[entry.seq].outcome.posted for entry in self.entries)

    def _check_accounts(self) -> None:
        """Balances are rebuilt from entries alone."""
        history: defaultdict[int, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            history[entry.account_id].append(entry)
        assert set(history) <= {row.account_id for row in self.rows["account"]}
        for row in self.rows["account"]:
            legs = sorted(history[row.account_id], key=lambda each: each.account_version)
            assert [each.account_version for each in legs] == list(range(1, row.version + 1))
            assert (
                sum(each.debit_posted for each in legs),
                sum(each.credit_posted for each in legs),
                sum(each.debit_pending for each in legs),
                sum(each.credit_pending for each in legs),
            ) == (row.debits_posted, row.credits_posted, row.debits_pending, row.credits_pending)
            balance = 0
            for leg in legs:
                balance += leg.credit_posted - leg.debit_posted
                assert leg.balance_after == balance
            if row.player_id is not None:
                assert balance - row.debits_pending >= row.floor

    def _check_chain(self) -> None:
        head = GENESIS
        for number, row in enumerate(self.rows["batch"], start=1):
            inside = range(row.first_seq, row.last_seq + 1)
            sealed = seal(
                shard=row.shard,
                batch_no=number,
                epoch=row.epoch,
                transfers=[each for each in self.transfers if each.seq in inside],
                entries=[each for each in self.entries if each.seq in inside],
                prev_hash=head,
            )
            assert tuple(sealed) == tuple(row)
            head = sealed.hash
        [shard] = self.rows["shard"]
        assert shard.last_batch == len(self.rows["batch"])
        assert shard.head_hash == head

    def _check_rounds(self) -> None:
        stakes: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        kinds = {each.seq: each.kind.name for each in self.transfers}
        rounds = {each.seq: each.round_id for each in self.transfers}
        for each in self.transfers:
            if each.round_id is None or not each.outcome.posted:
                continue
            cash, bonus = each.amount - each.bonus_amount, each.bonus_amount
            name, sign = each.kind.name, 1
            if name == "ROLLBACK" and each.original_seq is not None:
                if rounds[each.original_seq] != each.round_id:
                    # A round that the request named, and its original did not.
                    continue
                name, sign = kinds[each.original_seq], -1
            if name == "BET":
                stakes[each.round_id][0] += sign * cash
                stakes[each.round_id][1] += sign * bonus
            elif name == "WIN":
                stakes[each.round_id][2] += sign * cash
                stakes[each.round_id][3] += sign * bonus
        for row in self.rows["round"]:
            found = [row.staked_cash, row.staked_bonus, row.won_cash, row.won_bonus]
            assert found == stakes[row.round_id]

    def _check_wagering(self) -> None:
        progress: defaultdict[Any, int] = defaultdict(int)
        for each in self.transfers:
            progress[each.bonus_id] += each.wager_delta
        for row in self.rows["bonus"]:
            assert row.wager_done == progress[row.bonus_id]

    def _check_holds(self) -> None:
        resolutions: defaultdict[Any, int] = defaultdict(int)
        for each in self.transfers:
            if each.outcome.posted and each.kind.name in {"CAPTURE", "RELEASE", "EXPIRE_HOLD"}:
                resolutions[each.hold_id] += 1
        for row in self.rows["hold"]:
            assert resolutions[row.hold_id] == (1 if row.state else 0)
