"""Bets, wins, rollbacks and rounds."""

import copy
from typing import Any

from services.wallet.domain import (
    Bet,
    BonusState,
    Bucket,
    CloseRound,
    HouseKind,
    Kind,
    LimitKind,
    Outcome,
    Restriction,
    Rollback,
    SpendOrder,
    Stance,
    Win,
    WinShort,
)
from tests.simulation.model.books import Books
from tests.simulation.model.state import BONUS, CASH, SUCCESSES, Player, Refusal, Round, Stored


class Games(Books):
    """What providers send."""

    def _round(self, op: Any, player: Player, key: str = "") -> Round | None:
        """The round that an operation names, if it is known."""
        known = player.rounds.get((op.key.source, key or op.round_key))
        if known is not None and known.currency != op.currency_code:
            raise Refusal(Outcome.REFERENCE_MISMATCH)
        return known

    def _round_for(self, op: Any, player: Player, it: Stored) -> Round | None:
        """The round that an operation takes part in, opened if need be."""
        if not op.round_key:
            return None
        it.round = (op.key.source, op.round_key)
        played = player.rounds.setdefault(it.round, Round(op.currency_code))
        played.closed = played.closed or getattr(op, "close_round", True)
        return played

    def _split(self, op: Bet, player: Player, known: Round | None) -> tuple[int, int, bool]:
        """What a stake takes from cash and from bonus, and whether that is all of it."""
        wallet, active = player.wallets[op.currency_code], player.active(op.currency_code)
        active_id = active[0] if active is not None else None
        if known is not None and known.staked[1] and known.bonus_id != active_id:
            # The money of two bonuses never meets in one round.
            return op.amount, 0, op.amount <= max(wallet.available(CASH), 0)
        policy = self._policy(op)
        order = policy.spend_order
        if active is not None and active[1].order is not None:
            order = active[1].order
        room = {bucket: max(wallet.available(bucket), 0) for bucket in (CASH, BONUS)}
        first, second = (CASH, BONUS) if order is SpendOrder.CASH_FIRST else (BONUS, CASH)
        # What nobody can pay is asked of the second.
        taken = {first: min(room[first], op.amount)}
        if not policy.split_stake:
            taken[first] = 0 if room[first] < op.amount <= room[second] else op.amount
        taken[second] = op.amount - taken[first]
        enough = all(taken[bucket] <= room[bucket] for bucket in taken)
        return taken[CASH], taken[BONUS], enough

    def _do_bet(self, op: Bet, player: Player, it: Stored, new_id: Any) -> None:
        it.amount = op.amount
        if player.may_not(Restriction.NO_BET):
            raise Refusal(Outcome.PLAYER_RESTRICTED)
        known = self._round(op, player)
        if known is not None and known.closed:
            raise Refusal(Outcome.ROUND_CLOSED)
        cash, bonus, enough = self._split(op, player, known)
        amounts = {LimitKind.WAGER: op.amount, LimitKind.LOSS: cash}
        self._refuse_beyond_limits(player, op.currency_code, it.time, amounts)
        active = player.active(op.currency_code)
        most = active[1].max_bet if active is not None else None
        if most is not None and bonus and op.amount > most:
            raise Refusal(Outcome.BONUS_MAX_BET)
        if not enough:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        wallet, it.shares = player.wallets[op.currency_code], (cash, bonus)
        self._post(HouseKind.GAME, wallet, op.currency_code, CASH, -cash)
        self._post(HouseKind.GAME, wallet, op.currency_code, BONUS, -bonus)
        self._count(player, op.currency_code, it, amounts)
        if active is not None:
            it.bonus_id, it.progress = active[0], op.amount * op.wager_weight // 10_000
            active[1].done += it.progress
        played = self._round_for(op, player, it)
        if played is not None:
            played.staked = (played.staked[0] + cash, played.staked[1] + bonus)
            if bonus:
                played.bonus_id = it.bonus_id

    def _original(self, op: Win | Rollback) -> Stored | None:
        """What an operation refers to, if it is of the same player, kind and currency."""
        original = self.stored.get(self._reference(op))
        if original is None:
            return None
        other = original.operation
        kinds = {Kind.BET} if isinstance(op, Win) else {Kind.BET, Kind.WIN}
        if isinstance(op, Rollback) and op.reference_kind is not None:
            kinds = {op.reference_kind}
        same = other.player_id == op.player_id and original.currency == op.currency_code
        if not same or not (original.tombstone or other.KIND in kinds):
            raise Refusal(Outcome.REFERENCE_MISMATCH)
        return original

    def _do_win(self, op: Win, player: Player, it: Stored, new_id: Any) -> None:
        policy, it.amount = self._policy(op), op.amount
        bet = self._original(op) if op.reference else None
        if bet is None and (op.reference or policy.win_without_reference is Stance.REFUSE):
            raise Refusal(Outcome.REFERENCE_NOT_FOUND)
        if bet is not None and bet.outcome not in SUCCESSES:
            raise Refusal(Outcome.REFERENCE_REFUSED)
        if bet is not None and (bet.tombstone or bet.gone):
            raise Refusal(Outcome.REFERENCE_REVERSED)
        known = self._round(op, player)
        if known is not None and known.closed:
            if policy.win_after_close is Stance.REFUSE:
                raise Refusal(Outcome.ROUND_CLOSED)
            it.outcome = Outcome.APPLIED_LATE
        shares: tuple[int, int] = (0, 0)
        if known is not None and any(known.staked):
            shares, it.bonus_id = known.staked, known.bonus_id
        elif bet is not None:
            shares, it.bonus_id = bet.left, bet.bonus_id
        bonus = op.amount * shares[1] // sum(shares) if sum(shares) else 0
        cash = op.amount - bonus
        it.shares = (cash, bonus)
        wallet = player.wallets[op.currency_code]
        self._post(HouseKind.GAME, wallet, op.currency_code, CASH, cash)
        self._post_bonus_share(player, op.currency_code, it.bonus_id, bonus)
        # A win makes up for losses of the window that is open, and opens none.
        when = (it.place, it.time)
        self._take_back(player, op.currency_code, when, {LimitKind.LOSS: cash})
        played = self._round_for(op, player, it)
        if played is not None:
            played.won = (played.won[0] + cash, played.won[1] + bonus)
            played.wins += 1

    def _place(self, player: Player, bonus_id: bytes | None) -> Bucket | None:
        """Where money of a bonus is now; None is back with the house."""
        state = player.bonuses[bonus_id].state if bonus_id is not None else BonusState.ACTIVE
        if state is BonusState.RELEASED:
            return CASH
        return BONUS if state is BonusState.ACTIVE else None

    def _post_bonus_share(
        self, player: Player, currency: str, bonus_id: bytes | None, amount: int
    ) -> None:
        place = self._place(player, bonus_id) if amount else BONUS
        if place is not None:
            self._post(HouseKind.GAME, player.wallets[currency], currency, place, amount)
        else:
            self.house[HouseKind.GAME, currency] -= amount
            self.house[HouseKind.BONUS_COST, currency] += amount

    def _do_rollback(self, op: Rollback, player: Player, it: Stored, new_id: Any) -> None:
        policy = self._policy(op)
        it.amount = op.amount or 0
        original = self._original(op)
        if original is None:
            if policy.rollback_unknown is Stance.REFUSE:
                raise Refusal(Outcome.REFERENCE_NOT_FOUND)
            it.outcome = Outcome.NOTHING_TO_REVERSE
        elif original.tombstone or original.gone:
            it.outcome = Outcome.ALREADY_REVERSED
        elif original.outcome not in SUCCESSES:
            it.outcome = Outcome.NOTHING_TO_REVERSE
        else:
            self._reverse(op, player, it, original)
        if op.close_round:
            self._close_after(op, player, original if it.outcome.posted else None)

    def _close_after(self, op: Rollback, player: Player, original: Stored | None) -> None:
        """Closes the round of what was reversed, else the round that the rollback names."""
        name = original.round if original is not None else None
        name = name or ((op.key.source, op.round_key) if op.round_key else None)
        if name is None:
            return
        played = player.rounds.setdefault(name, Round(op.currency_code))
        if played.currency == op.currency_code:
            played.closed = True

    def _reverse(self, op: Rollback, player: Player, it: Stored, original: Stored) -> None:
        is_bet = original.operation.KIND is Kind.BET
        played = player.rounds.get(original.round) if original.round is not None else None
        settled = is_bet and played is not None and (played.closed or played.wins > 0)
        policy = self._policy(op)
        if settled and policy.rollback_settled_bet is Stance.REFUSE:
            raise Refusal(Outcome.REFERENCE_SETTLED)
        left = original.left
        it.amount = amount = sum(left) if op.amount is None else op.amount
        if amount > sum(left):
            raise Refusal(Outcome.OVER_REVERSED)
        bonus = share(left[1], amount, sum(left))
        progress = share(original.progress - original.undone, amount, sum(left))
        cash = amount - bonus
        when = (original.place, it.time)
        if is_bet:
            wallet = player.wallets[op.currency_code]
            self._post(HouseKind.GAME, wallet, op.currency_code, CASH, cash)
            self._post_bonus_share(player, op.currency_code, original.bonus_id, bonus)
            undone = {LimitKind.WAGER: amount, LimitKind.LOSS: cash}
        else:
            self._claw_back(op, player, it, original.bonus_id, (cash, bonus))
            undone = {LimitKind.LOSS: -cash}
        self._take_back(player, op.currency_code, when, undone)
        if played is not None and is_bet:
            played.staked = (played.staked[0] - cash, played.staked[1] - bonus)
        elif played is not None:
            played.won = (played.won[0] - cash, played.won[1] - bonus)
        self._undo.append(copy.copy(original))
        original.reversed = (original.reversed[0] + cash, original.reversed[1] + bonus)
        original.reversals += 1
        marked = player.bonuses.get(original.bonus_id) if original.bonus_id is not None else None
        if is_bet and marked is not None and marked.state is BonusState.ACTIVE:
            marked.done -= progress
            original.undone += progress

    def _claw_back(
        self,
        op: Rollback,
        player: Player,
        it: Stored,
        bonus_id: bytes | None,
        shares: tuple[int, int],
    ) -> None:
        """Takes a win from where it went, as far as it is there still."""
        policy, currency = self._policy(op), op.currency_code
        wallet = player.wallets[currency]
        want = {CASH: shares[0], BONUS: 0}
        place = self._place(player, bonus_id)
        if place is not None:
            want[place] += shares[1]
        in_debt = policy.rollback_win_short is WinShort.DEBT
        room = {CASH: policy.debt_limit if in_debt else 0, BONUS: 0}
        took = {
            bucket: min(want[bucket], max(wallet.available(bucket) + room[bucket], 0))
            for bucket in (CASH, BONUS)
        }
        it.shortfall = sum(want.values()) - sum(took.values())
        if it.shortfall and policy.rollback_win_short is WinShort.REFUSE:
            raise Refusal(Outcome.INSUFFICIENT_FUNDS)
        for bucket in (CASH, BONUS):
            self._post(HouseKind.GAME, wallet, currency, bucket, -took[bucket])
        if place is None:
            self.house[HouseKind.GAME, currency] += shares[1]
            self.house[HouseKind.BONUS_COST, currency] -= shares[1]
        if it.shortfall:
            it.outcome = Outcome.APPLIED_CLAMPED
            self.house[HouseKind.GAME, currency] += it.shortfall
            self.house[HouseKind.ROLLBACK_LOSS, currency] -= it.shortfall

    def _do_close_round(self, op: CloseRound, player: Player, it: Stored, new_id: Any) -> None:
        known = self._round(op, player)
        if known is not None and known.closed:
            it.outcome = Outcome.ALREADY_CLOSED
        self._round_for(op, player, it)


def share(part: int, amount: int, whole: int) -> int:
    """How much of a part falls on an amount of the whole, rounded down."""
    return part * amount // whole if whole else 0
