"""Security and Wallet as Player sees them, with faults to switch on."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from croupier.security.v1 import security_service_pb2
from croupier.wallet.v1 import (
    back_office_pb2,
    wallet_pb2,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)

from services.kit.errors import RemoteError, ServiceError, UnavailableError
from tests.kit.security import KeysDouble
from tests.kit.tokens import TokenIssuer

# gRPC itself tries so often; a fault that a caller shall see lasts as long.
TRIES = 3


def refused(code: grpc.StatusCode, reason: str) -> ServiceError:
    return RemoteError(code=code, reason=f"ERROR_REASON_{reason}", message="no", metadata={})


class Faults:
    """Which methods fail, how often, and whether they do their work before."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._before: dict[str, list[Exception]] = {}
        self._after: dict[str, list[Exception]] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self.entered = asyncio.Event()

    def fail(self, method: str, *, times: int = TRIES, error: Exception | None = None) -> None:
        """Fails before anything is done."""
        self._before[method] = [error or UnavailableError(dependency="double")] * times

    def lose_answer(self, method: str, *, times: int = TRIES) -> None:
        """Does what was asked, and answers that it is unavailable."""
        self._after[method] = [UnavailableError(dependency="double")] * times

    def hold(self, method: str) -> asyncio.Event:
        """Holds the next call back until the event is set, even if its caller has left."""
        return self._gates.setdefault(method, asyncio.Event())

    def heal(self) -> None:
        self._before.clear()
        self._after.clear()

    async def around(self, method: str, act: Callable[[], Any]) -> Any:
        self.calls[method] += 1
        return await asyncio.shield(asyncio.ensure_future(self._around(method, act)))

    async def _around(self, method: str, act: Callable[[], Any]) -> Any:
        gate = self._gates.pop(method, None)
        if gate is not None:
            self.entered.set()
            await gate.wait()
        if self._before.get(method):
            raise self._before[method].pop()
        answer = act()
        if self._after.get(method):
            raise self._after[method].pop()
        return answer


class SecurityDouble(KeysDouble):
    """Keeps credentials as the contract says."""

    def __init__(self, tokens: TokenIssuer) -> None:
        super().__init__(tokens)
        self.faults = Faults()
        self.credentials: dict[str, tuple[str, str]] = {}
        self.ended: list[str] = []

    async def CreateCredential(self, request: Any, context: Any) -> Any:
        def create() -> Any:
            if request.password == "password1234":
                raise refused(grpc.StatusCode.INVALID_ARGUMENT, "PASSWORD_TOO_COMMON")
            wanted = (request.player_id, request.password)
            if self.credentials.setdefault(request.email.lower(), wanted) != wanted:
                raise refused(grpc.StatusCode.ALREADY_EXISTS, "LOGIN_TAKEN")
            return security_service_pb2.CreateCredentialResponse()

        return await self.faults.around("CreateCredential", create)

    async def EndLoginSessions(self, request: Any, context: Any) -> Any:
        def end() -> Any:
            self.ended.append(request.player_id)
            return security_service_pb2.EndLoginSessionsResponse(ended_count=1)

        return await self.faults.around("EndLoginSessions", end)


# How long after a wish a looser maximum begins: tells the double when the wish was made.
DELAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class MaximumDouble:
    """A limit as the wallet has it."""

    now: int | None = None
    next: int | None = None
    next_time: datetime | None = None


class WalletDouble(wallet_service_pb2_grpc.WalletServiceServicer):
    """Keeps wallets, restrictions and limits as the contract says: a key has one outcome."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.wallets: dict[str, str] = {}
        self.restrictions: dict[str, frozenset[str]] = {}
        self.told: list[tuple[str, str]] = []
        """Who wanted restrictions and why, as each call said."""
        self.limits: dict[tuple[str, ...], MaximumDouble] = {}
        self._keys: dict[str, object] = {}

    def of(self, player_id: str) -> frozenset[str]:
        """The restrictions of a player, by their short names."""
        return self.restrictions.get(player_id, frozenset())

    def limit(
        self, player_id: str, now: datetime, kind: str = "DEPOSIT", period: str = "DAY"
    ) -> int | None:
        """The maximum that is in force for a player, in EUR."""
        found = self.limits.get((player_id, "EUR", kind, period), MaximumDouble())
        if found.next_time is not None and now >= found.next_time:
            return found.next
        return found.now

    async def OpenWallet(self, request: Any, context: Any) -> Any:
        def open_wallet() -> Any:
            self.wallets.setdefault(request.player_id, request.currency_code)
            return wallet_service_pb2.OpenWalletResponse()

        return await self.faults.around("OpenWallet", open_wallet)

    async def SetRestrictions(self, request: Any, context: Any) -> Any:
        def set_restrictions() -> Any:
            self.told.append((request.actor_id, request.reason))
            named = frozenset(
                wallet_pb2.Restriction.Name(value).removeprefix("RESTRICTION_")
                for value in request.restrictions
            )
            if self._is_new(request, (request.player_id, named)):
                self.restrictions[request.player_id] = named
            return wallet_service_pb2.SetRestrictionsResponse()

        return await self.faults.around("SetRestrictions", set_restrictions)

    async def SetLimit(self, request: Any, context: Any) -> Any:
        def set_limit() -> Any:
            if self._is_new(request, request.SerializeToString(deterministic=True)):
                name = (
                    request.player_id,
                    request.currency_code,
                    back_office_pb2.LimitKind.Name(request.kind).removeprefix("LIMIT_KIND_"),
                    back_office_pb2.LimitPeriod.Name(request.period).removeprefix("LIMIT_PERIOD_"),
                )
                most = request.max_minor_units if request.HasField("max_minor_units") else None
                kept = self.limits.get(name, MaximumDouble())
                if request.HasField("start_time"):
                    start_time = request.start_time.ToDatetime(tzinfo=UTC)
                    if kept.next_time is not None and kept.next_time <= start_time - DELAY:
                        kept = MaximumDouble(now=kept.next)
                    self.limits[name] = MaximumDouble(kept.now, most, start_time)
                else:
                    self.limits[name] = MaximumDouble(now=most)
            return wallet_service_pb2.SetLimitResponse()

        return await self.faults.around("SetLimit", set_limit)

    def _is_new(self, request: Any, content: object) -> bool:
        if request.request_id in self._keys:
            if self._keys[request.request_id] != content:
                raise refused(grpc.StatusCode.ALREADY_EXISTS, "KEY_REUSED")
            return False
        if request.player_id not in self.wallets:
            raise refused(grpc.StatusCode.FAILED_PRECONDITION, "PLAYER_NOT_FOUND")
        self._keys[request.request_id] = content
        return True
