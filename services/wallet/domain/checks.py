"""What must hold of every batch before it is written. A violation is a bug, and stops the shard."""

from collections import defaultdict

from services.wallet.domain.book import Book
from services.wallet.domain.rows import Account
from services.wallet.domain.values import COUNTER_MAX, HoldState


class InvariantViolationError(AssertionError):
    """A planned batch would break a promise of the ledger. Nothing of it may be written."""


def check_batch(book: Book) -> None:
    """Checks sums, floors, counters and holds of a planned batch.

    Raises:
        InvariantViolationError: Names the first promise that is broken.
    """
    _check_sums(book)
    for wallet in book.wallets.values():
        for account in (wallet.cash, wallet.bonus, wallet.locked):
            if account.version != account.stored_version:
                _check_account(account)
    for account in book.houses.values():
        _check_account(account)
    for hold in book.holds.values():
        resolved_rightly = (
            0 <= hold.posted_amount <= hold.amount
            if hold.state is HoldState.POSTED
            else hold.posted_amount == 0
        )
        if not resolved_rightly:
            raise InvariantViolationError(f"hold {hold.hold_id.hex()} posted {hold.posted_amount}")


def _check_sums(book: Book) -> None:
    posted: defaultdict[int, int] = defaultdict(int)
    pending: defaultdict[int, int] = defaultdict(int)
    for entry in book.entries:
        posted[entry.seq] += entry.credit_posted - entry.debit_posted
        pending[entry.seq] += entry.credit_pending - entry.debit_pending
    for sums, what in ((posted, "posted"), (pending, "pending")):
        for seq, total in sums.items():
            if total:
                raise InvariantViolationError(f"{what} entries of transfer {seq} sum to {total}")


def _check_account(account: Account) -> None:
    counters = (
        account.debits_posted,
        account.credits_posted,
        account.debits_pending,
        account.credits_pending,
    )
    if min(counters) < 0 or max(counters) > COUNTER_MAX:
        raise InvariantViolationError(f"account {account.account_id} has counters {counters}")
    if account.player_id is not None and account.available < account.floor:
        raise InvariantViolationError(
            f"account {account.account_id} has {account.available} below {account.floor}"
        )
