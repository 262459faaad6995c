"""The use cases of limits that players choose."""

from collections.abc import Sequence
from datetime import datetime

from services.kit.database import retry_on_race
from services.player.domain import Limit, LimitKind, LimitPeriod, LimitWish
from services.player.errors import CurrencyNotHeldError, RequestIdReusedError
from services.player.service.followup import FollowUp
from services.player.service.records import Records
from services.player.store import history, limits, players

_KINDS, _PERIODS = list(LimitKind), list(LimitPeriod)


class LimitService:
    """What a player can do with limits, which the wallet enforces.

    A wish is committed here first, then the wallet is told, and only when it has confirmed does the
    call answer, as with restrictions.
    """

    def __init__(self, records: Records, *, follow_up: FollowUp) -> None:
        """Takes the store, and what tells the wallet."""
        self._records = records
        self._follow_up = follow_up

    async def set_limit(self, player_id: str, wish: LimitWish) -> Limit:
        """Sets or lifts a limit: a tighter one at once, a looser one after a day.

        Raises:
            PlayerNotFoundError: There is no such player.
            CurrencyNotHeldError: The player has no wallet in this currency.
            RequestIdReusedError: The request id came with other content before.
            UnavailableError: The wallet does not answer; repeat the call.
        """
        limit = await self._wished(player_id, wish)
        await self._follow_up.tell_wallet(player_id, wish.name)
        return limit

    async def list_limits(self, player_id: str) -> Sequence[Limit]:
        """Lists the limits that are in force or to come, in the order of the contract's numbers.

        Raises:
            PlayerNotFoundError: There is no such player.
        """
        now = self._records.clock.now()
        async with self._records.database.snapshot() as connection:
            await players.get(connection, player_id)
            found = await limits.list_of(connection, player_id)
        return sorted(
            (
                current
                for current in (limit.at(now) for limit in found)
                if current.max_minor_units is not None
            ),
            key=_place,
        )

    @retry_on_race
    async def _wished(self, player_id: str, wish: LimitWish) -> Limit:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            player = await players.lock(connection, player_id)
            stored = await limits.find(connection, player_id, wish.name)
            was = (stored or Limit(name=wish.name)).at(now)
            earlier = await history.find_limit_wish(connection, player_id, wish.request_id)
            if earlier is not None:
                if earlier != wish:
                    raise RequestIdReusedError(request_id=wish.request_id)
                return was
            if wish.name.currency_code != player.currency_code:
                raise CurrencyNotHeldError(currency_code=wish.name.currency_code)
            await history.add_limit_wish(connection, player_id, wish, was=was, now=now)
            limit = was.wished(wish.max_minor_units, now=now)
            if limit == was:
                await self._records.save(connection, player.logged_in(now), was=player, now=now)
                return was
            write = limits.add if stored is None else limits.save
            await write(connection, player_id, limit)
            await self._records.save(
                connection,
                player.logged_in(now),
                limit.setting,
                was=player,
                now=now,
                player_limit_set=_event(player_id, limit, was=was, now=now),
            )
            return limit


def _event(player_id: str, limit: Limit, *, was: Limit, now: datetime) -> dict[str, object]:
    setting = limit.setting
    return {
        "player_id": player_id,
        "currency_code": limit.name.currency_code,
        "kind": limit.name.kind,
        "period": limit.name.period,
        "max_minor_units": setting.max_minor_units,
        "previous_max_minor_units": was.max_minor_units,
        "start_time": setting.start_time or now,
    }


def _place(limit: Limit) -> tuple[str, int, int]:
    name = limit.name
    return name.currency_code, _KINDS.index(name.kind), _PERIODS.index(name.period)
