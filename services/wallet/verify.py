"""Proves a ledger: the audit chain, the promises that history keeps, and the rows that cache it.

It reads what is committed, in pages, and may run beside the writer. `rebuild` makes the caches
what history says; for that the writer must be stopped.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from services.kit.database import Database
from services.wallet.domain.chain import GENESIS, seal
from services.wallet.domain.history import Finding, History, available
from services.wallet.domain.limit_history import Columns, Identity
from services.wallet.domain.rows import Transfer
from services.wallet.domain.values import Bucket
from services.wallet.store.auditing import Auditing, Caches, Correction, Sealed, correct_caches

_PAGE_BATCHES = 64
FINDINGS_MAX = 1_000
"""After so many findings a ledger is known to be broken, and the audit ends."""

# What the history of an older version does not say. A row cannot be made anew without it.
_NEEDED = {"round": "round_key", "hold": "expire_time"}
# What an account has that nobody ever used: nothing of these.
_USED = (
    "version",
    "floor",
    "debits_posted",
    "credits_posted",
    "debits_pending",
    "credits_pending",
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of the chain that was noted elsewhere: what shows that a tail was cut off."""

    batch_no: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit has come.

    Attributes:
        transfers: How many have been checked.
        of: How many there were when it began.
        head: The head of the chain so far.
    """

    transfers: int
    of: int
    head: Anchor


class Audit:
    """One pass over a shard.

    Attributes:
        history: What history comes to; complete once `run` has ended.
        caches: The rows that should say the same.
    """

    def __init__(self, database: Database, *, shard: int = 0) -> None:
        self._auditing = Auditing(database, shard=shard)
        self._shard = shard
        self._head = Anchor(0, GENESIS)
        self._last_epoch = 0
        self.history = History(shard)
        self.caches: Caches | None = None

    async def run(self, anchors: Sequence[Anchor] = ()) -> AsyncIterator[Progress | Finding]:
        """Checks everything, and yields what it finds and how far it is."""
        self.caches = caches = await self._auditing.read_caches()
        if caches is None:
            yield Finding("shard", f"shard {self._shard}", "does not exist")
            return
        found = 0
        last_batch, last_seq = caches.shard["last_batch"], caches.shard["last_seq"]
        anchored = {each.batch_no: each for each in anchors}
        try:
            async for sealed in self._auditing.follow(last_batch=last_batch, page=_PAGE_BATCHES):
                for finding in (*self._check_batch(sealed), *self._check_anchor(anchored)):
                    found += 1
                    yield finding
                if found > FINDINGS_MAX:
                    return
                yield Progress(self.history.last_seq, last_seq, self._head)
        except (LookupError, TypeError, ValueError) as error:
            # Rows that nobody ever wrote: a kind, an outcome or a detail that does not exist.
            place = f"after batch {self._head.batch_no}"
            yield Finding("history", place, f"cannot be understood: {error!r}")
            return
        for finding in (
            *self._check_end(caches, anchored),
            *compare(self.history, caches),
        ):
            yield finding

    def _check_batch(self, sealed: Sealed) -> Iterator[Finding]:
        batch, place = sealed.batch, f"batch {sealed.batch.batch_no}"
        if batch.batch_no != self._head.batch_no + 1:
            yield Finding("chain", place, f"follows batch {self._head.batch_no}")
        if batch.prev_hash != self._head.hash:
            yield Finding("chain", place, "does not continue the batch before it")
        if batch.epoch < self._last_epoch:
            yield Finding("chain", place, f"is of an epoch before {self._last_epoch}")
        if batch.first_seq != self.history.last_seq + 1:
            yield Finding("seq", place, f"begins at {batch.first_seq}")
        if sealed.transfers:
            again = seal(
                shard=batch.shard,
                batch_no=batch.batch_no,
                epoch=batch.epoch,
                transfers=sealed.transfers,
                entries=sealed.entries,
                prev_hash=batch.prev_hash,
            )
            if again != batch:
                yield Finding("chain", place, "is not what was sealed")
        else:
            yield Finding("chain", place, "has no transfers")
        self._last_epoch = batch.epoch
        self._head = Anchor(batch.batch_no, batch.hash)
        known = len(self.history.findings)
        entries = iter(sealed.entries)
        entry = next(entries, None)
        for transfer in sealed.transfers:
            legs = []
            while entry is not None and entry.seq <= transfer.seq:
                if entry.seq == transfer.seq:
                    legs.append(entry)
                else:
                    yield Finding("chain", f"entry of transfer {entry.seq}", "has no transfer")
                entry = next(entries, None)
            yield from self._check_judge(transfer)
            self.history.add(transfer, legs)
        yield from self.history.findings[known:]

    def _check_judge(self, transfer: Transfer) -> Iterator[Finding]:
        """Checks that a transfer was judged by what its source's policy was then."""
        judge = self.history.policy_id_of(transfer.tenant, transfer.source)
        if transfer.policy_id != judge:
            message = f"names policy {transfer.policy_id}, and {judge} was in force"
            yield Finding("judge", f"transfer {transfer.seq}", message)

    def _check_anchor(self, anchored: dict[int, Anchor]) -> Iterator[Finding]:
        expected = anchored.pop(self._head.batch_no, None)
        if expected is not None and expected.hash != self._head.hash:
            place = f"batch {self._head.batch_no}"
            yield Finding("anchor", place, "is not the one that was anchored")

    def _check_end(self, caches: Caches, anchored: dict[int, Anchor]) -> Iterator[Finding]:
        shard, place = caches.shard, f"shard {self._shard}"
        if shard["last_seq"] != self.history.last_seq:
            message = f"ends at {self.history.last_seq}, not {shard['last_seq']}"
            yield Finding("seq", place, message)
        if (shard["last_batch"], shard["head_hash"]) != (self._head.batch_no, self._head.hash):
            yield Finding("chain", place, f"its head is not batch {self._head.batch_no}")
        if shard["epoch"] < self._last_epoch:
            yield Finding("chain", place, f"is in an epoch before {self._last_epoch}")
        expected = {
            "transfer": shard["last_seq"],
            "batch": shard["last_batch"],
        }
        for table, last in expected.items():
            if caches.ends[table] != last:
                message = f"reaches to {caches.ends[table]}, and its shard to {last}"
                yield Finding("chain", table, message)
        if caches.ends["entry"] > shard["last_seq"]:
            yield Finding("chain", "entry", f"has a row of transfer {caches.ends['entry']}")
        for batch_no in sorted(anchored):
            yield Finding("anchor", f"batch {batch_no}", "was anchored and is gone")


def compare(history: History, caches: Caches) -> Iterator[Finding]:
    """Compares the rows that cache history with what it comes to."""
    for table, expected in history.tables.items():
        stored = caches.tables[table]
        for identity, columns in expected.items():
            row = stored.get(identity)
            if row is None:
                yield Finding(table, _place(table, identity), "is gone")
                continue
            for name, value in columns.items():
                if row[name] != value:
                    message = f"{name} is {_told(row[name])}, and history says {_told(value)}"
                    yield Finding(table, _place(table, identity), message)
        for identity in _strangers(history, caches, table):
            yield Finding(table, _place(table, identity), "has no history")
    yield from _compare_accounts(caches, debt_max=history.debt_max)


def _compare_accounts(caches: Caches, *, debt_max: int) -> Iterator[Finding]:
    """Checks what holds for accounts whatever history says."""
    sums: dict[str, int] = {}
    for identity, row in caches.tables["account"].items():
        place = _place("account", identity)
        balance = row["credits_posted"] - row["debits_posted"]
        sums[row["currency_code"]] = sums.get(row["currency_code"], 0) + balance
        if row["player_id"] is None:
            continue
        if available(row) < row["floor"]:
            yield Finding(
                "floor", place, f"has {available(row)}, below its floor of {row['floor']}"
            )
        lowest = -debt_max if row["bucket"] == Bucket.CASH else 0
        if not lowest <= row["floor"] <= 0:
            yield Finding("floor", place, f"has a floor of {row['floor']}, which no policy grants")
    for currency_code, difference in sums.items():
        if difference:
            message = f"players are owed {difference} more than the house has booked"
            yield Finding("liability", f"currency {currency_code}", message)


async def rebuild(database: Database, *, shard: int = 0) -> AsyncIterator[Progress | Finding | int]:
    """Makes the rows that cache history what history says.

    Yields progress and findings; at the end the number of rows that were corrected. Nothing is
    corrected if history itself is in doubt: what is wrong there no sum can repair.
    """
    audit, doubts = Audit(database, shard=shard), 0
    tables = set(audit.history.tables)
    async for event in audit.run():
        if isinstance(event, Finding):
            if event.check not in {*tables, "floor", "liability"}:
                doubts += 1
            yield event
        else:
            yield event
    if doubts or audit.caches is None:
        return
    corrections = list(_corrections(audit.history, audit.caches))
    lacking = [each for each in corrections if each.missing and not _is_whole(each)]
    for each in lacking:
        message = f"cannot be made anew: history does not hold its {_NEEDED[each.table]}"
        yield Finding("rebuild", _place(each.table, each.identity), message)
    done = await correct_caches(
        database,
        shard=shard,
        as_of=audit.caches.shard["last_batch"],
        corrections=[each for each in corrections if each not in lacking],
    )
    if not done:
        yield Finding("rebuild", f"shard {shard}", "has grown meanwhile: stop its writer")
        return
    yield len(corrections) - len(lacking)


def _corrections(history: History, caches: Caches) -> Iterator[Correction]:
    for table, expected in history.tables.items():
        stored = caches.tables[table]
        for identity, columns in expected.items():
            row = stored.get(identity)
            if row is None:
                # A floor that a debt has lowered is as low as the account is now.
                extra: Columns = (
                    {"floor": min(available(columns), 0) if columns["player_id"] else 0}
                    if table == "account"
                    else {}
                )
                yield Correction(table, identity, {**columns, **extra}, missing=True)
                continue
            wrong = {name: value for name, value in columns.items() if row[name] != value}
            if wrong:
                yield Correction(table, identity, wrong)
        for identity in _strangers(history, caches, table):
            yield Correction(table, identity, None)


def _is_whole(correction: Correction) -> bool:
    needed = _NEEDED.get(correction.table)
    return needed is None or needed in (correction.columns or {})


def _strangers(history: History, caches: Caches, table: str) -> list[Identity]:
    """Lists rows of which history knows nothing."""
    stored, expected = caches.tables[table], history.tables[table]
    return [
        identity
        for identity, row in stored.items()
        if identity not in expected and not (table == "account" and _is_unused(row))
    ]


def _is_unused(row: Columns) -> bool:
    """Tells whether a row is a house account that a refused operation made, and nobody used."""
    return row["player_id"] is None and not any(row[name] for name in _USED)


def _place(table: str, identity: Identity) -> str:
    return f"{table} {' '.join(map(_told, identity))}"


def _told(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
