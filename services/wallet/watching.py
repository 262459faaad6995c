"""The stream of a player's balances: changes, signs of life, and an end that says why."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta

from croupier.wallet.v1 import wallet_service_pb2

from services.kit.call import Caller
from services.kit.clock import Clock, to_timestamp
from services.wallet.messages import balance_message
from services.wallet.store import Balance

_HEARTBEAT = timedelta(seconds=15)
_AGE_MAX = timedelta(hours=1)
# A cancelled wait for the next change ends within one turn of the loop; this only bounds a fault.
_CLOSE_TIMEOUT_S = 1.0

_Response = wallet_service_pb2.WatchBalancesResponse
_End = wallet_service_pb2.StreamEnd


class BalanceStreams:
    """Makes the streams of one server, and ends them when it drains."""

    def __init__(self, *, clock: Clock, heartbeat: timedelta = _HEARTBEAT) -> None:
        """Takes the clock that tells when tokens expire.

        Args:
            clock: As above.
            heartbeat: After how long a silence a reader gets a sign of life.
        """
        self._clock = clock
        self._heartbeat_s = heartbeat.total_seconds()
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """Ends all streams, for `Server.on_drain`."""
        self._draining.set()

    async def stream(
        self, changes: AsyncGenerator[Balance, None], caller: Caller
    ) -> AsyncIterator[_Response]:
        """Yields each change until the caller's token expires, an hour passes or the server drains.

        An access token cannot be revoked, so a stream may not outlive it.
        """
        life, cause = self._life_of(caller)
        loop = asyncio.get_running_loop()
        end = loop.time() + life.total_seconds()
        following = asyncio.ensure_future(anext(changes))
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            while not draining.done() and (left := end - loop.time()) > 0:
                done, _ = await asyncio.wait(
                    {following, draining},
                    timeout=min(self._heartbeat_s, left),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if following in done:
                    yield _Response(balance=balance_message(following.result()))
                    following = asyncio.ensure_future(anext(changes))
                elif not done and loop.time() < end:
                    yield _Response(heartbeat=self._sign_of_life())
        finally:
            draining.cancel()
            following.cancel()
            await asyncio.wait({following}, timeout=_CLOSE_TIMEOUT_S)
            await changes.aclose()
        yield _Response(end=_End(cause=_End.CAUSE_DRAINING if self._draining.is_set() else cause))

    def _life_of(self, caller: Caller) -> tuple[timedelta, "_End.Cause.ValueType"]:
        if caller.expire_time is not None:
            life = caller.expire_time - self._clock.now()
            if life < _AGE_MAX:
                return life, _End.CAUSE_TOKEN_EXPIRED
        return _AGE_MAX, _End.CAUSE_MAX_AGE

    def _sign_of_life(self) -> wallet_service_pb2.Heartbeat:
        return wallet_service_pb2.Heartbeat(time=to_timestamp(self._clock.now()))
