"""WalletService: the ledger for Game, Player and the players themselves."""

from collections.abc import AsyncIterator
from typing import Any

from croupier.wallet.v1 import wallet_pb2, wallet_service_pb2, wallet_service_pb2_grpc

from services.kit.call import caller
from services.wallet.domain import (
    Bucket,
    Deposit,
    Key,
    Kind,
    LimitKind,
    OpenWallet,
    Operation,
    Period,
    Restriction,
    Scope,
    SetLimit,
    SetRestriction,
)
from services.wallet.messages import balance_message, entry_message, result_message
from services.wallet.service import WalletService
from services.wallet.servicer import operations
from services.wallet.servicer.answering import accepted, note_on_span, submitted
from services.wallet.servicer.office_operations import micros
from services.wallet.sources import BACK_OFFICE, PLAYER_SERVICE, TENANT
from services.wallet.watching import BalanceStreams

_PAGE_SIZE = 50
_RESTRICTIONS = {
    wallet_pb2.RESTRICTION_NO_BET: Restriction.NO_BET,
    wallet_pb2.RESTRICTION_NO_DEPOSIT: Restriction.NO_DEPOSIT,
    wallet_pb2.RESTRICTION_NO_WITHDRAW: Restriction.NO_WITHDRAW,
    wallet_pb2.RESTRICTION_NO_BONUS: Restriction.NO_BONUS,
}


class WalletServicer(wallet_service_pb2_grpc.WalletServiceServicer):
    """Translates between the contract and the ledger."""

    def __init__(self, service: WalletService, streams: BalanceStreams) -> None:
        """Takes the ledger.

        Args:
            service: The ledger's use cases.
            streams: Makes the streams of balances.
        """
        self._service = service
        self._streams = streams

    async def OpenWallet(
        self, request: wallet_service_pb2.OpenWalletRequest, context: Any
    ) -> wallet_service_pb2.OpenWalletResponse:
        """Opens a wallet; the key is what it opens, so a repeat is a replay."""
        result = await self._submit(
            context,
            OpenWallet(
                key=Key(
                    TENANT, PLAYER_SERVICE, f"open:{request.player_id}:{request.currency_code}"
                ),
                player_id=operations.player(request.player_id),
                currency_code=operations.known(request.currency_code),
                **operations.running_trace(),
            ),
        )
        return wallet_service_pb2.OpenWalletResponse(result=result)

    async def SetRestrictions(
        self, request: wallet_service_pb2.SetRestrictionsRequest, context: Any
    ) -> wallet_service_pb2.SetRestrictionsResponse:
        """Replaces a player's restrictions."""
        bits = Restriction.NONE
        for restriction in request.restrictions:
            bits |= _RESTRICTIONS[restriction]
        result = await self._submit(
            context,
            SetRestriction(
                key=Key(TENANT, PLAYER_SERVICE, request.request_id),
                player_id=operations.player(request.player_id),
                scope=Scope.OPERATOR,
                restrictions=bits,
                reason=request.reason,
                actor=request.actor_id,
                **operations.running_trace(),
            ),
        )
        return wallet_service_pb2.SetRestrictionsResponse(result=result)

    async def SetLimit(
        self, request: wallet_service_pb2.SetLimitRequest, context: Any
    ) -> wallet_service_pb2.SetLimitResponse:
        """Sets or lifts a limit of the player's choice."""
        result = await self._submit(
            context,
            SetLimit(
                key=Key(TENANT, PLAYER_SERVICE, request.request_id),
                player_id=operations.player(request.player_id),
                currency_code=operations.known(request.currency_code),
                scope=Scope.PLAYER,
                limit_kind=LimitKind(request.kind),
                period=Period(request.period),
                max_amount=request.max_minor_units if request.HasField("max_minor_units") else None,
                start_time=micros("start_time", request.start_time)
                if request.HasField("start_time")
                else None,
                **operations.running_trace(),
            ),
        )
        return wallet_service_pb2.SetLimitResponse(result=result)

    async def Deposit(
        self, request: wallet_service_pb2.DepositRequest, context: Any
    ) -> wallet_service_pb2.DepositResponse:
        """Books a deposit by an operator's hand."""
        result = await self._submit(
            context,
            Deposit(
                key=Key(TENANT, BACK_OFFICE, request.request_id),
                player_id=operations.player(request.player_id),
                currency_code=operations.known(request.amount.currency_code),
                amount=request.amount.minor_units,
                authorization_number=request.authorization_number,
                actor=caller().subject_id,
                **operations.running_trace(),
            ),
        )
        return wallet_service_pb2.DepositResponse(result=result)

    async def Bet(
        self, request: wallet_service_pb2.BetRequest, context: Any
    ) -> wallet_service_pb2.BetResponse:
        """Takes a stake."""
        operation = operations.bet(request, operations.running_trace())
        result = await self._submit(context, operation)
        return wallet_service_pb2.BetResponse(result=result)

    async def Win(
        self, request: wallet_service_pb2.WinRequest, context: Any
    ) -> wallet_service_pb2.WinResponse:
        """Pays a win."""
        operation = operations.win(request, operations.running_trace())
        result = await self._submit(context, operation)
        return wallet_service_pb2.WinResponse(result=result)

    async def BetWin(
        self, request: wallet_service_pb2.BetWinRequest, context: Any
    ) -> wallet_service_pb2.BetWinResponse:
        """Takes a stake and pays its win."""
        linked = operations.bet_win(request, operations.running_trace())
        note_on_span(linked[0])
        bet, win = accepted(context, linked, await self._service.bet_win(*linked))
        return wallet_service_pb2.BetWinResponse(bet=result_message(bet), win=result_message(win))

    async def Rollback(
        self, request: wallet_service_pb2.RollbackRequest, context: Any
    ) -> wallet_service_pb2.RollbackResponse:
        """Reverses a bet or a win."""
        operation = operations.rollback(request, operations.running_trace())
        result = await self._submit(context, operation)
        return wallet_service_pb2.RollbackResponse(result=result)

    async def CloseRound(
        self, request: wallet_service_pb2.CloseRoundRequest, context: Any
    ) -> wallet_service_pb2.CloseRoundResponse:
        """Closes a round."""
        operation = operations.close_round(request, operations.running_trace())
        result = await self._submit(context, operation)
        return wallet_service_pb2.CloseRoundResponse(result=result)

    async def GetTransfer(
        self, request: wallet_service_pb2.GetTransferRequest, context: Any
    ) -> wallet_service_pb2.GetTransferResponse:
        """Gets what is recorded under a key."""
        del context
        answer = await self._service.get_transfer(
            Key(TENANT, request.source, request.transaction_id),
            kind=Kind(request.kind) if request.kind else None,
        )
        return wallet_service_pb2.GetTransferResponse(result=result_message(answer.result))

    async def GetBalance(
        self, request: wallet_service_pb2.GetBalanceRequest, context: Any
    ) -> wallet_service_pb2.GetBalanceResponse:
        """Gets the balance of any player."""
        del context
        balance = await self._service.get_balance(
            operations.player(request.player_id), request.currency_code
        )
        return wallet_service_pb2.GetBalanceResponse(balance=balance_message(balance))

    async def ListBalances(
        self, request: wallet_service_pb2.ListBalancesRequest, context: Any
    ) -> wallet_service_pb2.ListBalancesResponse:
        """Lists the calling player's balances."""
        del request, context
        balances = await self._service.list_balances(operations.player(caller().subject_id))
        return wallet_service_pb2.ListBalancesResponse(
            balances=[balance_message(balance) for balance in balances]
        )

    async def WatchBalances(
        self, request: wallet_service_pb2.WatchBalancesRequest, context: Any
    ) -> AsyncIterator[wallet_service_pb2.WatchBalancesResponse]:
        """Streams the calling player's balances."""
        del context
        called = caller()
        changes = self._service.watch_balances(
            operations.player(called.subject_id), after_seq=request.after_seq
        )
        async for response in self._streams.stream(changes, called):
            yield response

    async def ListEntries(
        self, request: wallet_service_pb2.ListEntriesRequest, context: Any
    ) -> wallet_service_pb2.ListEntriesResponse:
        """Lists the entries of the calling player's wallet."""
        del context
        page = await self._service.list_entries(
            operations.player(caller().subject_id),
            request.currency_code,
            bucket=Bucket(request.bucket or Bucket.CASH),
            page_size=request.page_size or _PAGE_SIZE,
            token=request.page_token,
        )
        return wallet_service_pb2.ListEntriesResponse(
            entries=[entry_message(line) for line in page.lines],
            next_page_token=page.next_page_token,
        )

    async def _submit(self, context: Any, operation: Operation) -> wallet_pb2.Result:
        return result_message(await submitted(self._service, context, operation))
