"""What game providers call."""

from typing import Any

from croupier.game.v1 import game_pb2, provider_service_pb2, provider_service_pb2_grpc

from services.game.domain import (
    Bet,
    Movement,
    MovementKind,
    ProviderId,
    ProviderRoundId,
    Rollback,
    RoundEnd,
    SessionToken,
    SettledBet,
    TransactionId,
    Win,
)
from services.game.service import Movements
from services.game.servicer.messages import (
    money_message,
    money_of,
    movement_message,
    session_message,
)
from services.kit.call import caller

# As the Wallet says it, for a provider that wonders whether its first call had come through.
_REPLAYED = (("croupier-replayed", "1"),)
_KINDS = {
    game_pb2.MOVEMENT_KIND_UNSPECIFIED: None,
    game_pb2.MOVEMENT_KIND_BET: MovementKind.BET,
    game_pb2.MOVEMENT_KIND_WIN: MovementKind.WIN,
}


class ProviderServicer(provider_service_pb2_grpc.ProviderServiceServicer):
    """Serves `croupier.game.v1.ProviderService`."""

    def __init__(self, movements: Movements) -> None:
        """Takes the use cases."""
        self._movements = movements

    async def AuthenticateSession(
        self, request: provider_service_pb2.AuthenticateSessionRequest, context: Any
    ) -> provider_service_pb2.AuthenticateSessionResponse:
        """Tells for whom a session token stands."""
        del context
        session, balance = await self._movements.authenticate_session(
            _provider_id(), SessionToken(request.session_token)
        )
        return provider_service_pb2.AuthenticateSessionResponse(
            game_session=session_message(session), balance=money_message(balance)
        )

    async def GetPlayerBalance(
        self, request: provider_service_pb2.GetPlayerBalanceRequest, context: Any
    ) -> provider_service_pb2.GetPlayerBalanceResponse:
        """Gets what the player can bet."""
        del context
        balance = await self._movements.get_balance(
            _provider_id(), SessionToken(request.session_token)
        )
        return provider_service_pb2.GetPlayerBalanceResponse(balance=money_message(balance))

    async def PlaceBet(
        self, request: provider_service_pb2.PlaceBetRequest, context: Any
    ) -> provider_service_pb2.PlaceBetResponse:
        """Takes a stake."""
        movement = await self._movements.place_bet(
            _provider_id(),
            SessionToken(request.session_token),
            Bet(
                transaction_id=TransactionId(request.transaction_id),
                provider_round_id=ProviderRoundId(request.round_id),
                amount=money_of(request.amount),
                end_round=request.end_round,
            ),
        )
        return provider_service_pb2.PlaceBetResponse(movement=_told(movement, context))

    async def PayWin(
        self, request: provider_service_pb2.PayWinRequest, context: Any
    ) -> provider_service_pb2.PayWinResponse:
        """Pays a win."""
        movement = await self._movements.pay_win(
            _provider_id(),
            SessionToken(request.session_token),
            Win(
                transaction_id=TransactionId(request.transaction_id),
                provider_round_id=ProviderRoundId(request.round_id),
                amount=money_of(request.amount),
                bet_transaction_id=TransactionId(request.bet_transaction_id),
                end_round=request.end_round,
            ),
        )
        return provider_service_pb2.PayWinResponse(movement=_told(movement, context))

    async def PlaceAndSettle(
        self, request: provider_service_pb2.PlaceAndSettleRequest, context: Any
    ) -> provider_service_pb2.PlaceAndSettleResponse:
        """Takes a stake and pays its win."""
        bet, win = await self._movements.place_and_settle(
            _provider_id(),
            SessionToken(request.session_token),
            SettledBet(
                bet_transaction_id=TransactionId(request.bet_transaction_id),
                win_transaction_id=TransactionId(request.win_transaction_id),
                provider_round_id=ProviderRoundId(request.round_id),
                bet_amount=money_of(request.bet_amount),
                win_amount=money_of(request.win_amount),
                end_round=request.end_round,
            ),
        )
        return provider_service_pb2.PlaceAndSettleResponse(
            bet=_told(bet, context), win=_told(win, context)
        )

    async def RollBack(
        self, request: provider_service_pb2.RollBackRequest, context: Any
    ) -> provider_service_pb2.RollBackResponse:
        """Reverses a bet or a win."""
        movement = await self._movements.roll_back(
            _provider_id(),
            SessionToken(request.session_token),
            Rollback(
                transaction_id=TransactionId(request.transaction_id),
                original_transaction_id=TransactionId(request.original_transaction_id),
                original_kind=_KINDS[request.original_kind],
                provider_round_id=ProviderRoundId(request.round_id),
                amount=money_of(request.amount) if request.HasField("amount") else None,
                end_round=request.end_round,
            ),
        )
        return provider_service_pb2.RollBackResponse(movement=_told(movement, context))

    async def EndRound(
        self, request: provider_service_pb2.EndRoundRequest, context: Any
    ) -> provider_service_pb2.EndRoundResponse:
        """Ends a round."""
        movement = await self._movements.end_round(
            _provider_id(),
            SessionToken(request.session_token),
            RoundEnd(
                transaction_id=TransactionId(request.transaction_id),
                provider_round_id=ProviderRoundId(request.round_id),
            ),
        )
        return provider_service_pb2.EndRoundResponse(movement=_told(movement, context))


def _provider_id() -> ProviderId:
    return ProviderId(caller().provider_id)


def _told(movement: Movement, context: Any) -> game_pb2.Movement:
    if movement.replayed:
        context.set_trailing_metadata(_REPLAYED)
    return movement_message(movement)
