"""Keys, groups and the order of things: what happens to an operation from outside."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from services.kit.money import CURRENCIES, MINOR_UNITS_MAX
from services.wallet.domain import (
    Adjust,
    Bet,
    BonusState,
    HoldState,
    Operation,
    Outcome,
    Rollback,
    SetPolicy,
    Win,
)
from tests.simulation.model.games import Games
from tests.simulation.model.office import Office
from tests.simulation.model.payments import Payments
from tests.simulation.model.state import (
    INVALID,
    KEY_REUSED,
    NOT_CONTENT,
    Player,
    Refusal,
    Reply,
    Stored,
)


class Ledger(Payments, Games, Office):
    """Everybody's money, and every key."""

    def apply(self, operation: Operation, now: int, new_id: bytes | None = None) -> Reply:
        """Runs one operation. `new_id` names the hold or bonus that it may create."""
        if self.malformed(operation):
            return INVALID
        self.wake(operation.player_id, now)
        reply = self._one(operation, now, new_id)
        self.settle(operation.player_id)
        return reply

    def apply_group(
        self, operations: list[Operation], now: int, new_ids: Sequence[bytes | None] | None = None
    ) -> list[Reply]:
        """Runs linked operations: all, or none."""
        if self.malformed_group(operations):
            return [INVALID] * len(operations)
        player_id = operations[0].player_id
        ids = new_ids or [None] * len(operations)
        self.wake(player_id, now)
        player = self.players.get(player_id)
        before = None if player is None else player.copy(), self.house.copy()
        self._undo, self._made = [], []
        replies: list[Reply] = []
        for operation, new_id in zip(operations, ids, strict=True):
            replies.append(self._one(operation, now, new_id))
            if not replies[-1].success:
                break
        if replies[-1].success:
            self.settle(player_id)
            return replies
        failed, refused = len(replies) - 1, replies[-1]
        self._restore(player_id, *before)
        return [
            self._fail_leg(operation, now, refused if index == failed else None)
            for index, operation in enumerate(operations)
        ]

    def malformed(self, operation: Operation) -> bool:
        """Tells whether an operation is wrong whatever the ledger holds."""
        if not operation.key.id or operation.key.source == "wallet:rules":
            return True
        if getattr(operation, "currency_code", "EUR") not in CURRENCIES:
            return True
        amount = getattr(operation, "amount", None)
        least = 0 if isinstance(operation, Bet | Win) else 1
        if isinstance(operation, Adjust):
            amount = abs(operation.amount)
        if amount is not None and not least <= amount <= MINOR_UNITS_MAX:
            return True
        partial = isinstance(operation, Rollback) and operation.amount is not None
        return partial and not self._policy(operation).partial_rollback

    def malformed_group(self, operations: list[Operation]) -> bool:
        """Tells the same of linked operations."""
        owners = {(each.key.tenant, each.player_id) for each in operations}
        return len(owners) > 1 or any(map(self.malformed, operations))

    def wake(self, player_id: bytes, now: int) -> None:
        """Expires what is due, before anything else happens to the player."""
        player = self.players.get(player_id)
        if player is None:
            return
        for hold in player.holds.values():
            due = hold.expires is not None and hold.expires <= now
            if due and hold.state is HoldState.PENDING:
                self._free(player, hold, HoldState.EXPIRED, now)
        for bonus in player.bonuses.values():
            if bonus.state <= BonusState.ACTIVE and bonus.expires <= now:
                self._end(player, bonus, BonusState.EXPIRED)
        self._activate(player)

    # Keys.

    def _one(self, operation: Operation, now: int, new_id: bytes | None) -> Reply:
        known = self.stored.get(self.name(operation))
        if known is not None:
            if known.tombstone:
                return known.reply
            if content(known.operation) == content(operation):
                return dataclasses.replace(known.reply, replayed=True)
            return KEY_REUSED
        currency = getattr(operation, "currency_code", "")
        stored = Stored(operation, time=now, place=next(self._places), currency=currency)
        try:
            nobody = isinstance(operation, SetPolicy)
            player = Player(operation.key.tenant) if nobody else self._player(operation)
            getattr(self, "_do_" + operation.KIND.name.lower())(operation, player, stored, new_id)
        except Refusal as refusal:
            stored.outcome = refusal.outcome
            stored.shares, stored.progress, stored.shortfall = (0, 0), 0, 0
        self._keep(stored)
        return stored.reply

    def _keep(self, stored: Stored) -> None:
        operation = stored.operation
        bars = isinstance(operation, Rollback) and self._bars(operation, stored)
        stored.reply = Reply(
            stored.outcome,
            available=self._available(operation, stored.currency),
            amount=stored.amount,
            shortfall=stored.shortfall,
            currency=stored.currency,
        )
        self.stored[self.name(operation)] = stored
        self._made.append(self.name(operation))
        if bars:
            self._bar(operation, stored)

    def _bars(self, operation: Rollback, stored: Stored) -> bool:
        """Tells whether a rollback must bar an original that nobody has seen."""
        unknown = (Outcome.NOTHING_TO_REVERSE, Outcome.REFERENCE_NOT_FOUND)
        reference = self._reference(operation)
        return (
            stored.outcome in unknown
            and reference not in self.stored
            and reference != self.name(operation)
        )

    def _bar(self, operation: Operation, cause: Stored) -> None:
        name = self._reference(operation)
        # Whoever comes late under this key may be another player: no balance is told.
        reply = dataclasses.replace(
            cause.reply, outcome=Outcome.TOMBSTONED, amount=0, available=None
        )
        self.stored[name] = Stored(
            operation, tombstone=True, reply=reply, currency=cause.currency, time=cause.time
        )
        self._made.append(name)

    # Groups.

    def _fail_leg(self, operation: Operation, now: int, refused: Reply | None) -> Reply:
        name = self.name(operation)
        if name in self.stored or (refused is not None and refused.outcome is None):
            return self._one(operation, now, None)
        currency = getattr(operation, "currency_code", "")
        stored = Stored(
            operation,
            time=now,
            place=next(self._places),
            currency=currency,
            outcome=Outcome.LINKED_FAILED,
        )
        if refused is not None and refused.outcome is not None:
            stored.outcome, stored.currency = refused.outcome, refused.currency
        self._keep(stored)
        return stored.reply

    def _restore(
        self, player_id: bytes, player: Player | None, house: defaultdict[Any, int]
    ) -> None:
        self.house = house
        for stored in reversed(self._undo):
            self.stored[self.name(stored.operation)] = stored
        for name in self._made:
            self.stored.pop(name, None)
        if player is None:
            self.players.pop(player_id, None)
        else:
            self.players[player_id] = player


def content(operation: Operation) -> tuple[Any, ...]:
    """What makes two operations under one key the same."""
    return (
        operation.KIND,
        *(
            getattr(operation, each.name)
            for each in dataclasses.fields(operation)
            if each.name not in NOT_CONTENT
        ),
    )
