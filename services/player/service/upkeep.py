"""Finishes in the background what a call could not."""

from dataclasses import replace
from datetime import timedelta

import structlog

from services.kit.clients import PeerFaultError
from services.kit.database import retry_on_race
from services.kit.errors import ServiceError, UnavailableError
from services.player.domain import RESTRICTIONS
from services.player.service.followup import FollowUp
from services.player.service.records import Records
from services.player.store import outstanding, players

_PAGE_MAX = 100
# A call that is still at it gets this long before its work counts as left over.
_GRACE = timedelta(seconds=10)
_log = structlog.get_logger()


class Upkeep:
    """Ends exclusions that are over, and repeats what Wallet and Security have not confirmed."""

    def __init__(self, records: Records, follow_up: FollowUp) -> None:
        """Takes the store and the peers."""
        self._records = records
        self._follow_up = follow_up
        self._after_player_id = ""

    async def sweep(self) -> None:
        """Does one page of what is due.

        Pages follow each other around all players, so that no player whose work fails again and
        again keeps another one waiting. After a failure they begin anew.
        """
        after, self._after_player_id = self._after_player_id, ""
        self._after_player_id = await self._sweep_page(after)

    async def _sweep_page(self, after_player_id: str) -> str:
        """Does one page, and returns where the next one begins."""
        now = self._records.clock.now()
        async with self._records.database.snapshot() as connection:
            due = await outstanding.page_due(
                connection,
                after_player_id=after_player_id,
                now=now,
                older_than=now - _GRACE,
                limit=_PAGE_MAX,
            )
        for player_id in due:
            try:
                await self._finish(player_id)
            except UnavailableError as error:
                # The others would wait for the same peer.
                _log.warning("upkeep waits", player_id=player_id, error=error.message)
                return player_id
            except (ServiceError, PeerFaultError) as error:
                _log.error("upkeep refused", player_id=player_id, error=str(error))
        return due[-1] if len(due) == _PAGE_MAX else ""

    async def _finish(self, player_id: str) -> None:
        await self._end_exclusion(player_id)
        await self._follow_up.tell_wallet(player_id, RESTRICTIONS)
        await self._follow_up.end_login_sessions(player_id, if_due=True)
        await self._follow_up.tell_wallet_all(player_id)

    @retry_on_race
    async def _end_exclusion(self, player_id: str) -> None:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            if was.exclusion is not None and not was.exclusion.covers(now):
                await self._records.save(connection, replace(was, exclusion=None), was=was, now=now)
