"""Deposits, withdrawals, and what a player may do."""

from typing import Any

from services.wallet.domain import (
    Capture,
    Deposit,
    HoldDeposit,
    HoldState,
    HouseKind,
    IfRefused,
    LimitKind,
    OpenWallet,
    Outcome,
    Release,
    Restriction,
    SetLimit,
    SetRestriction,
    Withdraw,
)
from tests.simulation.model.books import Books
from tests.simulation.model.state import CASH, LOCKED, Hold, Limit, Player, Refusal, Stored


class Payments(Books):
    """Wallets, restrictions, limits, deposits and withdrawals."""

    def _do_open_wallet(self, op: OpenWallet, player: Player, it: Stored, new_id: Any) -> None:
        """The wallet was opened on the way here."""

    def _do_set_restriction(
        self, op: SetRestriction, player: Player, it: Stored, new_id: Any
    ) -> None:
        player.restrictions[op.scope] = op.restrictions

    def _do_set_limit(self, op: SetLimit, player: Player, it: Stored, new_id: Any) -> None:
        name = (op.scope, op.limit_kind, op.currency_code, op.period)
        limit = player.limits.setdefault(name, Limit())
        if op.start_time is None or op.start_time <= it.time:
            limit.most, limit.next_most, limit.next_time = op.max_amount, None, None
        else:
            limit.most = limit.most_at(it.time)
            limit.next_most, limit.next_time = op.max_amount, op.start_time

    def _do_deposit(self, op: Deposit, player: Player, it: Stored, new_id: Any) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        bucket = CASH
        try:
            self._admit_deposit(player, op, it)
        except Refusal:
            if op.if_refused is IfRefused.REFUSE:
                raise
            bucket, it.outcome = LOCKED, Outcome.APPLIED_LOCKED
        self._post(HouseKind.PSP, wallet, op.currency_code, bucket, op.amount)

    def _admit_deposit(self, player: Player, op: Deposit | HoldDeposit, it: Stored) -> None:
        if player.may_not(Restriction.NO_DEPOSIT):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        amounts = {LimitKind.DEPOSIT: op.amount}
        self._refuse_beyond_limits(player, op.currency_code, it.time, amounts)
        self._count(player, op.currency_code, it, amounts)

    def _do_hold_deposit(self, op: HoldDeposit, player: Player, it: Stored, new_id: bytes) -> None:
        it.amount = op.amount
        self._admit_deposit(player, op, it)
        player.wallets[op.currency_code].announced += op.amount
        player.holds[new_id] = Hold(op.currency_code, True, op.amount, it.place, op.expire_time)

    def _do_withdraw(self, op: Withdraw, player: Player, it: Stored, new_id: bytes) -> None:
        wallet, it.amount = player.wallets[op.currency_code], op.amount
        if player.may_not(Restriction.NO_WITHDRAW):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        if wallet.available(CASH) < op.amount:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        wallet.reserved += op.amount
        player.holds[new_id] = Hold(op.currency_code, False, op.amount, it.place, None)

    def _pending(self, op: Capture | Release, player: Player, it: Stored) -> Hold:
        hold = player.holds.get(op.hold_id)
        if hold is None:
            elsewhere = any(op.hold_id in other.holds for other in self.players.values())
            raise Refusal(Outcome.REFERENCE_MISMATCH if elsewhere else Outcome.HOLD_NOT_FOUND)
        it.currency = hold.currency
        refused = {
            HoldState.POSTED: Outcome.HOLD_ALREADY_POSTED,
            HoldState.VOIDED: Outcome.HOLD_ALREADY_VOIDED,
            HoldState.EXPIRED: Outcome.HOLD_EXPIRED,
        }.get(hold.state)
        if refused is not None:
            raise Refusal(refused)
        return hold

    def _do_capture(self, op: Capture, player: Player, it: Stored, new_id: Any) -> None:
        it.amount = op.amount or 0
        hold = self._pending(op, player, it)
        it.amount = amount = hold.amount if op.amount is None else op.amount
        if amount > hold.amount:
            raise Refusal(Outcome.CAPTURE_TOO_LARGE)
        wallet, bucket = player.wallets[hold.currency], CASH
        freed = hold.amount - amount
        if hold.incoming and player.may_not(Restriction.NO_DEPOSIT):
            bucket, it.outcome = LOCKED, Outcome.APPLIED_LOCKED
        self._free(player, hold, HoldState.POSTED, it.time, freed)
        hold.posted = amount
        signed = amount if hold.incoming else -amount
        self._post(HouseKind.PSP, wallet, hold.currency, bucket, signed)

    def _do_release(self, op: Release, player: Player, it: Stored, new_id: Any) -> None:
        hold = self._pending(op, player, it)
        it.amount = hold.amount
        self._free(player, hold, HoldState.VOIDED, it.time)
