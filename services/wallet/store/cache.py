"""What a writer remembers between batches: rows that nobody else may change while it reigns.

A batch is planned on these very rows, so they are good only if it is committed. After anything
else they are forgotten and read again. The fence of the next batch proves that the reign lasts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.wallet.domain.book import Book, HouseName, Loaded
from services.wallet.domain.rows import Account, LimitCounter, Player, Row, Wallet
from services.wallet.domain.values import PlayerId

PLAYERS_MAX = 10_000


@dataclass(slots=True)
class _Remembered:
    player: Player
    wallets: dict[str, Wallet] = field(default_factory=dict)
    limits: list[LimitCounter] = field(default_factory=list)


class ShardCache:
    """House accounts, and the players that were seen last and have neither holds nor bonuses."""

    def __init__(self) -> None:
        self.houses: dict[HouseName, Account] | None = None
        self._players: dict[PlayerId, _Remembered] = {}

    def forget(self) -> None:
        """Drops everything."""
        self.houses = None
        self._players.clear()

    def fill(self, wanted: Iterable[PlayerId], loaded: Loaded) -> list[PlayerId]:
        """Adds what is remembered of players. Returns those who must be read."""
        missing = []
        for player_id in wanted:
            # Whoever is asked for moves to the end, so that the front is the longest unseen.
            found = self._players.pop(player_id, None)
            if found is None:
                missing.append(player_id)
                continue
            self._players[player_id] = found
            loaded.players[player_id] = found.player
            for currency_code, wallet in found.wallets.items():
                loaded.wallets[player_id, currency_code] = wallet
            if found.limits:
                loaded.limits[player_id] = found.limits
        return missing

    def remember(self, book: Book) -> None:
        """Keeps the rows of a batch that was committed."""
        if self.houses is not None:
            self.houses.update(book.houses)
        _mark_stored(book.houses.values())
        _mark_stored(book.players.values())
        elsewhere = {hold.player_id for hold in book.holds.values()}
        elsewhere.update(bonus.player_id for bonus in book.bonuses.values())
        for player_id, player in book.players.items():
            if player_id in elsewhere:
                self._players.pop(player_id, None)
            else:
                limits = book.limits.get(player_id, [])
                _mark_stored(limits)
                self._players[player_id] = _Remembered(player, {}, limits)
        for (player_id, currency_code), wallet in book.wallets.items():
            remembered = self._players.get(player_id)
            if remembered is not None:
                _mark_stored((wallet.cash, wallet.bonus, wallet.locked))
                remembered.wallets[currency_code] = wallet
        while len(self._players) > PLAYERS_MAX:
            del self._players[next(iter(self._players))]


def _mark_stored(rows: Iterable[Row]) -> None:
    for row in rows:
        row.stored_version = row.version
