"""Requests of the contract as operations of the ledger: the same for single calls and batches."""

from collections.abc import Callable
from typing import Any, TypedDict

from croupier.wallet.v1 import posting_service_pb2, wallet_service_pb2
from opentelemetry.trace import Span

from services.kit import telemetry
from services.kit.errors import CurrencyUnknownError, InvalidRequestError
from services.kit.ids import is_canonical_uuid
from services.kit.money import CURRENCIES
from services.wallet.domain import (
    Bet,
    CloseRound,
    Key,
    Kind,
    Operation,
    PlayerId,
    Rollback,
    Win,
    pack_id,
)
from services.wallet.sources import TENANT


class Trace(TypedDict):
    """What an operation keeps of the call that brought it."""

    trace_id: bytes | None
    trace: Span | None


def running_trace() -> Trace:
    """The running call's trace: its id for the ledger row, its span if it is recorded."""
    span = telemetry.current_span()
    if span is None:
        return {"trace_id": None, "trace": None}
    return {
        "trace_id": telemetry.trace_id_of(span),
        "trace": span if span.is_recording() else None,
    }


def known(currency_code: str) -> str:
    """Returns the currency if the registry has it.

    Raises:
        CurrencyUnknownError: It has not.
    """
    if currency_code not in CURRENCIES:
        raise CurrencyUnknownError(currency_code)
    return currency_code


def packed(field: str, text: str) -> bytes:
    """Packs an id. A UUID in another form than ours would be another id to half the platform.

    Raises:
        InvalidRequestError: It is not in the canonical form.
    """
    if not is_canonical_uuid(text):
        raise InvalidRequestError({field: "must be a UUID in lower case"})
    return pack_id(text)


def player(player_id: str) -> PlayerId:
    """Packs a player's id. Raises as `packed`."""
    return PlayerId(packed("player_id", player_id))


def bet(request: wallet_service_pb2.BetRequest, trace: Trace) -> Bet:
    """Reads a stake."""
    return Bet(
        key=Key(TENANT, request.source, request.transaction_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        round_key=request.round_id,
        game_id=request.game_id,
        close_round=request.close_round,
        wager_weight=request.wager_weight_bp,
        **trace,
    )


def win(request: wallet_service_pb2.WinRequest, trace: Trace) -> Win:
    """Reads a win."""
    return Win(
        key=Key(TENANT, request.source, request.transaction_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        round_key=request.round_id,
        reference=request.reference_transaction_id,
        game_id=request.game_id,
        close_round=request.close_round,
        **trace,
    )


def bet_win(request: wallet_service_pb2.BetWinRequest, trace: Trace) -> tuple[Bet, Win]:
    """Reads a stake and its win. What ends the round comes last, so that both are in it.

    Raises:
        InvalidRequestError: They are in two currencies.
    """
    if request.win_amount.currency_code != request.bet_amount.currency_code:
        raise InvalidRequestError({"win_amount": "must be in the currency of bet_amount"})
    stake = Bet(
        key=Key(TENANT, request.source, request.bet_transaction_id),
        player_id=player(request.player_id),
        currency_code=known(request.bet_amount.currency_code),
        amount=request.bet_amount.minor_units,
        round_key=request.round_id,
        game_id=request.game_id,
        wager_weight=request.wager_weight_bp,
        **trace,
    )
    return stake, Win(
        key=Key(TENANT, request.source, request.win_transaction_id),
        player_id=stake.player_id,
        currency_code=stake.currency_code,
        amount=request.win_amount.minor_units,
        round_key=request.round_id,
        reference=request.bet_transaction_id,
        game_id=request.game_id,
        close_round=request.close_round,
        # The batch of both is shown once.
        trace_id=trace["trace_id"],
    )


def rollback(request: wallet_service_pb2.RollbackRequest, trace: Trace) -> Rollback:
    """Reads a reversal, of all or of a part.

    Raises:
        InvalidRequestError: The part is in another currency than the original.
    """
    is_part = request.HasField("amount")
    if is_part and request.amount.currency_code != request.currency_code:
        raise InvalidRequestError({"amount": "must be in currency_code"})
    return Rollback(
        key=Key(TENANT, request.source, request.transaction_id),
        player_id=player(request.player_id),
        currency_code=known(request.currency_code),
        reference=request.original_transaction_id,
        reference_kind=Kind(request.original_kind) if request.original_kind else None,
        amount=request.amount.minor_units if is_part else None,
        round_key=request.round_id,
        game_id=request.game_id,
        close_round=request.close_round,
        **trace,
    )


def close_round(request: wallet_service_pb2.CloseRoundRequest, trace: Trace) -> CloseRound:
    """Reads the end of a round."""
    return CloseRound(
        key=Key(TENANT, request.source, request.transaction_id),
        player_id=player(request.player_id),
        currency_code=known(request.currency_code),
        round_key=request.round_id,
        game_id=request.game_id,
        **trace,
    )


_READERS: dict[str, Callable[[Any, Trace], Operation]] = {
    "bet": bet,
    "win": win,
    "rollback": rollback,
    "close_round": close_round,
}


def movement(message: posting_service_pb2.Operation, trace: Trace) -> Operation:
    """Reads one movement of a batch; the contract's rules have made sure that there is one."""
    name = message.WhichOneof("operation")
    if name is None:
        raise InvalidRequestError({"operation": "is missing"})
    return _READERS[name](getattr(message, name), trace)
