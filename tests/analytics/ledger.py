"""A ledger that a test writes by hand and a real server serves, and the figures it amounts to."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from croupier.event.v1.event_pb2 import Event
from croupier.wallet.v1 import wallet_pb2

from services.kit.feed import Head
from tests.kit.clock import ManualClock

APPLIED = wallet_pb2.OUTCOME_APPLIED
BET = wallet_pb2.TRANSFER_KIND_BET
WIN = wallet_pb2.TRANSFER_KIND_WIN
ROLLBACK = wallet_pb2.TRANSFER_KIND_ROLLBACK
CLOSE_ROUND = wallet_pb2.TRANSFER_KIND_CLOSE_ROUND
DEPOSIT = wallet_pb2.TRANSFER_KIND_DEPOSIT
OPEN = wallet_pb2.ROUND_STATE_OPEN
CLOSED = wallet_pb2.ROUND_STATE_CLOSED


def player(number: int) -> str:
    return str(UUID(int=number + 1))


class Ledger:
    """The Wallet's log; an `EventSource`."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._grown = asyncio.Event()
        self.events: list[Event] = []
        self.incarnation = "first"

    def record(
        self,
        kind: Any,
        cash: int = 0,
        *,
        bonus: int = 0,
        outcome: Any = APPLIED,
        who: int = 1,
        provider: str = "acme",
        game: str = "book",
        round_id: str = "r",
        round_state: Any = OPEN,
        currency: str = "EUR",
        original_kind: Any = wallet_pb2.TRANSFER_KIND_UNSPECIFIED,
        time: datetime | None = None,
    ) -> Event:
        """Appends a transfer; `cash` and `bonus` are what it changed for the player."""
        seq = len(self.events) + 1
        event = Event(seq=seq)
        event.create_time.FromDatetime(time or self._clock.now())
        transfer = event.transfer_recorded
        transfer.kind, transfer.original_kind = kind, original_kind
        transfer.player_id, transfer.game_id, transfer.round_id = player(who), game, round_id
        transfer.cash_change_minor_units, transfer.bonus_change_minor_units = cash, bonus
        transfer.amount_minor_units = abs(cash + bonus)
        result = transfer.result
        result.source, result.transaction_id, result.seq = provider, f"t{seq}", seq
        result.outcome, result.currency_code, result.round_state = outcome, currency, round_state
        result.create_time.CopyFrom(event.create_time)
        self.append(event)
        return event

    def append(self, event: Event) -> None:
        self.events.append(event)
        self._grown.set()
        self._grown = asyncio.Event()

    def bet(self, amount: int, **more: Any) -> Event:
        return self.record(BET, -amount, **more)

    def win(self, amount: int, **more: Any) -> Event:
        return self.record(WIN, amount, **more)

    def bet_rollback(self, amount: int, **more: Any) -> Event:
        return self.record(ROLLBACK, amount, original_kind=BET, **more)

    def win_rollback(self, amount: int, **more: Any) -> Event:
        return self.record(ROLLBACK, -amount, original_kind=WIN, **more)

    async def head(self) -> Head:
        return Head(incarnation=self.incarnation, first_seq=1, last_seq=len(self.events))

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        return self.events[after_seq : after_seq + limit]

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        grown = self._grown
        if len(self.events) >= seq:
            return True
        try:
            async with asyncio.timeout(within.total_seconds()):
                await grown.wait()
        except TimeoutError:
            return False
        return len(self.events) >= seq


@dataclass(frozen=True)
class Row:
    """Expected figures, in the order of the contract's fields."""

    bets: int
    wins: int
    bet_count: int
    win_count: int
    rollback_count: int
    round_count: int
    players: int


def recomputed(
    events: Iterable[Event], *, place: Callable[[wallet_pb2.Transfer], Any | None]
) -> dict[Any, Row]:
    """Adds all transfers up from the start, group by group, in the most obvious way.

    Args:
        events: The whole ledger.
        place: Tells in which group a transfer is counted; None: in none.
    """
    applied = [
        event.transfer_recorded
        for event in events
        if event.transfer_recorded.result.outcome in range(APPLIED, 5)
    ]
    first_bets: dict[Any, wallet_pb2.Transfer] = {}
    for transfer in applied:
        if transfer.kind == BET:
            round_key = (transfer.result.source, transfer.player_id, transfer.round_id)
            first_bets.setdefault(round_key, transfer)
    first_seqs = {transfer.result.seq for transfer in first_bets.values()}

    groups: dict[Any, list[wallet_pb2.Transfer]] = {}
    for transfer in applied:
        group = place(transfer)
        if group is not None and is_counted(transfer):
            groups.setdefault(group, []).append(transfer)
    return {group: _row(transfers, first_seqs) for group, transfers in groups.items()}


def is_counted(transfer: wallet_pb2.Transfer) -> bool:
    if transfer.kind == ROLLBACK:
        return transfer.original_kind in (BET, WIN)
    return transfer.kind == BET or (transfer.kind == WIN and _change(transfer) > 0)


def _change(transfer: wallet_pb2.Transfer) -> int:
    return transfer.cash_change_minor_units + transfer.bonus_change_minor_units


def _row(transfers: Sequence[wallet_pb2.Transfer], first_seqs: set[int]) -> Row:
    def of(kind: Any, original: Any = 0) -> list[wallet_pb2.Transfer]:
        return [each for each in transfers if (each.kind, each.original_kind) == (kind, original)]

    bets, wins = of(BET), of(WIN)
    rolled_back_bets, rolled_back_wins = of(ROLLBACK, BET), of(ROLLBACK, WIN)
    return Row(
        bets=-sum(_change(each) for each in bets + rolled_back_bets),
        wins=sum(_change(each) for each in wins + rolled_back_wins),
        bet_count=len(bets),
        win_count=len(wins),
        rollback_count=len(rolled_back_bets) + len(rolled_back_wins),
        round_count=sum(each.result.seq in first_seqs for each in bets),
        players=len({each.player_id for each in bets}),
    )
