"""What players, operators and Security call."""

from typing import Any

from croupier.game.v1 import game_service_pb2, game_service_pb2_grpc

from services.game.domain import (
    Game,
    GameId,
    Launch,
    LoginSessionId,
    PlayerId,
    Provider,
    ProviderId,
)
from services.game.service import Catalogue, Launches, Rounds
from services.game.servicer.messages import (
    game_message,
    provider_message,
    round_message,
    session_message,
)
from services.kit.call import caller
from services.kit.clock import Clock, from_timestamp

_PAGE_SIZE = 50


class GameServicer(game_service_pb2_grpc.GameServiceServicer):
    """Serves `croupier.game.v1.GameService`."""

    def __init__(
        self, *, catalogue: Catalogue, launches: Launches, rounds: Rounds, clock: Clock
    ) -> None:
        """Takes the use cases, and the clock that dates what is added to the catalogue."""
        self._catalogue = catalogue
        self._launches = launches
        self._rounds = rounds
        self._clock = clock

    async def ListGames(
        self, request: game_service_pb2.ListGamesRequest, context: Any
    ) -> game_service_pb2.ListGamesResponse:
        """Lists the games that can be launched."""
        del context
        page = await self._catalogue.list_games(
            page_size=request.page_size or _PAGE_SIZE, token=request.page_token
        )
        return game_service_pb2.ListGamesResponse(
            games=map(game_message, page.items), next_page_token=page.next_page_token
        )

    async def LaunchGame(
        self, request: game_service_pb2.LaunchGameRequest, context: Any
    ) -> game_service_pb2.LaunchGameResponse:
        """Launches a game for the calling player."""
        del context
        player = caller()
        launch = Launch(
            player_id=PlayerId(player.subject_id),
            login_session_id=LoginSessionId(player.login_session_id),
            game_id=GameId(request.game_id),
            currency_code=request.currency_code,
            locale=request.locale,
            return_url=request.return_url,
        )
        session, launch_url = await self._launches.launch_game(launch)
        return game_service_pb2.LaunchGameResponse(
            game_session=session_message(session), launch_url=launch_url
        )

    async def ListRounds(
        self, request: game_service_pb2.ListRoundsRequest, context: Any
    ) -> game_service_pb2.ListRoundsResponse:
        """Lists the calling player's rounds."""
        del context
        page = await self._rounds.list_rounds(
            PlayerId(caller().subject_id),
            page_size=request.page_size or _PAGE_SIZE,
            token=request.page_token,
        )
        return game_service_pb2.ListRoundsResponse(
            rounds=map(round_message, page.items), next_page_token=page.next_page_token
        )

    async def CreateProvider(
        self, request: game_service_pb2.CreateProviderRequest, context: Any
    ) -> game_service_pb2.CreateProviderResponse:
        """Adds a provider."""
        del context
        provider = await self._catalogue.create_provider(
            Provider(
                provider_id=ProviderId(request.provider_id),
                display_name=request.display_name,
                launch_address=request.launch_address,
                create_time=self._clock.now(),
            )
        )
        return game_service_pb2.CreateProviderResponse(provider=provider_message(provider))

    async def CreateGame(
        self, request: game_service_pb2.CreateGameRequest, context: Any
    ) -> game_service_pb2.CreateGameResponse:
        """Adds a game."""
        del context
        game = await self._catalogue.create_game(
            Game(
                game_id=GameId(request.game_id),
                provider_id=ProviderId(request.provider_id),
                display_name=request.display_name,
                currency_codes=tuple(sorted(request.currency_codes)),
                wager_weight_bp=request.wager_weight_bp,
                disabled=False,
                create_time=self._clock.now(),
            )
        )
        return game_service_pb2.CreateGameResponse(game=game_message(game))

    async def DisableGame(
        self, request: game_service_pb2.DisableGameRequest, context: Any
    ) -> game_service_pb2.DisableGameResponse:
        """Disables a game."""
        del context
        game = await self._catalogue.disable_game(GameId(request.game_id))
        return game_service_pb2.DisableGameResponse(game=game_message(game))

    async def EnableGame(
        self, request: game_service_pb2.EnableGameRequest, context: Any
    ) -> game_service_pb2.EnableGameResponse:
        """Enables a game."""
        del context
        game = await self._catalogue.enable_game(GameId(request.game_id))
        return game_service_pb2.EnableGameResponse(game=game_message(game))

    async def EndGameSessions(
        self, request: game_service_pb2.EndGameSessionsRequest, context: Any
    ) -> game_service_pb2.EndGameSessionsResponse:
        """Ends game sessions after a logout."""
        del context
        count = await self._launches.end_game_sessions(
            # The rule of the contract takes capitals too; tokens have none.
            [LoginSessionId(each.lower()) for each in request.login_session_ids],
            token_expire_time=from_timestamp(request.token_expire_time),
        )
        return game_service_pb2.EndGameSessionsResponse(ended_count=count)
