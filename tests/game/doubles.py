"""The services and providers around Game, as small real servers with switches for faults."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from croupier.event.v1.event_pb2 import Event
from croupier.game.v1 import launch_service_pb2, launch_service_pb2_grpc
from croupier.player.v1 import player_service_pb2, player_service_pb2_grpc
from croupier.security.v1 import security_service_pb2
from croupier.wallet.v1 import wallet_pb2, wallet_service_pb2, wallet_service_pb2_grpc
from google.protobuf.message import Message

from services.kit.call import caller
from services.kit.clock import Clock
from services.kit.errors import RemoteError, UnavailableError
from services.kit.feed import Head
from services.kit.ids import new_id
from tests.factories.game import GAME_ID, PROVIDER_ID
from tests.kit.security import KeysDouble
from tests.kit.tokens import TokenIssuer


def refused(code: grpc.StatusCode, reason: str, **metadata: str) -> RemoteError:
    return RemoteError(
        code=code, reason=f"ERROR_REASON_{reason}", message=reason.lower(), metadata=metadata
    )


class PlayerDouble(player_service_pb2_grpc.PlayerServiceServicer):
    """Lets everybody play, until told otherwise."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.checked: list[str] = []
        self.entered = asyncio.Event()
        self.held: asyncio.Event | None = None

    async def CheckPlay(self, request: Any, context: Any) -> Any:
        self.checked.append(request.player_id)
        self.entered.set()
        if self.held is not None:
            await self.held.wait()
        if self.refusal is not None:
            raise self.refusal
        response = player_service_pb2.CheckPlayResponse()
        response.player.player_id = request.player_id
        response.player.country_code = "MT"
        response.player.currency_code = "EUR"
        return response


class SecurityDouble(KeysDouble):
    """Knows the keys of access tokens and some API keys."""

    def __init__(self, tokens: TokenIssuer) -> None:
        super().__init__(tokens)
        self.api_keys = {"acme-key": PROVIDER_ID, "bolt-key": "bolt"}
        self.expire_seconds: int | None = None
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.held: asyncio.Event | None = None
        self.verified = 0

    async def VerifyApiKey(self, request: Any, context: Any) -> Any:
        self.verified += 1
        self.entered.set()
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        provider_id = self.api_keys.get(request.api_key)
        if provider_id is None:
            raise refused(grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
        response = security_service_pb2.VerifyApiKeyResponse()
        response.api_key.provider_id = provider_id
        if self.expire_seconds is not None:
            response.api_key.expire_time.FromSeconds(self.expire_seconds)
        return response


class LaunchDouble(launch_service_pb2_grpc.LaunchServiceServicer):
    """A provider's side of a launch."""

    def __init__(self) -> None:
        self.opened: list[launch_service_pb2.OpenGameRequest] = []
        self.callers: list[str] = []
        self.launch_url = "https://games.example/plinko?token={token}"
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.held: asyncio.Event | None = None

    @property
    def session_token(self) -> str:
        """The token of the newest session."""
        return str(self.opened[-1].session_token)

    async def OpenGame(self, request: Any, context: Any) -> Any:
        self.opened.append(request)
        self.callers.append(caller().service)
        self.entered.set()
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        return launch_service_pb2.OpenGameResponse(
            launch_url=self.launch_url.format(token=request.session_token)
        )


class WalletDouble(wallet_service_pb2_grpc.WalletServiceServicer):
    """A ledger in memory: keys, one balance, rounds, and the log of it all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.log = MemoryLog()
        self.cash = 10_000
        self.bonus = 500
        self.calls: list[str] = []
        self.requests: list[Any] = []
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.held: asyncio.Event | None = None
        self._recorded: dict[tuple[str, str], tuple[bytes, wallet_pb2.Transfer]] = {}
        self._closed: set[tuple[str, str, str]] = set()
        self._reversed: set[tuple[str, str]] = set()
        self._left: dict[tuple[str, str], int] = {}

    async def Bet(self, request: Any, context: Any) -> Any:
        await self._admit(request)
        return wallet_service_pb2.BetResponse(result=_told(context, self._bet(request)))

    def _bet(self, request: Any) -> "Recorded":
        transfer = self._transfer(request, wallet_pb2.TRANSFER_KIND_BET)
        amount = request.amount.minor_units
        if self._round(transfer) in self._closed:
            transfer.result.outcome = wallet_pb2.OUTCOME_ROUND_CLOSED
        elif amount > self.cash:
            transfer.result.outcome = wallet_pb2.OUTCOME_INSUFFICIENT_FUNDS
        transfer.cash_change_minor_units = -amount
        return self._record(request, transfer)

    async def Win(self, request: Any, context: Any) -> Any:
        await self._admit(request)
        return wallet_service_pb2.WinResponse(result=_told(context, self._win(request)))

    def _win(self, request: Any) -> "Recorded":
        transfer = self._transfer(request, wallet_pb2.TRANSFER_KIND_WIN)
        if self._round(transfer) in self._closed:
            transfer.result.outcome = wallet_pb2.OUTCOME_APPLIED_LATE
        transfer.cash_change_minor_units = request.amount.minor_units
        return self._record(request, transfer)

    async def BetWin(self, request: Any, context: Any) -> Any:
        """Both or neither; here no win is refused for a reason of its own."""
        await self._admit(request)
        common = {name: getattr(request, name) for name in ("source", "player_id", "round_id")}
        bet = wallet_service_pb2.BetRequest(
            **common,
            transaction_id=request.bet_transaction_id,
            amount=request.bet_amount,
            game_id=request.game_id,
            wager_weight_bp=request.wager_weight_bp,
        )
        win = wallet_service_pb2.WinRequest(
            **common,
            transaction_id=request.win_transaction_id,
            amount=request.win_amount,
            reference_transaction_id=request.bet_transaction_id,
            game_id=request.game_id,
            close_round=request.close_round,
        )
        taken, paid = self._bet(bet), self._win(win)
        if taken.replayed and paid.replayed:
            context.set_trailing_metadata(_REPLAYED)
        return wallet_service_pb2.BetWinResponse(bet=taken.result, win=paid.result)

    async def Rollback(self, request: Any, context: Any) -> Any:
        await self._admit(request)
        transfer = self._transfer(request, wallet_pb2.TRANSFER_KIND_ROLLBACK)
        name = (request.source, request.original_transaction_id)
        original = self._recorded.get(name)
        if original is None:
            transfer.result.outcome = wallet_pb2.OUTCOME_NOTHING_TO_REVERSE
        elif name in self._reversed:
            transfer.result.outcome = wallet_pb2.OUTCOME_ALREADY_REVERSED
        else:
            transfer.original_kind = original[1].kind
            transfer.original_seq = original[1].result.seq
            transfer.round_id = original[1].round_id
            moved = original[1].cash_change_minor_units
            left = self._left.get(name, abs(moved))
            taken = request.amount.minor_units if request.HasField("amount") else left
            transfer.cash_change_minor_units = taken if moved < 0 else -taken
            transfer.original_left_minor_units = self._left[name] = left - taken
            if left == taken:
                self._reversed.add(name)
        return wallet_service_pb2.RollbackResponse(
            result=_told(context, self._record(request, transfer))
        )

    async def CloseRound(self, request: Any, context: Any) -> Any:
        await self._admit(request)
        transfer = self._transfer(request, wallet_pb2.TRANSFER_KIND_CLOSE_ROUND)
        if self._round(transfer) in self._closed:
            transfer.result.outcome = wallet_pb2.OUTCOME_ALREADY_CLOSED
        self._closed.add(self._round(transfer))
        return wallet_service_pb2.CloseRoundResponse(
            result=_told(context, self._record(request, transfer))
        )

    async def GetTransfer(self, request: Any, context: Any) -> Any:
        self.calls.append("GetTransfer")
        if self.failure is not None:
            raise self.failure
        found = self._recorded.get((request.source, request.transaction_id))
        if found is None:
            raise refused(
                grpc.StatusCode.NOT_FOUND,
                "TRANSFER_NOT_FOUND",
                source=request.source,
                transaction_id=request.transaction_id,
            )
        return wallet_service_pb2.GetTransferResponse(result=found[1].result)

    async def GetBalance(self, request: Any, context: Any) -> Any:
        self.calls.append("GetBalance")
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return wallet_service_pb2.GetBalanceResponse(
            balance=wallet_pb2.Balance(
                currency_code=request.currency_code,
                cash_minor_units=self.cash,
                bonus_minor_units=self.bonus,
                locked_minor_units=77,
                pending_minor_units=33,
            )
        )

    def _transfer(self, request: Any, kind: Any) -> wallet_pb2.Transfer:
        fields = request.DESCRIPTOR.fields_by_name
        named = "currency_code" in fields
        currency_code = request.currency_code if named else request.amount.currency_code
        transfer = wallet_pb2.Transfer(
            kind=kind,
            player_id=request.player_id,
            amount_minor_units=request.amount.minor_units if "amount" in fields else 0,
            game_id=request.game_id,
            round_id=request.round_id,
        )
        transfer.result.source = request.source
        transfer.result.transaction_id = request.transaction_id
        transfer.result.currency_code = currency_code
        transfer.result.outcome = wallet_pb2.OUTCOME_APPLIED
        transfer.result.create_time.FromDatetime(self._clock.now())
        return transfer

    async def _admit(self, request: Any) -> None:
        self.calls.append(request.DESCRIPTOR.name.removesuffix("Request"))
        self.requests.append(request)
        self.entered.set()
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure

    def _record(self, request: Any, transfer: wallet_pb2.Transfer) -> "Recorded":
        key = (request.source, request.transaction_id)
        content = _content(request)
        known = self._recorded.get(key)
        if known is not None:
            if known[0] != content:
                raise refused(grpc.StatusCode.ALREADY_EXISTS, "KEY_REUSED", fields="amount")
            return Recorded(_answered(known[1].result, self.cash), replayed=True)
        result = transfer.result
        refusal = result.outcome >= wallet_pb2.OUTCOME_TOMBSTONED
        if not refusal:
            self.cash += transfer.cash_change_minor_units
            if getattr(request, "close_round", False):
                self._closed.add(self._round(transfer))
            closed = self._round(transfer) in self._closed
            result.round_state = (
                wallet_pb2.ROUND_STATE_CLOSED if closed else wallet_pb2.ROUND_STATE_OPEN
            )
        else:
            transfer.cash_change_minor_units = 0
        result.seq = self.log.last_seq + 1
        result.available_after.cash_minor_units = self.cash
        result.available_after.bonus_minor_units = self.bonus
        result.available_after.locked_minor_units = 77
        self._recorded[key] = (content, transfer)
        self.log.append(Event(transfer_recorded=transfer))
        return Recorded(_answered(result, self.cash), replayed=False)

    def _round(self, transfer: wallet_pb2.Transfer) -> tuple[str, str, str]:
        return transfer.result.source, transfer.player_id, transfer.round_id


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger has under a key, and since when."""

    result: wallet_pb2.Result
    replayed: bool


_REPLAYED = (("croupier-replayed", "1"),)


def _told(context: Any, recorded: Recorded) -> wallet_pb2.Result:
    if recorded.replayed:
        context.set_trailing_metadata(_REPLAYED)
    return recorded.result


def _content(request: Message) -> bytes:
    return request.SerializeToString(deterministic=True)


def _answered(result: wallet_pb2.Result, available: int) -> wallet_pb2.Result:
    if result.outcome >= wallet_pb2.OUTCOME_TOMBSTONED:
        raise refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            wallet_pb2.Outcome.Name(result.outcome).removeprefix("OUTCOME_"),
            available_minor_units=str(available),
        )
    return result


class MemoryLog:
    """A feed that a test fills."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.incarnation = new_id()
        self._grown = asyncio.Event()

    @property
    def last_seq(self) -> int:
        return len(self.events)

    def append(self, event: Event) -> None:
        event.seq = self.last_seq + 1
        event.create_time.CopyFrom(event.transfer_recorded.result.create_time)
        self.events.append(event)
        self._grown.set()
        self._grown = asyncio.Event()

    async def head(self) -> Head:
        return Head(incarnation=self.incarnation, first_seq=1, last_seq=self.last_seq)

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        return self.events[after_seq : after_seq + limit]

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        try:
            async with asyncio.timeout(within.total_seconds()):
                while self.last_seq < seq:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True


def unavailable() -> UnavailableError:
    return UnavailableError(dependency="disk")


__all__ = [
    "GAME_ID",
    "LaunchDouble",
    "MemoryLog",
    "PlayerDouble",
    "SecurityDouble",
    "WalletDouble",
    "refused",
    "unavailable",
]
