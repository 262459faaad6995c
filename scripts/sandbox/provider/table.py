"""Plays rounds: a bet, a draw, a win, and what to do when Croupier does not answer."""

import asyncio
import uuid
from dataclasses import dataclass

import structlog
from croupier.game.v1 import provider_service_pb2
from croupier.type.v1 import money_pb2
from google.protobuf.message import Message

from scripts.sandbox.provider import slot
from scripts.sandbox.provider.wallet import Answer, Wallet

_REPAIR_TRIES_MAX = 20
_REPAIR_PAUSE_S = 3.0
_REPAIRS_MAX = 1000
_UNANSWERED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Round:
    """A round as the player sees it."""

    answer: Answer
    symbols: tuple[str, ...] = ()
    win_minor_units: int = 0
    balance_minor_units: int = 0
    currency_code: str = ""


class Table:
    """Where the slot game is played."""

    def __init__(self, wallet: Wallet) -> None:
        """Takes the wallet that it bets with."""
        self._wallet = wallet
        self._repairs: set[asyncio.Task[None]] = set()

    async def authenticate(self, token: str) -> Answer:
        """Asks for whom a token stands."""
        request = provider_service_pb2.AuthenticateSessionRequest(session_token=token)
        return await self._wallet.call("AuthenticateSession", request)

    async def play(self, token: str, currency_code: str, stake_minor_units: int) -> Round:
        """Plays one round. A round that was not settled in time is settled in the background."""
        round_id = str(uuid.uuid4())
        bet_id = str(uuid.uuid4())
        bet = provider_service_pb2.PlaceBetRequest(
            session_token=token,
            transaction_id=bet_id,
            round_id=round_id,
            amount=money_pb2.Money(currency_code=currency_code, minor_units=stake_minor_units),
        )
        taken = await self._wallet.call("PlaceBet", bet)
        if taken.code in _UNANSWERED:
            # Nobody knows whether the stake was taken. The player saw no spin, so it goes back.
            rollback = provider_service_pb2.RollBackRequest(
                session_token=token,
                transaction_id=str(uuid.uuid4()),
                original_transaction_id=bet_id,
                round_id=round_id,
                end_round=True,
            )
            self._repair("RollBack", rollback)
        if not taken.is_ok:
            return Round(taken)
        spin = slot.spin(stake_minor_units)
        win = provider_service_pb2.PayWinRequest(
            session_token=token,
            transaction_id=str(uuid.uuid4()),
            round_id=round_id,
            amount=money_pb2.Money(currency_code=currency_code, minor_units=spin.win_minor_units),
            bet_transaction_id=bet_id,
            end_round=True,
        )
        paid = await self._wallet.call("PayWin", win)
        if paid.code in _UNANSWERED:
            self._repair("PayWin", win)
        answered = paid if paid.is_ok else taken
        response = answered.response
        balance = response.movement.balance if response is not None else money_pb2.Money()  # type: ignore[attr-defined]  # both responses have a movement
        return Round(paid, spin.symbols, spin.win_minor_units, balance.minor_units, currency_code)

    async def close(self) -> None:
        """Gives up what is being repaired."""
        for task in self._repairs:
            task.cancel()
        await asyncio.gather(*self._repairs, return_exceptions=True)

    def _repair(self, method: str, request: Message) -> None:
        if len(self._repairs) >= _REPAIRS_MAX:
            _log.error("too many repairs", method=method, request=str(request))
            return
        task = asyncio.create_task(self._repeat(method, request), name=f"repair {method}")
        self._repairs.add(task)
        task.add_done_callback(self._repairs.discard)

    async def _repeat(self, method: str, request: Message) -> None:
        for _ in range(_REPAIR_TRIES_MAX):
            await asyncio.sleep(_REPAIR_PAUSE_S)
            answer = await self._wallet.call(method, request)
            if answer.code not in _UNANSWERED:
                _log.info("repaired", method=method, code=answer.code, reason=answer.reason)
                return
        _log.error("not repaired", method=method)
