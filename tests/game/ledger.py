"""Random traffic as the ledger would log it, and what rounds it makes, counted another way."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from croupier.event.v1.event_pb2 import Event
from croupier.wallet.v1 import wallet_pb2

from tests.factories.game import OTHER_PLAYER_ID, PLAYER_ID
from tests.game.doubles import MemoryLog

START = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
BET, WIN = wallet_pb2.TRANSFER_KIND_BET, wallet_pb2.TRANSFER_KIND_WIN
ROLLBACK = wallet_pb2.TRANSFER_KIND_ROLLBACK
CLOSE_ROUND = wallet_pb2.TRANSFER_KIND_CLOSE_ROUND


@dataclass(slots=True)
class Told:
    """What one round must look like."""

    live_bets: dict[int, int] = field(default_factory=dict)
    live_wins: dict[int, int] = field(default_factory=dict)
    bets: int = 0
    closed: bool = False
    first_seq: int = 0

    @property
    def state(self) -> str:
        if self.bets and not self.live_bets:
            return "STATE_CANCELLED"
        return "STATE_COMPLETE" if self.closed else "STATE_IN_PROGRESS"

    def summary(self) -> tuple[str, int, int, int]:
        staked, won = sum(self.live_bets.values()), sum(self.live_wins.values())
        return self.state, staked, won, self.bets


class Traffic:
    """Fills a log with what two players of two providers do, from a seed."""

    def __init__(self, log: MemoryLog, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)  # noqa: S311 (traffic, not a secret)
        self.rounds: dict[tuple[str, str, str], Told] = {}

    def run(self, count: int) -> None:
        while self._log.last_seq < count:
            getattr(
                self, self._random.choice(("_bet", "_bet", "_win", "_back", "_close", "_noise"))
            )()

    def listed(self, player_id: str) -> list[tuple[str, str, str, int, int, int]]:
        """Returns what a player's list of rounds must show, newest first."""
        mine = [(key, told) for key, told in self.rounds.items() if key[1] == player_id]
        mine.sort(key=lambda each: -each[1].first_seq)
        return [(key[0], key[2], *told.summary()) for key, told in mine]

    def _bet(self) -> None:
        key = self._key()
        told = self.rounds.get(key)
        if told is not None and told.closed:
            self._append(key, BET, wallet_pb2.OUTCOME_ROUND_CLOSED, closed=True)
            return
        amount = self._random.choice((0, 100, 250))
        told, seq = self._touch(key)
        told.bets += 1
        told.live_bets[seq] = amount
        told.closed = self._random.random() < 0.1
        self._append(key, BET, cash=-amount, closed=told.closed)

    def _win(self) -> None:
        key = self._key()
        told, seq = self._touch(key)
        cash, bonus = self._random.choice(((0, 0), (70, 0), (500, 25)))
        told.live_wins[seq] = cash + bonus
        late = wallet_pb2.OUTCOME_APPLIED_LATE if told.closed else wallet_pb2.OUTCOME_APPLIED
        told.closed = told.closed or self._random.random() < 0.2
        self._append(key, WIN, late, cash=cash, bonus=bonus, closed=told.closed)

    def _back(self) -> None:
        kind, live = self._random.choice(((BET, "live_bets"), (WIN, "live_wins")))
        candidates = [
            (key, seq) for key, told in self.rounds.items() for seq in getattr(told, live)
        ]
        if not candidates:
            return
        key, seq = self._random.choice(candidates[-50:])
        told = self.rounds[key]
        amount = getattr(told, live).pop(seq)
        self._append(
            key, ROLLBACK, cash=amount if kind == BET else -amount, closed=told.closed,
            original=(kind, seq),
        )  # fmt: skip

    def _close(self) -> None:
        key = self._key()
        known = self.rounds.get(key)
        if known is not None and known.closed:
            self._append(key, CLOSE_ROUND, wallet_pb2.OUTCOME_ALREADY_CLOSED, closed=True)
            return
        told, _ = self._touch(key)
        told.closed = True
        self._append(key, CLOSE_ROUND, closed=True)

    def _noise(self) -> None:
        """What no round is made of: refusals, rollbacks of nothing and other kinds of transfer."""
        key = self._key()
        told = self.rounds.get(key)
        closed = told is not None and told.closed
        choice = self._random.randrange(3)
        if choice == 0:
            self._append(key, BET, wallet_pb2.OUTCOME_INSUFFICIENT_FUNDS, closed=closed)
        elif choice == 1:
            self._append(key, ROLLBACK, wallet_pb2.OUTCOME_NOTHING_TO_REVERSE, closed=closed)
        else:
            self._append((key[0], key[1], ""), wallet_pb2.TRANSFER_KIND_DEPOSIT, cash=1000)

    def _key(self) -> tuple[str, str, str]:
        newest = len(self.rounds) // 3
        return (
            self._random.choice(("acme", "bolt")),
            self._random.choice((PLAYER_ID, OTHER_PLAYER_ID)),
            f"r-{max(newest - self._random.randrange(4), 0)}",
        )

    def _touch(self, key: tuple[str, str, str]) -> tuple[Told, int]:
        seq = self._log.last_seq + 1
        return self.rounds.setdefault(key, Told(first_seq=seq)), seq

    def _append(
        self,
        key: tuple[str, str, str],
        kind: wallet_pb2.TransferKind.ValueType,
        outcome: wallet_pb2.Outcome.ValueType = wallet_pb2.OUTCOME_APPLIED,
        *,
        cash: int = 0,
        bonus: int = 0,
        closed: bool = False,
        original: tuple[wallet_pb2.TransferKind.ValueType, int] | None = None,
    ) -> None:
        source, player_id, round_id = key
        seq = self._log.last_seq + 1
        transfer = wallet_pb2.Transfer(
            kind=kind,
            player_id=player_id,
            game_id="plinko",
            round_id=round_id,
            cash_change_minor_units=cash,
            bonus_change_minor_units=bonus,
        )
        if original is not None:
            transfer.original_kind, transfer.original_seq = original
        result = transfer.result
        result.source, result.transaction_id, result.seq = source, f"t-{seq}", seq
        result.outcome, result.currency_code = outcome, "EUR"
        result.round_state = (
            wallet_pb2.ROUND_STATE_CLOSED if closed else wallet_pb2.ROUND_STATE_OPEN
        )
        result.create_time.FromDatetime(START + timedelta(milliseconds=seq))
        self._log.append(Event(transfer_recorded=transfer))
