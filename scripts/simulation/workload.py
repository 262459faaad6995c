"""Traffic from a seed: players who play, providers who retry, and callers who get it wrong."""

import dataclasses
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from services.kit.money import MINOR_UNITS_MAX
from services.wallet.domain import (
    Adjust,
    Answer,
    Bet,
    BonusId,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    Group,
    HoldDeposit,
    HoldId,
    IfRefused,
    Key,
    KeyScope,
    Kind,
    LimitKind,
    Micros,
    Move,
    OpenWallet,
    Operation,
    Period,
    PlayerId,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetPolicy,
    SetRestriction,
    SpendOrder,
    Stance,
    Win,
    WinShort,
    Withdraw,
)
from tests.simulation.world import DAY, HOUR, SCOPES, SOURCES, TENANT

Unit = Operation | Group

_RECENT_MAX = 400
_SOURCES = ("studio", "studio", "studio", "strict", "sports")
_LIMIT_TIMES = (None, -HOUR, HOUR, 2 * DAY)


class Workload:
    """Invents what callers send. Equal seeds and equal answers make equal traffic."""

    def __init__(self, chance: random.Random, *, players: int) -> None:
        self.random = chance
        self.players = [PlayerId(number.to_bytes(16, "big")) for number in range(1, players + 1)]
        self._count = 0
        self._sent: deque[Unit] = deque(maxlen=_RECENT_MAX)
        self._plays: deque[Bet | Win] = deque(maxlen=_RECENT_MAX)
        self._holds: deque[tuple[PlayerId, HoldId]] = deque(maxlen=100)
        self._bonuses: deque[tuple[PlayerId, BonusId]] = deque(maxlen=50)
        self._makers: dict[Callable[[PlayerId, Micros], Unit], int] = {
            self._bet: 34,
            self._win: 14,
            self._bet_win: 6,
            self._round_trip: 4,
            self._rollback: 9,
            self._rollback_of_unknown: 2,
            self._close: 3,
            self._deposit: 9,
            self._hold: 4,
            self._withdraw: 4,
            self._resolve: 6,
            self._grant: 3,
            self._forfeit: 1,
            self._limit: 2,
            self._restrict: 1,
            self._move: 2,
            self._exchange: 1,
            self._adjust: 2,
            self._open: 1,
            self._policy: 1,
        }

    def openings(self) -> list[Unit]:
        """Opens all wallets, and gives everybody something to play with."""
        units: list[Unit] = []
        for player_id in self.players:
            for currency in ("EUR", "BTC") if self._rarely(0.3) else ("EUR",):
                fields = self._fields(player_id, "player", currency)
                units.append(OpenWallet(**fields))
                fields = self._fields(player_id, "psp", currency)
                units.append(Deposit(amount=self.random.randint(50, 600), **fields))
        # A first key of each source: from then on the scope of its keys is fixed.
        for source in SOURCES:
            fields = self._fields(self.players[0], source, "EUR")
            units.append(CloseRound(round_key="table-0", **fields))
        return units

    def next(self, now: Micros) -> Unit:
        """Invents what one caller sends next."""
        draw = self.random.random()
        if draw < 0.12 and self._sent:  # noqa: PLR2004 (the share of retries)
            return self.random.choice(self._sent)
        if draw < 0.15 and self._sent:  # noqa: PLR2004 (the share of keys that are used twice)
            mutated = self._mutated(now)
            if mutated is not None:
                return mutated
        unit = self._invent(now)
        self._sent.append(unit)
        for operation in operations_of(unit):
            if isinstance(operation, Bet | Win):
                self._plays.append(operation)
        return unit

    def learn(self, player_id: PlayerId, answer: Answer) -> None:
        """Notes the ids that an answer brought."""
        result = answer.result
        if result.hold_id is not None and result.kind in {Kind.HOLD_DEPOSIT, Kind.WITHDRAW}:
            self._holds.append((player_id, result.hold_id))
        if result.bonus_id is not None and result.kind is Kind.GRANT_BONUS:
            self._bonuses.append((player_id, result.bonus_id))

    def _invent(self, now: Micros) -> Unit:
        makers = self._makers
        [make] = self.random.choices(list(makers), list(makers.values()))
        return make(self.random.choice(self.players), now)

    def _mutated(self, now: Micros) -> Operation | None:
        """Takes a key that was sent, with an amount or a whole content of another operation."""
        sent = self.random.choice(self._sent)
        if isinstance(sent, Group):
            return None
        if isinstance(sent, Rollback):
            return dataclasses.replace(sent, reference=sent.reference + "x")
        if isinstance(sent, Bet | Win | Deposit | Withdraw) and self._rarely(0.6):
            return dataclasses.replace(sent, amount=sent.amount + 1)
        other = self._invent(now)
        return None if isinstance(other, Group) else dataclasses.replace(other, key=sent.key)

    # Parts.

    def _fields(self, player_id: PlayerId, source: str, currency: str = "") -> dict[str, Any]:
        self._count += 1
        key = Key(TENANT, source, f"{source}-{self._count}")
        fields: dict[str, Any] = {"key": key, "player_id": player_id}
        if currency:
            fields["currency_code"] = currency
        return fields

    def _money(self, player_id: PlayerId, source: str) -> dict[str, Any]:
        currency = self.random.choice(["EUR"] * 30 + ["BTC", "BTC", "USD"])
        return self._fields(player_id, source, currency)

    def _amount(self) -> int:
        if self._rarely(0.01):
            return MINOR_UNITS_MAX
        return self.random.choice([0, 1, 7, 10, 33, 100, self.random.randint(1, 400)])

    def _some(self) -> int:
        return max(self._amount(), 1)

    def _source(self) -> str:
        return self.random.choice(_SOURCES)

    def _round(self) -> str:
        rounds = ["", "table-1", "table-2", f"r{self._count}", f"r{self._count // 4}"]
        return self.random.choice(rounds)

    def _rarely(self, share: float) -> bool:
        return self.random.random() < share

    def _play(self) -> Bet | Win | None:
        return self.random.choice(self._plays) if self._plays else None

    # Games.

    def _bet(self, player_id: PlayerId, now: Micros, source: str = "") -> Operation:
        del now
        return Bet(
            amount=self._amount(),
            round_key=self._round(),
            game_id=self.random.choice(["", "slots"]),
            close_round=self._rarely(0.1),
            wager_weight=self.random.choice([10_000, 10_000, 3_333, 0]),
            **self._money(player_id, source or self._source()),
        )

    def _win(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        played = self._play()
        if not isinstance(played, Bet) or self._rarely(0.1):
            played = None
        if played is None:
            fields = self._money(player_id, self._source())
            reference = self.random.choice(["", "", "never"])
            return Win(
                amount=self._amount(), round_key=self._round(), reference=reference, **fields
            )
        return Win(
            amount=self._amount(),
            round_key=played.round_key,
            reference=self.random.choice(["", played.key.id]),
            game_id=played.game_id,
            close_round=self._rarely(0.3),
            **self._fields(played.player_id, played.key.source, played.currency_code),
        )

    def _bet_win(self, player_id: PlayerId, now: Micros) -> Unit:
        """A bet and its win in one, as some protocols have it."""
        bet = self._bet(player_id, now)
        if not isinstance(bet, Bet):
            raise TypeError(bet)
        win = Win(
            amount=self._amount(),
            round_key=bet.round_key,
            reference=bet.key.id,
            close_round=True,
            **self._fields(player_id, bet.key.source, bet.currency_code),
        )
        return Group((bet, win))

    def _round_trip(self, player_id: PlayerId, now: Micros) -> Unit:
        """Linked operations of any kind, at times with one that was sent before."""
        legs = [self._bet(player_id, now), self._deposit(player_id, now)]
        legs += [self._rollback(player_id, now), self._withdraw(player_id, now)]
        self.random.shuffle(legs)
        legs = legs[: self.random.randint(1, 4)]
        legs = [dataclasses.replace(leg, player_id=player_id) for leg in legs]
        older = self.random.choice(self._sent) if self._sent else None
        if isinstance(older, Operation) and self._rarely(0.3):
            legs.insert(0, older)
            legs = [dataclasses.replace(leg, player_id=older.player_id) for leg in legs]
        return Group(tuple(legs))

    def _rollback(self, player_id: PlayerId, now: Micros) -> Operation:
        played = self._play()
        if played is None:
            return self._rollback_of_unknown(player_id, now)
        source = played.key.source
        # Only bets and wins of this source may be taken back in parts.
        part = self.random.randint(1, 50) if source == "sports" and self._rarely(0.5) else None
        return Rollback(
            reference=played.key.id,
            reference_kind=self.random.choice([None, played.KIND]),
            amount=part,
            round_key=played.round_key,
            close_round=self._rarely(0.1),
            **self._fields(played.player_id, source, played.currency_code),
        )

    def _rollback_of_unknown(self, player_id: PlayerId, now: Micros) -> Operation:
        """A rollback that overtakes its bet: the bet may still come."""
        late = self._bet(player_id, now)
        if not isinstance(late, Bet):
            raise TypeError(late)
        self._sent.append(late)
        fields = self._fields(player_id, late.key.source, late.currency_code)
        if self._rarely(0.3):
            # Some providers roll back under the id of what they take back.
            fields["key"] = late.key
        return Rollback(reference=late.key.id, round_key=late.round_key, **fields)

    def _close(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        return CloseRound(
            round_key=self._round() or "table-1", **self._money(player_id, self._source())
        )

    # Payments.

    def _deposit(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        refused, amount = self.random.choice(list(IfRefused)), self.random.randint(1, 120)
        return Deposit(amount=amount, if_refused=refused, **self._money(player_id, "psp"))

    def _hold(self, player_id: PlayerId, now: Micros) -> Operation:
        due = self.random.choice([None, Micros(now + HOUR), Micros(now + DAY)])
        return HoldDeposit(amount=self._some(), expire_time=due, **self._money(player_id, "psp"))

    def _withdraw(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        # At times most of what there is, so that what is taken back later is short.
        amount = self.random.choice([self._some(), self.random.randint(100, 1_500)])
        return Withdraw(amount=amount, **self._money(player_id, "psp"))

    def _resolve(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        hold_id = HoldId(bytes(16))
        if self._holds and not self._rarely(0.05):
            owner, hold_id = self.random.choice(self._holds)
            player_id = player_id if self._rarely(0.05) else owner
        fields = self._fields(player_id, "psp")
        if self._rarely(0.4):
            return Release(hold_id=hold_id, **fields)
        return Capture(hold_id=hold_id, amount=self.random.choice([None, self._some()]), **fields)

    # The back office.

    def _grant(self, player_id: PlayerId, now: Micros) -> Operation:
        amount = self.random.randint(1, 200)
        return GrantBonus(
            amount=amount,
            wager_required=self.random.choice([0, amount, amount * 5]),
            expire_time=Micros(now + self.random.choice([HOUR, DAY, 30 * DAY])),
            max_bet=self.random.choice([None, None, 50]),
            spend_order=self.random.choice([None, *SpendOrder]),
            **self._money(player_id, "office"),
        )

    def _forfeit(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        bonus_id = BonusId(bytes(16))
        if self._bonuses and not self._rarely(0.1):
            player_id, bonus_id = self.random.choice(self._bonuses)
        return ForfeitBonus(bonus_id=bonus_id, **self._fields(player_id, "office"))

    def _limit(self, player_id: PlayerId, now: Micros) -> Operation:
        later = self.random.choice(_LIMIT_TIMES)
        return SetLimit(
            scope=self.random.choice(list(Scope)),
            limit_kind=self.random.choice(list(LimitKind)),
            period=self.random.choice(list(Period)),
            max_amount=self.random.choice([None, 0, 100, 1_000, 10_000]),
            start_time=None if later is None else Micros(now + later),
            **self._money(player_id, "player"),
        )

    def _restrict(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        some = [Restriction.NO_BET, Restriction.SELF_EXCLUDED, Restriction.FROZEN]
        return SetRestriction(
            scope=self.random.choice(list(Scope)),
            restrictions=self.random.choice([Restriction.NONE] * 20 + some),
            **self._fields(player_id, "player"),
        )

    def _move(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        debit, credit = self.random.sample(list(Bucket), 2)
        fields = self._money(player_id, "office")
        return Move(
            amount=self._some(), debit=debit, credit=credit, reason="r", actor="a", **fields
        )

    def _exchange(self, player_id: PlayerId, now: Micros) -> Unit:
        """Two linked moves through the house's exchange account."""
        del now
        sold, bought = self.random.randint(1, 100), self.random.randint(1, 100)
        texts: dict[str, Any] = {"reason": "exchange", "actor": "a"}
        euros = self._fields(player_id, "office", "EUR")
        coins = self._fields(player_id, "office", "BTC")
        return Group(
            (
                Move(amount=sold, debit=Bucket.CASH, credit=None, **texts, **euros),
                Move(amount=bought, debit=None, credit=Bucket.CASH, **texts, **coins),
            )
        )

    def _adjust(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        return Adjust(
            amount=self.random.choice([-1, 1]) * self._some(),
            bucket=self.random.choice(list(Bucket)),
            reason="r",
            actor="a",
            approver="b",
            chargeback=self._rarely(0.5),
            **self._money(player_id, self.random.choice(["office", "sports"])),
        )

    def _open(self, player_id: PlayerId, now: Micros) -> Operation:
        del now
        return OpenWallet(**self._money(player_id, "player"))

    def _policy(self, player_id: PlayerId, now: Micros) -> Operation:
        """A source is judged otherwise from now on; at times its keys should name other things."""
        del player_id, now
        source, short = self.random.choice(SOURCES), self.random.choice(list(WinShort))
        scope = SCOPES.get(source, KeyScope.SOURCE)
        if self._rarely(0.1):
            [scope] = set(KeyScope) - {scope}
        self._count += 1
        return SetPolicy(
            key=Key(TENANT, "office", f"policy-{self._count}"),
            source=source,
            rollback_unknown=self.random.choice(list(Stance)),
            rollback_win_short=short,
            debt_limit=self.random.randint(1, 100) if short is WinShort.DEBT else 0,
            rollback_settled_bet=self.random.choice(list(Stance)),
            win_without_reference=self.random.choice(list(Stance)),
            win_after_close=self.random.choice(list(Stance)),
            spend_order=self.random.choice(list(SpendOrder)),
            split_stake=self._rarely(0.5),
            # Elsewhere nobody sends parts.
            partial_rollback=source == "sports" and not self._rarely(0.2),
            key_scope=scope,
            reason="r",
            actor="a",
        )


def operations_of(unit: Unit) -> tuple[Operation, ...]:
    """Lists the operations of a unit."""
    return unit.operations if isinstance(unit, Group) else (unit,)
