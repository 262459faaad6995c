"""What other services must do because of a player's state, until they have confirmed it."""

from dataclasses import replace

from services.kit.database import retry_on_race
from services.kit.errors import UnavailableError
from services.player.clients import SecurityClient, WalletClient
from services.player.domain import Change, Player, Subject, next_step
from services.player.service.records import Records
from services.player.store import outstanding, players

# More changes than this in a row mean that others make new ones faster than this call sends them.
_CHANGES_SENT_MAX = 10


class FollowUp:
    """Brings Wallet and Security to where a player's record is.

    Everything here may be repeated, and run at once by several calls and processes.
    """

    def __init__(self, records: Records, *, security: SecurityClient, wallet: WalletClient) -> None:
        """Takes the store and the two peers."""
        self._records = records
        self._security = security
        self._wallet = wallet

    async def open_wallet(self, player_id: str) -> Player:
        """Opens the player's wallet if it is not known to be open; returns the player.

        Raises:
            PlayerNotFoundError: There is no such player.
            UnavailableError: The wallet does not answer.
        """
        async with self._records.database.snapshot() as connection:
            player = await players.get(connection, player_id)
        if player.wallet_open_time is not None:
            return player
        await self._wallet.open_wallet(player_id=player_id, currency_code=player.currency_code)
        return await self._wallet_opened(player_id)

    async def tell_wallet(self, player_id: str, subject: Subject) -> None:
        """Sends the player's changes of a subject to the wallet until it has confirmed the newest.

        Raises:
            UnavailableError: The wallet does not answer; what is left is sent later.
        """
        await self.open_wallet(player_id)
        sent: Change | None = None
        for _ in range(_CHANGES_SENT_MAX):
            sent = await self._next_change(player_id, subject, confirmed=sent)
            if sent is None:
                return
            await self._wallet.apply(sent)
        raise UnavailableError(dependency="wallet")

    async def tell_wallet_all(self, player_id: str) -> None:
        """Does so for all that the wallet has not confirmed.

        Raises:
            UnavailableError: The wallet does not answer; what is left is sent later.
        """
        async with self._records.database.snapshot() as connection:
            subjects = await outstanding.list_subjects(connection, player_id)
        for subject in subjects:
            await self.tell_wallet(player_id, subject)

    async def end_login_sessions(self, player_id: str, *, if_due: bool) -> None:
        """Has Security end the player's login sessions.

        Args:
            player_id: The player.
            if_due: Does so only if they are not known to have ended since the last block.

        Raises:
            UnavailableError: Security does not answer; they are ended later.
        """
        async with self._records.database.snapshot() as connection:
            block_ids = await outstanding.list_session_endings(connection, player_id)
        if if_due and not block_ids:
            return
        await self._security.end_login_sessions(player_id=player_id)
        # Only the blocks that were there before the call: a later one wants a later call.
        async with self._records.database.transaction() as connection:
            await outstanding.remove_session_endings(connection, block_ids)

    @retry_on_race
    async def _wallet_opened(self, player_id: str) -> Player:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            if was.wallet_open_time is not None:
                return was
            player = replace(was, wallet_open_time=now)
            return await self._records.save(connection, player, was=was, now=now)

    @retry_on_race
    async def _next_change(
        self, player_id: str, subject: Subject, *, confirmed: Change | None
    ) -> Change | None:
        """Settles the change that the wallet has confirmed, and returns the one to send now."""
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            # Everybody who decides what is sent next for this player waits here.
            await players.lock(connection, player_id)
            if confirmed is not None:
                await outstanding.settle_change(connection, confirmed, superseded=False, now=now)
            changes = await outstanding.list_changes(connection, player_id, subject)
            step = next_step(changes)
            if step is None:
                return None
            for change in step.superseded:
                await outstanding.settle_change(connection, change, superseded=True, now=now)
            await outstanding.mark_attempted(connection, step.send, now=now)
            return step.send
