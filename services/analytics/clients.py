"""The ledger, as Analytics follows it: its feed, told as facts."""

from collections.abc import Iterable
from datetime import timedelta

from croupier.event.v1.event_pb2 import Event
from croupier.wallet.v1 import wallet_pb2

from services.analytics.domain import Booking, Fact, Movement, RoundEnd, RoundKey
from services.kit.clients import Peer
from services.kit.clock import from_timestamp
from services.kit.feed import FEED_SERVICE
from services.kit.tls import Identity

# Only for calls with one answer, of which the feed has none.
_TIMEOUT = timedelta(seconds=5)

_BOOKED = frozenset(
    {
        wallet_pb2.OUTCOME_APPLIED,
        wallet_pb2.OUTCOME_APPLIED_LATE,
        wallet_pb2.OUTCOME_APPLIED_CLAMPED,
        wallet_pb2.OUTCOME_APPLIED_LOCKED,
    }
)
_MOVEMENTS = {
    wallet_pb2.TRANSFER_KIND_BET: Movement.BET,
    wallet_pb2.TRANSFER_KIND_WIN: Movement.WIN,
}
_REVERSALS = {
    wallet_pb2.TRANSFER_KIND_BET: Movement.BET_ROLLBACK,
    wallet_pb2.TRANSFER_KIND_WIN: Movement.WIN_ROLLBACK,
}
# What the player's money changes by is the opposite of what is counted.
_FROM_PLAYER = frozenset({Movement.BET, Movement.WIN_ROLLBACK})


class LedgerFeed:
    """The Wallet's log, one follower a shard."""

    def __init__(self, address: str, *, identity: Identity) -> None:
        """Opens the channel to Wallet at `address`."""
        self.peer = Peer(
            "wallet", address, identity=identity, services=(FEED_SERVICE,), timeout=_TIMEOUT
        )

    async def close(self) -> None:
        """Closes the channel."""
        await self.peer.close()


def facts_of(events: Iterable[Event]) -> list[Fact]:
    """Tells what events mean for games, in their order."""
    facts: list[Fact] = []
    for event in events:
        if event.WhichOneof("payload") == "transfer_recorded":
            transfer = event.transfer_recorded
            booking = _booking(transfer)
            if booking is not None:
                facts.append(booking)
            # Also by what moved nothing: a round is closed by a rollback of an unknown bet, too.
            if transfer.round_id and transfer.result.round_state == wallet_pb2.ROUND_STATE_CLOSED:
                facts.append(RoundEnd(_round_key(transfer)))
    return facts


def _booking(transfer: wallet_pb2.Transfer) -> Booking | None:
    result = transfer.result
    movement = (
        _REVERSALS.get(transfer.original_kind)
        if transfer.kind == wallet_pb2.TRANSFER_KIND_ROLLBACK
        else _MOVEMENTS.get(transfer.kind)
    )
    if movement is None or result.outcome not in _BOOKED:
        return None
    change = transfer.cash_change_minor_units + transfer.bonus_change_minor_units
    return Booking(
        movement=movement,
        time=from_timestamp(result.create_time),
        currency_code=result.currency_code,
        game_id=transfer.game_id,
        round_key=_round_key(transfer),
        minor_units=-change if movement in _FROM_PLAYER else change,
    )


def _round_key(transfer: wallet_pb2.Transfer) -> RoundKey:
    return RoundKey(transfer.result.source, transfer.player_id, transfer.round_id)
