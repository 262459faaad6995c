"""A ledger in memory: plans on real rows, and keeps them as a database would.

The decision tests read like a bank statement with it; the rules under test are the planner's own.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from services.wallet.domain import (
    Answer,
    Bet,
    Bucket,
    CloseRound,
    Deposit,
    HoldDeposit,
    Key,
    Micros,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Policy,
    Result,
    Reused,
    Rollback,
    Win,
    Withdraw,
)
from services.wallet.domain.book import Book, Loaded
from services.wallet.domain.chain import GENESIS, seal
from services.wallet.domain.checks import check_batch
from services.wallet.domain.planner import Planner, Unit, submission_of
from services.wallet.domain.policy import Policies
from services.wallet.domain.rows import Entry, Transfer, Wallet

PLAYER = PlayerId(bytes(15) + b"\x01")
OTHER = PlayerId(bytes(15) + b"\x02")
START = Micros(1_790_000_000_000_000)
HOUR = 3_600_000_000
DAY = 24 * HOUR


class Passbook:
    """Player 1 with an open wallet in EUR, and whatever the test does next."""

    def __init__(self, *, opened: bool = True, **switches: Any) -> None:
        self.policy = Policy(policy_id=2, source="studio", tenant="t", **switches)
        self.policies = Policies([self.policy])
        self.now = START
        self.loaded = Loaded()
        self.next_seq = 1
        self.transfers: list[Transfer] = []
        self.entries: list[Entry] = []
        self.hash = GENESIS
        self._ids: Iterator[int] = count(1)
        if opened:
            self.apply(OpenWallet(key=self.key(), player_id=PLAYER, currency_code="EUR"))

    # Doing.

    def batch(self, *units: Unit) -> list[list[Answer | Reused]]:
        """Plans units as one batch, checks it and keeps it."""
        book = Book(self.loaded, self.policies, shard=0, next_seq=self.next_seq, now=self.now)
        planner = Planner(book)
        answers = [planner.plan(unit) for unit in units]
        check_batch(book)
        self._keep(book)
        return answers

    def submit(self, operation: Operation) -> Answer | Reused:
        """Runs one operation in a batch of its own."""
        return self.batch(Unit((submission_of(operation, self.policies),)))[0][0]

    def answer(self, operation: Operation) -> Answer:
        """Runs one operation whose key is free or its own."""
        answer = self.submit(operation)
        assert isinstance(answer, Answer), answer
        return answer

    def reused(self, operation: Operation) -> tuple[str, ...]:
        """Runs one operation whose key is another's, and returns the fields that differ."""
        answer = self.submit(operation)
        assert isinstance(answer, Reused), answer
        return answer.fields

    def apply(self, operation: Operation) -> Result:
        """Runs one operation and returns its result, refused or not."""
        return self.answer(operation).result

    def group(self, *operations: Operation) -> list[Answer | Reused]:
        """Runs operations as a linked group."""
        return self.batch(self.linked(*operations))[0]

    def linked(self, *operations: Operation) -> Unit:
        """Makes a linked group."""
        return Unit(tuple(submission_of(each, self.policies) for each in operations), linked=True)

    def wake(self, player_id: PlayerId = PLAYER) -> None:
        """Brings an idle player up to date, as the sweeper does."""
        self.batch(Unit((), wake=player_id))

    # Operations with a fresh key of the game's source.

    def key(self, id_: str | None = None, source: str = "studio") -> Key:
        return Key("t", source, id_ if id_ is not None else f"auto-{next(self._ids)}")

    def _fields(self, values: dict[str, Any]) -> dict[str, Any]:
        source = values.pop("source", "studio")
        key = self.key(values.pop("id", None), source)
        return {"key": key, "player_id": PLAYER, "currency_code": "EUR"} | values

    def bet(self, amount: int, **values: Any) -> Bet:
        return Bet(amount=amount, **self._fields(values))

    def win(self, amount: int, **values: Any) -> Win:
        return Win(amount=amount, **self._fields(values))

    def rollback(self, reference: str, **values: Any) -> Rollback:
        return Rollback(reference=reference, **self._fields(values))

    def close(self, round_key: str, **values: Any) -> CloseRound:
        return CloseRound(round_key=round_key, **self._fields(values))

    def deposit(self, amount: int, **values: Any) -> Deposit:
        return Deposit(amount=amount, **self._fields({"source": "psp"} | values))

    def hold_deposit(self, amount: int, **values: Any) -> HoldDeposit:
        return HoldDeposit(amount=amount, **self._fields({"source": "psp"} | values))

    def withdraw(self, amount: int, **values: Any) -> Withdraw:
        return Withdraw(amount=amount, **self._fields({"source": "psp"} | values))

    def give(self, amount: int) -> None:
        """Deposits, and insists that it worked."""
        assert self.apply(self.deposit(amount)).outcome is Outcome.APPLIED

    # Looking.

    def wallet(self, player_id: PlayerId = PLAYER, currency_code: str = "EUR") -> Wallet:
        return self.loaded.wallets[player_id, currency_code]

    def available(self, bucket: Bucket = Bucket.CASH) -> int:
        return self.wallet().account(bucket).available

    @property
    def cash(self) -> int:
        return self.available(Bucket.CASH)

    @property
    def bonus(self) -> int:
        return self.available(Bucket.BONUS)

    @property
    def locked(self) -> int:
        return self.available(Bucket.LOCKED)

    def house(self) -> dict[str, int]:
        """Returns the balance of each house account that moved, by kind."""
        return {
            kind.name.lower(): account.balance
            for (kind, _, _), account in self.loaded.houses.items()
            if account.version
        }

    def _keep(self, book: Book) -> None:
        self.policies = book.policies
        self.loaded.houses.update(book.houses)
        rows: list[Any] = [*book.players.values(), *book.rounds.values(), *book.holds.values()]
        rows += [*book.bonuses.values(), *book.houses.values()]
        rows += [counter for counters in book.limits.values() for counter in counters]
        for wallet in book.wallets.values():
            rows += [wallet.cash, wallet.bonus, wallet.locked]
        for row in rows:
            row.stored_version = row.version
        self.next_seq = book.next_seq
        self.transfers += book.transfers
        self.entries += book.entries
        if book.transfers:
            self.hash = seal(
                shard=0,
                batch_no=1,
                epoch=1,
                transfers=book.transfers,
                entries=book.entries,
                prev_hash=self.hash,
            ).hash
