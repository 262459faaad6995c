"""Calls to Security and Wallet."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from croupier.wallet.v1 import (
    back_office_pb2,
    wallet_pb2,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)

from services.kit.clients import Peer, PeerFaultError
from services.kit.errors import (
    DeadlineExceededError,
    OverloadedError,
    RemoteError,
    UnavailableError,
)
from services.kit.keys import SECURITY_SERVICE
from services.kit.tls import Identity
from services.player.domain import Change, LimitSetting, Restrictions

_WALLET_SERVICE = wallet_service_pb2.DESCRIPTOR.services_by_name["WalletService"].full_name

ResponseT = TypeVar("ResponseT")


class SecurityClient:
    """What Player asks of Security."""

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Security at `address`."""
        self._peer = Peer(
            "security", address, identity=identity, services=(SECURITY_SERVICE,), timeout=timeout
        )
        self._stub = security_service_pb2_grpc.SecurityServiceStub(self._peer.channel)

    async def create_credential(self, *, player_id: str, email: str, password: str) -> None:
        """Creates the credential of a player; safe to repeat with the same arguments.

        Raises:
            RemoteError: Security refuses the address or the password.
            UnavailableError: It does not answer.
            DeadlineExceededError: It did not answer in time.
        """
        request = security_service_pb2.CreateCredentialRequest(
            player_id=player_id, email=email, password=password
        )
        await self._peer.call(self._stub.CreateCredential, request)

    async def end_login_sessions(self, *, player_id: str) -> None:
        """Ends all login and game sessions of a player; safe to repeat.

        Raises:
            UnavailableError: It is not known to have happened.
        """
        request = security_service_pb2.EndLoginSessionsRequest(player_id=player_id)
        await _certain(self._peer, self._peer.call(self._stub.EndLoginSessions, request))

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()


class WalletClient:
    """What Player asks of Wallet."""

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Wallet at `address`."""
        self._peer = Peer(
            "wallet", address, identity=identity, services=(_WALLET_SERVICE,), timeout=timeout
        )
        self._stub = wallet_service_pb2_grpc.WalletServiceStub(self._peer.channel)

    async def open_wallet(self, *, player_id: str, currency_code: str) -> None:
        """Opens the wallet of a player; safe to repeat.

        Raises:
            UnavailableError: It is not known to be open.
        """
        request = wallet_service_pb2.OpenWalletRequest(
            player_id=player_id, currency_code=currency_code
        )
        await _certain(self._peer, self._peer.call(self._stub.OpenWallet, request))

    async def apply(self, change: Change) -> None:
        """Tells the wallet what to enforce from now on; a repeat has no effect.

        Raises:
            UnavailableError: It is not known to have happened.
        """
        if isinstance(change.content, LimitSetting):
            await self._set_limit(change, change.content)
        else:
            await self._set_restrictions(change, change.content)

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()

    async def _set_limit(self, change: Change, setting: LimitSetting) -> None:
        request = wallet_service_pb2.SetLimitRequest(
            request_id=change.change_id,
            player_id=change.player_id,
            currency_code=setting.name.currency_code,
            kind=back_office_pb2.LimitKind.Value(setting.name.kind),
            period=back_office_pb2.LimitPeriod.Value(setting.name.period),
            max_minor_units=setting.max_minor_units,
        )
        if setting.start_time is not None:
            request.start_time.FromDatetime(setting.start_time)
        await _certain(self._peer, self._peer.call(self._stub.SetLimit, request))

    async def _set_restrictions(self, change: Change, restrictions: Restrictions) -> None:
        request = wallet_service_pb2.SetRestrictionsRequest(
            request_id=change.change_id,
            player_id=change.player_id,
            restrictions=[wallet_pb2.Restriction.Value(name) for name in sorted(restrictions)],
            actor_id=change.origin.actor_id,
            reason=change.origin.reason,
        )
        await _certain(self._peer, self._peer.call(self._stub.SetRestrictions, request))


async def _certain(peer: Peer, call: Awaitable[ResponseT]) -> ResponseT:
    """Waits for an answer, of which none but success means anything to our caller.

    Raises:
        UnavailableError: There is none; the caller may repeat.
        PeerFaultError: The peer refuses what it must not refuse.
    """
    try:
        return await call
    except (DeadlineExceededError, OverloadedError):
        raise UnavailableError(dependency=peer.name) from None
    except RemoteError as error:
        raise PeerFaultError(f"{peer.name}: {error.reason}: {error.message}") from None
