"""Moves, corrections, bonuses and policies."""

from typing import Any

from services.wallet.domain import (
    Adjust,
    BonusState,
    ForfeitBonus,
    GrantBonus,
    HouseKind,
    Move,
    Outcome,
    Policy,
    Restriction,
    SetPolicy,
    WinShort,
)
from services.wallet.domain.policy import SWITCHES
from tests.simulation.model.books import Books
from tests.simulation.model.state import CASH, Bonus, Player, Refusal, Stored


class Office(Books):
    """What the back office does."""

    def _do_move(self, op: Move, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        if op.debit is not None and wallet.available(op.debit) < op.amount:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        for bucket, by in ((op.debit, -op.amount), (op.credit, op.amount)):
            if bucket is not None:
                self._post(HouseKind.FX, wallet, op.currency_code, bucket, by)

    def _do_adjust(self, op: Adjust, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        policy, room = self._policy(op), 0
        if op.chargeback and op.bucket is CASH and policy.rollback_win_short is WinShort.DEBT:
            room = policy.debt_limit
        if op.amount < 0 and wallet.available(op.bucket) + op.amount < -room:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        self._post(HouseKind.ADJUSTMENT, wallet, op.currency_code, op.bucket, op.amount)

    def _do_grant_bonus(self, op: GrantBonus, player: Player, it: Stored, new_id: bytes) -> None:
        it.amount = op.amount
        if player.may_not(Restriction.NO_BONUS):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        player.bonuses[new_id] = Bonus(
            op.currency_code,
            op.amount,
            op.wager_required,
            op.expire_time,
            op.max_bet,
            op.spend_order,
        )
        self._activate(player)

    def _do_set_policy(self, op: SetPolicy, player: Player, it: Stored, new_id: Any) -> None:
        judged = (op.key.tenant, op.source)
        before = self.policies.get(judged, Policy(policy_id=1))
        has_keys = op.source == op.key.source or any(name[:2] == judged for name in self.stored)
        if op.key_scope is not before.key_scope and has_keys:
            raise Refusal(Outcome.KEY_SCOPE_FIXED)
        switches = {name: getattr(op, name) for name in SWITCHES}
        self.policies[judged] = Policy(policy_id=1, **switches)

    def _do_forfeit_bonus(self, op: ForfeitBonus, player: Player, it: Stored, new_id: Any) -> None:
        bonus = player.bonuses.get(op.bonus_id)
        if bonus is None:
            elsewhere = any(op.bonus_id in other.bonuses for other in self.players.values())
            raise Refusal(Outcome.REFERENCE_MISMATCH if elsewhere else Outcome.BONUS_NOT_FOUND)
        it.currency = bonus.currency
        if bonus.state not in {BonusState.QUEUED, BonusState.ACTIVE}:
            raise Refusal(Outcome.BONUS_NOT_ACTIVE)
        it.amount = self._end(player, bonus, BonusState.FORFEITED)
