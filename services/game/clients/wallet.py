"""Moves money through the Wallet service, and asks it what was moved."""

from datetime import timedelta
from typing import Any, cast

import grpc
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import wallet_pb2, wallet_service_pb2, wallet_service_pb2_grpc
from croupier.wallet.v1.error_reason_pb2 import ErrorReason
from google.protobuf.message import Message

from services.game.domain import (
    Bet,
    GameSession,
    Movement,
    MovementKind,
    Play,
    ProviderId,
    Rollback,
    RoundEnd,
    SettledBet,
    TransactionId,
    Win,
)
from services.kit.clients import Peer
from services.kit.clock import from_timestamp
from services.kit.errors import RemoteError
from services.kit.feed import FEED_SERVICE
from services.kit.money import Money
from services.kit.tls import Identity

_SERVICE = wallet_service_pb2.DESCRIPTOR.services_by_name["WalletService"].full_name
_NOT_RECORDED = ErrorReason.Name(ErrorReason.ERROR_REASON_TRANSFER_NOT_FOUND)
_REPLAYED = ("croupier-replayed", "1")
_OUTCOME_PREFIX = "OUTCOME_"
_KINDS = {
    None: wallet_pb2.TRANSFER_KIND_UNSPECIFIED,
    MovementKind.BET: wallet_pb2.TRANSFER_KIND_BET,
    MovementKind.WIN: wallet_pb2.TRANSFER_KIND_WIN,
}

_Method = grpc.aio.UnaryUnaryMultiCallable[Message, Any]


class WalletClient:
    """The ledger. A provider's movements go there under the provider's id and its own ids.

    Every call raises `RemoteError` with the Wallet's own reason where the Wallet refuses, and
    `UnavailableError` or `DeadlineExceededError` where nobody knows yet.
    """

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Wallet at `address`."""
        self.peer = Peer(
            "wallet",
            address,
            identity=identity,
            services=(_SERVICE, FEED_SERVICE),
            timeout=timeout,
        )
        self._stub = wallet_service_pb2_grpc.WalletServiceStub(self.peer.channel)

    async def bet(self, play: Play, bet: Bet) -> Movement:
        """Takes a stake."""
        session = play.session
        return await self._move(
            self._stub.Bet,
            wallet_service_pb2.BetRequest(
                source=session.provider_id,
                transaction_id=bet.transaction_id,
                player_id=session.player_id,
                amount=_money_message(bet.amount),
                round_id=bet.provider_round_id,
                game_id=session.game_id,
                close_round=bet.end_round,
                wager_weight_bp=play.wager_weight_bp,
            ),
            session,
        )

    async def win(self, session: GameSession, win: Win) -> Movement:
        """Pays a win."""
        return await self._move(
            self._stub.Win,
            wallet_service_pb2.WinRequest(
                source=session.provider_id,
                transaction_id=win.transaction_id,
                player_id=session.player_id,
                amount=_money_message(win.amount),
                round_id=win.provider_round_id,
                reference_transaction_id=win.bet_transaction_id,
                game_id=session.game_id,
                close_round=win.end_round,
            ),
            session,
        )

    async def bet_win(self, play: Play, settled: SettledBet) -> tuple[Movement, Movement]:
        """Takes a stake and pays its win, or neither."""
        session = play.session
        response, replayed = await self._call(
            self._stub.BetWin,
            wallet_service_pb2.BetWinRequest(
                source=session.provider_id,
                bet_transaction_id=settled.bet_transaction_id,
                win_transaction_id=settled.win_transaction_id,
                player_id=session.player_id,
                bet_amount=_money_message(settled.bet_amount),
                win_amount=_money_message(settled.win_amount),
                round_id=settled.provider_round_id,
                game_id=session.game_id,
                close_round=settled.end_round,
                wager_weight_bp=play.wager_weight_bp,
            ),
        )
        bet = _movement(response.bet, session, replayed=replayed)
        return bet, _movement(response.win, session, replayed=replayed)

    async def roll_back(self, session: GameSession, rollback: Rollback) -> Movement:
        """Reverses a bet or a win, or bars it."""
        return await self._move(
            self._stub.Rollback,
            wallet_service_pb2.RollbackRequest(
                source=session.provider_id,
                transaction_id=rollback.transaction_id,
                player_id=session.player_id,
                currency_code=session.currency_code,
                original_transaction_id=rollback.original_transaction_id,
                round_id=rollback.provider_round_id,
                game_id=session.game_id,
                close_round=rollback.end_round,
                amount=None if rollback.amount is None else _money_message(rollback.amount),
                original_kind=_KINDS[rollback.original_kind],
            ),
            session,
        )

    async def close_round(self, session: GameSession, end: RoundEnd) -> Movement:
        """Ends a round."""
        return await self._move(
            self._stub.CloseRound,
            wallet_service_pb2.CloseRoundRequest(
                source=session.provider_id,
                transaction_id=end.transaction_id,
                player_id=session.player_id,
                currency_code=session.currency_code,
                round_id=end.provider_round_id,
                game_id=session.game_id,
            ),
            session,
        )

    async def has_bet(self, provider_id: ProviderId, transaction_id: TransactionId) -> bool:
        """Tells whether a bet is recorded under a provider's id, applied or refused.

        So is anything else under the id, unless the provider uses one for a bet and its win.
        """
        request = wallet_service_pb2.GetTransferRequest(
            source=provider_id,
            transaction_id=transaction_id,
            kind=wallet_pb2.TRANSFER_KIND_BET,
        )
        try:
            await self.peer.call(self._stub.GetTransfer, request)
        except RemoteError as error:
            if error.reason == _NOT_RECORDED:
                return False
            raise
        return True

    async def get_balance(self, session: GameSession) -> Money:
        """Returns what the player can bet in the session's currency: cash and bonus."""
        response = await self.peer.call(
            self._stub.GetBalance,
            wallet_service_pb2.GetBalanceRequest(
                player_id=session.player_id, currency_code=session.currency_code
            ),
        )
        balance = response.balance
        return Money(session.currency_code, balance.cash_minor_units + balance.bonus_minor_units)

    async def close(self) -> None:
        """Closes the channel."""
        await self.peer.close()

    async def _move(
        self,
        method: Any,
        request: Message,
        session: GameSession,
    ) -> Movement:
        response, replayed = await self._call(method, request)
        return _movement(response.result, session, replayed=replayed)

    async def _call(self, method: Any, request: Message) -> tuple[Any, bool]:
        """Returns an answer, and whether it was a stored one."""
        noted = _Noted(method)
        response = await self.peer.call(cast("_Method", noted), request)
        return response, await noted.was_replayed()


class _Noted:
    """One call of a method, of which the trailing metadata is wanted as well as the answer."""

    def __init__(self, method: Any) -> None:
        self._method = method
        self._call: Any = None

    def __call__(self, request: Message, **options: Any) -> Any:
        self._call = self._method(request, **options)
        return self._call

    async def was_replayed(self) -> bool:
        """Tells whether the answer was a stored one."""
        # As a tuple: `in` of gRPC's own type looks for a key.
        return _REPLAYED in tuple(await self._call.trailing_metadata() or ())


def _movement(result: wallet_pb2.Result, session: GameSession, *, replayed: bool) -> Movement:
    available = result.available_after
    return Movement(
        seq=result.seq,
        outcome=wallet_pb2.Outcome.Name(result.outcome).removeprefix(_OUTCOME_PREFIX),
        balance=Money(
            session.currency_code, available.cash_minor_units + available.bonus_minor_units
        ),
        create_time=from_timestamp(result.create_time),
        replayed=replayed,
    )


def _money_message(money: Money) -> money_pb2.Money:
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units)
