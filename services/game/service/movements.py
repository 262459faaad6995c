"""What providers do in a session: authenticate it, read the balance and move money.

A movement is one lookup of its session and one call of the Wallet, whose commit is the only one.
"""

from services.game.clients import WalletClient
from services.game.domain import (
    Bet,
    GameSession,
    Movement,
    Play,
    ProviderId,
    Rollback,
    RoundEnd,
    SessionToken,
    SettledBet,
    TransactionId,
    Win,
    check_bet,
    check_currency,
    check_open,
    token_hash,
)
from services.game.errors import (
    GameDisabledError,
    SessionEndedError,
    SessionExpiredError,
    SessionNotFoundError,
)
from services.game.session_cache import SessionCache
from services.game.store import sessions
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.money import Money


class Movements:
    """Serves the providers' calls. Each is told only of sessions of its own."""

    def __init__(
        self,
        *,
        database: Database,
        cache: SessionCache,
        wallet: WalletClient,
        clock: Clock,
    ) -> None:
        """Takes what it works with."""
        self._database = database
        self._cache = cache
        self._wallet = wallet
        self._clock = clock

    async def authenticate_session(
        self, provider_id: ProviderId, token: SessionToken
    ) -> tuple[GameSession, Money]:
        """Tells for whom a token stands, and what the player can bet.

        Raises:
            SessionNotFoundError: It is unknown, or another provider's.
            SessionEndedError: A logout or another launch ended the session.
            SessionExpiredError: The session is too old.
        """
        session = (await self._play(provider_id, token)).session
        check_open(session, now=self._clock.now())
        return session, await self._wallet.get_balance(session)

    async def get_balance(self, provider_id: ProviderId, token: SessionToken) -> Money:
        """Tells what the player can bet; a round that outlives its session still shows it.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
        """
        return await self._wallet.get_balance((await self._play(provider_id, token)).session)

    async def place_bet(self, provider_id: ProviderId, token: SessionToken, bet: Bet) -> Movement:
        """Takes a stake.

        A bet that the ledger has recorded is answered again, whatever became of the session: the
        provider asks because it did not get the first answer.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
            CurrencyMismatchError: The stake is not in the session's currency.
            SessionEndedError: A logout or another launch ended the session.
            SessionExpiredError: The session is too old.
            GameDisabledError: An operator disabled the game.
            RemoteError: The Wallet refuses.
        """
        play = await self._play(provider_id, token)
        check_currency(play.session, bet.amount)
        await self._check_bet(play, bet.transaction_id)
        return await self._wallet.bet(play, bet)

    async def place_and_settle(
        self, provider_id: ProviderId, token: SessionToken, settled: SettledBet
    ) -> tuple[Movement, Movement]:
        """Takes a stake and pays its win, or neither. The session must admit a bet.

        If the ledger has recorded the bet, it is answered again as in `place_bet`, and its win is
        paid at any time, as in `pay_win`.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
            CurrencyMismatchError: The stake or the win is not in the session's currency.
            SessionEndedError: A logout or another launch ended the session.
            SessionExpiredError: The session is too old.
            GameDisabledError: An operator disabled the game.
            RemoteError: The Wallet refuses.
        """
        play = await self._play(provider_id, token)
        for amount in (settled.bet_amount, settled.win_amount):
            check_currency(play.session, amount)
        await self._check_bet(play, settled.bet_transaction_id)
        return await self._wallet.bet_win(play, settled)

    async def pay_win(self, provider_id: ProviderId, token: SessionToken, win: Win) -> Movement:
        """Pays a win, at any time: what is owed is paid.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
            CurrencyMismatchError: The win is not in the session's currency.
            RemoteError: The Wallet refuses.
        """
        session = (await self._play(provider_id, token)).session
        check_currency(session, win.amount)
        return await self._wallet.win(session, win)

    async def roll_back(
        self, provider_id: ProviderId, token: SessionToken, rollback: Rollback
    ) -> Movement:
        """Reverses a bet or a win, at any time.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
            CurrencyMismatchError: The part is not in the session's currency.
            RemoteError: The Wallet refuses.
        """
        session = (await self._play(provider_id, token)).session
        if rollback.amount is not None:
            check_currency(session, rollback.amount)
        return await self._wallet.roll_back(session, rollback)

    async def end_round(
        self, provider_id: ProviderId, token: SessionToken, end: RoundEnd
    ) -> Movement:
        """Ends a round, at any time.

        Raises:
            SessionNotFoundError: The token is unknown, or another provider's.
            RemoteError: The Wallet refuses.
        """
        session = (await self._play(provider_id, token)).session
        return await self._wallet.close_round(session, end)

    async def _check_bet(self, play: Play, transaction_id: TransactionId) -> None:
        try:
            check_bet(play, now=self._clock.now())
        except (SessionEndedError, SessionExpiredError, GameDisabledError):
            # A key that is recorded can move nothing any more, so it is safe to pass it on.
            if not await self._wallet.has_bet(play.session.provider_id, transaction_id):
                raise

    async def _play(self, provider_id: ProviderId, token: SessionToken) -> Play:
        hashed = token_hash(token)
        found = self._cache.find(hashed)
        if found is None:
            mark = self._cache.mark()
            async with self._database.snapshot() as connection:
                found = await sessions.find_play(connection, hashed)
            if found is not None:
                self._cache.put(hashed, found, mark=mark)
        if found is None or found.session.provider_id != provider_id:
            raise SessionNotFoundError
        return found
