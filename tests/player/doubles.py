"""Security and Wallet as Player sees them, with faults to switch on."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from croupier.wallet.v1 import wallet_pb2, wallet_service_pb2, wallet_service_pb2_grpc
from google.protobuf.json_format import ParseDict

from services.kit.errors import RemoteError, ServiceError, UnavailableError
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


class SecurityDouble(security_service_pb2_grpc.SecurityServiceServicer):
    """Keeps credentials as the contract says."""

    def __init__(self, tokens: TokenIssuer) -> None:
        self.faults = Faults()
        self.credentials: dict[str, tuple[str, str]] = {}
        self.ended: list[str] = []
        self._tokens = tokens

    async def GetJwks(self, request: Any, context: Any) -> Any:
        keys = dict(await self._tokens.fetch_keys())
        return ParseDict(keys, security_service_pb2.GetJwksResponse(), ignore_unknown_fields=True)

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


class WalletDouble(wallet_service_pb2_grpc.WalletServiceServicer):
    """Keeps wallets and restrictions as the contract says: a key has one outcome for ever."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.wallets: dict[str, str] = {}
        self.restrictions: dict[str, frozenset[str]] = {}
        self._keys: dict[str, tuple[str, frozenset[str]]] = {}

    def of(self, player_id: str) -> frozenset[str]:
        """The restrictions of a player, by their short names."""
        return self.restrictions.get(player_id, frozenset())

    async def OpenWallet(self, request: Any, context: Any) -> Any:
        def open_wallet() -> Any:
            self.wallets.setdefault(request.player_id, request.currency_code)
            return wallet_service_pb2.OpenWalletResponse()

        return await self.faults.around("OpenWallet", open_wallet)

    async def SetRestrictions(self, request: Any, context: Any) -> Any:
        def set_restrictions() -> Any:
            named = frozenset(
                wallet_pb2.Restriction.Name(value).removeprefix("RESTRICTION_")
                for value in request.restrictions
            )
            content = (request.player_id, named)
            if request.request_id in self._keys:
                if self._keys[request.request_id] != content:
                    raise refused(grpc.StatusCode.ALREADY_EXISTS, "KEY_REUSED")
            elif request.player_id not in self.wallets:
                raise refused(grpc.StatusCode.FAILED_PRECONDITION, "PLAYER_NOT_FOUND")
            else:
                self._keys[request.request_id] = content
                self.restrictions[request.player_id] = named
            return wallet_service_pb2.SetRestrictionsResponse()

        return await self.faults.around("SetRestrictions", set_restrictions)


async def until(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 20) -> None:
    """Waits for a condition, with a bound."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.01)
