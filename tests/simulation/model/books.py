"""What all operations share: keys, policies, money, limits and the life of bonuses."""

from collections import defaultdict
from itertools import count
from typing import Any

from services.wallet.domain import (
    BonusState,
    Bucket,
    HoldState,
    HouseKind,
    KeyScope,
    Kind,
    LimitKind,
    OpenWallet,
    Operation,
    Outcome,
    Policy,
    Restriction,
)
from tests.simulation.model.state import (
    BONUS,
    CASH,
    LOCKED,
    Bonus,
    Hold,
    Name,
    Player,
    Refusal,
    Stored,
    Wallet,
)


class Books:
    """Everybody's money, and every key."""

    def __init__(self) -> None:
        self.policies: dict[tuple[str, str], Policy] = {}
        self.players: dict[bytes, Player] = {}
        self.house: defaultdict[tuple[HouseKind, str], int] = defaultdict(int)
        self.stored: dict[Name, Stored] = {}
        self._undo: list[Stored] = []
        self._places = count(1)
        self._made: list[Name] = []

    def _policy(self, operation: Operation) -> Policy:
        key = operation.key
        return self.policies.get((key.tenant, key.source), Policy(policy_id=1))

    def name(self, operation: Operation, id_: str = "", kind: Kind | None = None) -> Name:
        """The key of an operation, or of one that it refers to, as far as it must be unique."""
        key = operation.key
        by_kind = self._policy(operation).key_scope is KeyScope.SOURCE_AND_KIND
        return (
            key.tenant,
            key.source,
            id_ or key.id,
            (kind or operation.KIND) if by_kind else None,
        )

    def _reference(self, operation: Any) -> Name:
        kind = getattr(operation, "reference_kind", None) or Kind.BET
        return self.name(operation, operation.reference, kind)

    def _player(self, operation: Operation) -> Player:
        player = self.players.get(operation.player_id)
        if player is None and isinstance(operation, OpenWallet):
            player = self.players[operation.player_id] = Player(operation.key.tenant)
        if player is None or player.tenant != operation.key.tenant:
            raise Refusal(Outcome.PLAYER_NOT_FOUND)
        currency = getattr(operation, "currency_code", None)
        if currency is not None and currency not in player.wallets:
            if not isinstance(operation, OpenWallet):
                raise Refusal(Outcome.ACCOUNT_NOT_FOUND)
            player.wallets[currency] = Wallet()
        return player

    def _available(self, operation: Operation, currency: str) -> tuple[int, int, int] | None:
        player = self.players.get(operation.player_id)
        if player is None or player.tenant != operation.key.tenant:
            return None
        wallet = player.wallets.get(currency)
        if wallet is None:
            return None
        return (wallet.available(CASH), wallet.available(BONUS), wallet.available(LOCKED))

    def _post(
        self, house: HouseKind, wallet: Wallet, currency: str, bucket: Bucket, by: int
    ) -> None:
        wallet.balance[bucket] += by
        self.house[house, currency] -= by

    def _refuse_beyond_limits(
        self, player: Player, currency: str, now: int, amounts: dict[LimitKind, int]
    ) -> None:
        for (_, kind, limited, _), limit in player.limits.items():
            amount, most = amounts.get(kind, 0), limit.most_at(now)
            if limited != currency or amount <= 0 or most is None:
                continue
            if limit.used_at(now) + amount > most:
                raise Refusal(Outcome.LIMIT_REACHED)

    def _count(
        self, player: Player, currency: str, it: Stored, amounts: dict[LimitKind, int]
    ) -> None:
        for (_, kind, limited, period), limit in player.limits.items():
            if limited == currency and amounts.get(kind):
                limit.count(amounts[kind], it.time, period, it.place)

    def _take_back(
        self, player: Player, currency: str, when: tuple[int, int], amounts: dict[LimitKind, int]
    ) -> None:
        counted, now = when
        for (_, kind, limited, _), limit in player.limits.items():
            if limited == currency and kind in amounts:
                limit.take_back(amounts[kind], counted, now)

    def _free(
        self, player: Player, hold: Hold, state: HoldState, now: int, freed: int | None = None
    ) -> None:
        """Ends a hold; what was not captured of a deposit no longer counts."""
        wallet, hold.state = player.wallets[hold.currency], state
        if not hold.incoming:
            wallet.reserved -= hold.amount
            return
        wallet.announced -= hold.amount
        unused = {LimitKind.DEPOSIT: hold.amount if freed is None else freed}
        self._take_back(player, hold.currency, (hold.place, now), unused)

    # The life of a bonus.

    def _end(self, player: Player, bonus: Bonus, state: BonusState) -> int:
        """Empties the bonus bucket: to cash if the bonus is released, else to the house."""
        wallet, left = player.wallets[bonus.currency], 0
        if bonus.state is BonusState.ACTIVE:
            left = wallet.available(BONUS)
            self._post(HouseKind.BONUS_COST, wallet, bonus.currency, BONUS, -left)
        if state is BonusState.RELEASED:
            self._post(HouseKind.BONUS_COST, wallet, bonus.currency, CASH, left)
        bonus.state = state
        return left

    def _activate(self, player: Player) -> None:
        """Lets the bonus that was granted first begin, where none counts."""
        for bonus in player.bonuses.values():
            waits = bonus.state is BonusState.QUEUED and player.active(bonus.currency) is None
            if waits and not player.may_not(Restriction.NO_BONUS):
                bonus.state = BonusState.ACTIVE
                wallet = player.wallets[bonus.currency]
                self._post(HouseKind.BONUS_COST, wallet, bonus.currency, BONUS, bonus.granted)

    def settle(self, player_id: bytes) -> None:
        """Turns bonuses that have been wagered into cash, and lets the next begin."""
        player = self.players.get(player_id)
        if player is None:
            return
        self._activate(player)
        for bonus in player.bonuses.values():
            if bonus.state is BonusState.ACTIVE and bonus.done >= bonus.required:
                self._end(player, bonus, BonusState.RELEASED)
                self._activate(player)
