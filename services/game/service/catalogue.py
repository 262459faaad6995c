"""What is offered: providers and games."""

from services.game.domain import (
    Game,
    GameId,
    Page,
    Provider,
    check_provider_id,
)
from services.game.errors import GameExistsError, ProviderExistsError, ProviderNotFoundError
from services.game.session_cache import SessionCache
from services.game.store import catalogue as store
from services.kit.database import Database, retry_on_race
from services.kit.errors import CurrencyUnknownError
from services.kit.money import CURRENCIES
from services.kit.paging import page_position, page_token

_PAGE_QUERY = ("games",)


class Catalogue:
    """Keeps the providers and their games."""

    def __init__(self, database: Database, cache: SessionCache) -> None:
        """Takes what it works with."""
        self._database = database
        self._cache = cache

    @retry_on_race
    async def create_provider(self, provider: Provider) -> Provider:
        """Adds a provider, or finds the same one there.

        Raises:
            InvalidRequestError: Its id is the name of a service.
            ProviderExistsError: Its id is taken, with other content.
        """
        check_provider_id(provider.provider_id)
        async with self._database.transaction() as connection:
            found = await store.find_provider(connection, provider.provider_id)
            if found is None:
                await store.insert_provider(connection, provider)
                return provider
        if not found.same_content(provider):
            raise ProviderExistsError(provider_id=provider.provider_id)
        return found

    @retry_on_race
    async def create_game(self, game: Game) -> Game:
        """Adds a game, or finds the same one there.

        Raises:
            CurrencyUnknownError: One of its currencies is not in the registry.
            ProviderNotFoundError: There is no such provider.
            GameExistsError: Its id is taken, with other content.
        """
        for code in game.currency_codes:
            if code not in CURRENCIES:
                raise CurrencyUnknownError(code)
        async with self._database.transaction() as connection:
            if await store.find_provider(connection, game.provider_id) is None:
                raise ProviderNotFoundError(provider_id=game.provider_id)
            found = await store.find_game(connection, game.game_id)
            if found is None:
                await store.insert_game(connection, game)
                return game
        if not found.same_content(game):
            raise GameExistsError(game_id=game.game_id)
        return found

    async def disable_game(self, game_id: GameId) -> Game:
        """Ends launches of a game and bets in it.

        Raises:
            GameNotFoundError: There is no such game.
        """
        return await self._set_disabled(game_id, disabled=True)

    async def enable_game(self, game_id: GameId) -> Game:
        """Admits launches of a game and bets in it again.

        Raises:
            GameNotFoundError: There is no such game.
        """
        return await self._set_disabled(game_id, disabled=False)

    async def list_games(self, *, page_size: int, token: str) -> Page[Game]:
        """Lists the games that can be launched, by display name.

        Raises:
            PageTokenInvalidError: The token is not of this list.
        """
        position = page_position(token, query=_PAGE_QUERY, shape=(str,))
        after = None if position is None else GameId(str(position[0]))
        async with self._database.snapshot() as connection:
            games = await store.page_enabled_games(connection, after=after, limit=page_size + 1)
        shown = games[:page_size]
        more = len(games) > page_size
        return Page(shown, page_token([shown[-1].game_id], query=_PAGE_QUERY) if more else "")

    @retry_on_race
    async def _set_disabled(self, game_id: GameId, *, disabled: bool) -> Game:
        try:
            async with self._database.transaction() as connection:
                await store.set_disabled(connection, game_id, disabled=disabled)
                return await store.get_game(connection, game_id)
        finally:
            self._cache.forget_game(game_id)
