"""From which bucket a stake is taken, and to which one money returns."""

from dataclasses import dataclass

from services.wallet.domain.book import Book, Leg
from services.wallet.domain.rows import Account, Bonus, Wallet
from services.wallet.domain.values import BonusId, BonusState, HouseKind, SpendOrder


@dataclass(frozen=True, slots=True)
class Split:
    """An amount, divided between the buckets."""

    cash: int
    bonus: int

    @property
    def total(self) -> int:
        """The whole amount."""
        return self.cash + self.bonus


def split_stake(wallet: Wallet, amount: int, *, order: SpendOrder, split: bool) -> Split:
    """Divides a stake; what cannot be covered is left to the second bucket.

    Args:
        wallet: The player's accounts.
        amount: The stake.
        order: Which bucket comes first.
        split: Whether both may share; if not, the first that covers the stake pays it whole.
    """
    cash, bonus = max(wallet.cash.available, 0), max(wallet.bonus.available, 0)
    cash_first = order is SpendOrder.CASH_FIRST
    first, second = (cash, bonus) if cash_first else (bonus, cash)
    taken = min(first, amount)
    if not split:
        taken = 0 if first < amount <= second else amount
    return Split(taken, amount - taken) if cash_first else Split(amount - taken, taken)


def covers(wallet: Wallet, split: Split) -> bool:
    """Tells whether the player can pay both parts."""
    return (split.cash == 0 or wallet.cash.available >= split.cash) and (
        split.bonus == 0 or wallet.bonus.available >= split.bonus
    )


def in_proportion(amount: int, stakes: Split) -> Split:
    """Divides an amount as the stakes were; the bonus's part is rounded down."""
    if stakes.total <= 0:
        return Split(amount, 0)
    bonus = amount * stakes.bonus // stakes.total
    return Split(amount - bonus, bonus)


def bonus_place(book: Book, wallet: Wallet, bonus_id: BonusId | None) -> Account:
    """Tells where money of a bonus lies: it follows what has become of the bonus.

    Money of the bonus bucket that belongs to no bonus stays in the bucket.
    """
    bonus: Bonus | None = book.bonuses.get(bonus_id) if bonus_id is not None else None
    if bonus is None or bonus.state is BonusState.ACTIVE:
        return wallet.bonus
    if bonus.state is BonusState.RELEASED:
        return wallet.cash
    return book.house(HouseKind.BONUS_COST, bonus.source, bonus.currency_code)


def legs_for(
    book: Book, wallet: Wallet, parts: Split, bonus_id: BonusId | None, *, credit: bool
) -> list[Leg]:
    """Makes the player's legs for a divided amount; parts that meet in one account are one leg."""
    sums: dict[int, Leg] = {}
    places = [(wallet.cash, parts.cash)]
    if parts.bonus:
        places.append((bonus_place(book, wallet, bonus_id), parts.bonus))
    for account, amount in places:
        leg = sums.setdefault(account.account_id, Leg(account))
        if credit:
            leg.credit += amount
        else:
            leg.debit += amount
    return list(sums.values())
