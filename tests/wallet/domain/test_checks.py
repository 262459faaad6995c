"""The promises that are checked before a batch is written, each broken once."""

from collections.abc import Callable

import pytest

from services.wallet.domain import (
    Entry,
    HoldDirection,
    HoldId,
    HoldState,
    HouseKind,
    Micros,
    PlayerId,
)
from services.wallet.domain.book import Book, Loaded, player_accounts
from services.wallet.domain.checks import InvariantViolationError, check_batch
from services.wallet.domain.policy import Policies
from services.wallet.domain.rows import Account, Hold, Player, Wallet
from services.wallet.domain.values import COUNTER_MAX

PLAYER = PlayerId(b"p" * 16)


def sound() -> Book:
    """A batch in which a player was given 100 by a house, and 40 of them are set aside."""
    player = Player(
        version=1, stored_version=1, player_id=PLAYER, tenant="t", shard=0, restrictions=0
    )
    wallet = Wallet(player, *player_accounts(player, "EUR", shard=0, seq=1))
    hold = Hold(
        version=1,
        stored_version=-1,
        hold_id=HoldId(b"h" * 16),
        shard=0,
        player_id=PLAYER,
        account_id=wallet.cash.account_id,
        source="psp",
        currency_code="EUR",
        direction=HoldDirection.OUT,
        amount=40,
        posted_amount=0,
        state=HoldState.PENDING,
        expire_time=None,
        create_time=Micros(0),
    )
    loaded = Loaded(wallets={(PLAYER, "EUR"): wallet}, holds={hold.hold_id: hold})
    book = Book(loaded, Policies([]), shard=0, next_seq=2, now=Micros(0))
    house = book.house(HouseKind.PSP, "psp", "EUR")
    house.debits_posted, house.credits_pending, house.version = 100, 40, 2
    cash = wallet.cash
    cash.credits_posted, cash.debits_pending, cash.version = 100, 40, 2
    book.entries += [
        Entry(0, 2, 0, house.account_id, 1, 100, 0, 0, 0, -100),
        Entry(0, 2, 1, cash.account_id, 1, 0, 100, 0, 0, 100),
        Entry(0, 3, 0, cash.account_id, 2, 0, 0, 40, 0, 100),
        Entry(0, 3, 1, house.account_id, 2, 0, 0, 0, 40, -100),
    ]
    return book


def account(book: Book, name: str) -> Account:
    if name == "house":
        return next(iter(book.houses.values()))
    found: Account = getattr(book.wallets[PLAYER, "EUR"], name)
    return found


def hold(book: Book) -> Hold:
    return next(iter(book.holds.values()))


def change_entry(book: Book, index: int, **values: int) -> None:
    book.entries[index] = book.entries[index]._replace(**values)


def change(book: Book, name: str, **values: int) -> None:
    """Changes an account by a transfer of this batch."""
    changed = account(book, name)
    changed.version += 1
    for column, value in values.items():
        setattr(changed, column, value)


def resolve(book: Book, state: HoldState, posted: int) -> None:
    hold(book).state, hold(book).posted_amount = state, posted


def test_a_sound_batch_is_let_through() -> None:
    check_batch(sound())


Break = Callable[[Book], None]
BROKEN: dict[str, tuple[Break, str]] = {
    "posted credit alone": (
        lambda book: change_entry(book, 1, credit_posted=101),
        "posted entries of transfer 2 sum to 1",
    ),
    "posted debit alone": (
        lambda book: change_entry(book, 0, debit_posted=101),
        "posted entries of transfer 2 sum to -1",
    ),
    "pending debit alone": (
        lambda book: change_entry(book, 2, debit_pending=41),
        "pending entries of transfer 3 sum to -1",
    ),
    "pending credit alone": (
        lambda book: change_entry(book, 3, credit_pending=41),
        "pending entries of transfer 3 sum to 1",
    ),
    "sums that are zero over two transfers only": (
        lambda book: change_entry(book, 1, seq=3),
        "posted entries of transfer 2 sum to -100",
    ),
    "a house counter below zero": (
        lambda book: change(book, "house", debits_pending=-1),
        "counters",
    ),
    "a house counter past its maximum": (
        lambda book: change(book, "house", credits_posted=COUNTER_MAX + 1),
        "counters",
    ),
    **{
        f"a player's {counter} below zero": (
            lambda book, counter=counter: change(book, "cash", **{counter: -1}),  # type: ignore[misc]
            "counters",
        )
        for counter in ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    },
    **{
        f"{name} below its floor": (
            lambda book, name=name: change(book, name, debits_posted=101),  # type: ignore[misc]
            "below 0",
        )
        for name in ("cash", "bonus", "locked")
    },
    "money set aside twice": (
        lambda book: change(book, "cash", debits_pending=101),
        "has -1 below 0",
    ),
    "debt beyond what a policy allows": (
        lambda book: change(book, "cash", debits_posted=101, debits_pending=0, floor=-0),
        "has -1 below 0",
    ),
    "more posted than was held": (
        lambda book: resolve(book, HoldState.POSTED, 41),
        "posted 41",
    ),
    "less than nothing posted": (
        lambda book: resolve(book, HoldState.POSTED, -1),
        "posted -1",
    ),
    **{
        f"something posted of a hold that is {state.name.lower()}": (
            lambda book, state=state: resolve(book, state, 1),  # type: ignore[misc]
            "posted 1",
        )
        for state in (HoldState.PENDING, HoldState.VOIDED, HoldState.EXPIRED)
    },
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_stops_the_batch_and_is_named(case: str) -> None:
    breaks, message = BROKEN[case]
    book = sound()
    breaks(book)
    with pytest.raises(InvariantViolationError, match=message):
        check_batch(book)


def test_what_a_batch_may_just_do_is_let_through() -> None:
    book = sound()
    change(book, "house", credits_posted=COUNTER_MAX)
    change(book, "cash", debits_posted=70, debits_pending=40, floor=-10)
    resolve(book, HoldState.POSTED, 40)
    check_batch(book)
    resolve(book, HoldState.POSTED, 0)
    check_batch(book)


def test_an_account_that_a_batch_leaves_alone_is_not_judged() -> None:
    """What was stored under an older rule must not halt those who come after it."""
    book = sound()
    bonus = account(book, "bonus")
    bonus.debits_posted, bonus.stored_version = 1, bonus.version
    check_batch(book)
