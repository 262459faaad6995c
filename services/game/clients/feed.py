"""Reads the Wallet's events as steps of rounds."""

from collections.abc import Iterable

from croupier.event.v1.event_pb2 import Event
from croupier.wallet.v1 import wallet_pb2

from services.game.domain import (
    GameId,
    PlayerId,
    ProviderId,
    ProviderRoundId,
    RoundKey,
    Step,
    StepKind,
)
from services.kit.clock import from_timestamp
from services.kit.money import Money

# Outcomes that moved something, if only a zero. All others from here to the refusals are successes
# without effect; a refusal is none of a round's business.
_BOOKED = frozenset(
    {
        wallet_pb2.OUTCOME_APPLIED,
        wallet_pb2.OUTCOME_APPLIED_LATE,
        wallet_pb2.OUTCOME_APPLIED_CLAMPED,
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        wallet_pb2.OUTCOME_NOTHING_TO_REVERSE,
        wallet_pb2.OUTCOME_ALREADY_REVERSED,
        wallet_pb2.OUTCOME_ALREADY_CLOSED,
    }
)
_KINDS = {
    wallet_pb2.TRANSFER_KIND_BET: StepKind.BET,
    wallet_pb2.TRANSFER_KIND_WIN: StepKind.WIN,
    wallet_pb2.TRANSFER_KIND_ROLLBACK: StepKind.CLOSE,
    wallet_pb2.TRANSFER_KIND_CLOSE_ROUND: StepKind.CLOSE,
}
_REVERSALS = {
    wallet_pb2.TRANSFER_KIND_BET: StepKind.BET_ROLLBACK,
    wallet_pb2.TRANSFER_KIND_WIN: StepKind.WIN_ROLLBACK,
}


def steps_of(events: Iterable[Event]) -> list[Step]:
    """Returns what the events mean for rounds, in their order."""
    steps = []
    for event in events:
        if event.WhichOneof("payload") == "transfer_recorded":
            step = _step_of(event.transfer_recorded)
            if step is not None:
                steps.append(step)
    return steps


def _step_of(transfer: wallet_pb2.Transfer) -> Step | None:
    result = transfer.result
    kind = _KINDS.get(transfer.kind)
    if kind is None or not transfer.round_id:
        return None
    closed = result.round_state == wallet_pb2.ROUND_STATE_CLOSED
    if result.outcome in _BOOKED:
        if transfer.kind == wallet_pb2.TRANSFER_KIND_ROLLBACK:
            kind = _REVERSALS[transfer.original_kind]
            if kind is StepKind.BET_ROLLBACK and transfer.original_left_minor_units:
                kind = StepKind.BET_PART_ROLLBACK
    elif result.outcome in _WITHOUT_EFFECT and closed:
        kind = StepKind.CLOSE
    else:
        return None
    return Step(
        key=RoundKey(
            provider_id=ProviderId(result.source),
            player_id=PlayerId(transfer.player_id),
            provider_round_id=ProviderRoundId(transfer.round_id),
        ),
        kind=kind,
        seq=result.seq,
        game_id=GameId(transfer.game_id),
        change=Money(
            result.currency_code,
            transfer.cash_change_minor_units + transfer.bonus_change_minor_units,
        ),
        closed=closed,
        time=from_timestamp(result.create_time),
    )
