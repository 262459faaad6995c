import datetime

from buf.validate import validate_pb2 as _validate_pb2
from croupier.game.v1 import game_pb2 as _game_pb2
from croupier.options.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListGamesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGamesResponse(_message.Message):
    __slots__ = ("games", "next_page_token")
    GAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    games: _containers.RepeatedCompositeFieldContainer[_game_pb2.Game]
    next_page_token: str
    def __init__(self, games: _Optional[_Iterable[_Union[_game_pb2.Game, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LaunchGameRequest(_message.Message):
    __slots__ = ("game_id", "currency_code", "locale", "return_url")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    RETURN_URL_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    currency_code: str
    locale: str
    return_url: str
    def __init__(self, game_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., locale: _Optional[str] = ..., return_url: _Optional[str] = ...) -> None: ...

class LaunchGameResponse(_message.Message):
    __slots__ = ("game_session", "launch_url")
    GAME_SESSION_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_URL_FIELD_NUMBER: _ClassVar[int]
    game_session: _game_pb2.GameSession
    launch_url: str
    def __init__(self, game_session: _Optional[_Union[_game_pb2.GameSession, _Mapping]] = ..., launch_url: _Optional[str] = ...) -> None: ...

class ListRoundsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoundsResponse(_message.Message):
    __slots__ = ("rounds", "next_page_token")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rounds: _containers.RepeatedCompositeFieldContainer[_game_pb2.Round]
    next_page_token: str
    def __init__(self, rounds: _Optional[_Iterable[_Union[_game_pb2.Round, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CreateProviderRequest(_message.Message):
    __slots__ = ("provider_id", "display_name", "launch_address")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    display_name: str
    launch_address: str
    def __init__(self, provider_id: _Optional[str] = ..., display_name: _Optional[str] = ..., launch_address: _Optional[str] = ...) -> None: ...

class CreateProviderResponse(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: _game_pb2.Provider
    def __init__(self, provider: _Optional[_Union[_game_pb2.Provider, _Mapping]] = ...) -> None: ...

class CreateGameRequest(_message.Message):
    __slots__ = ("provider_id", "game_id", "display_name", "currency_codes", "wager_weight_bp")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODES_FIELD_NUMBER: _ClassVar[int]
    WAGER_WEIGHT_BP_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    game_id: str
    display_name: str
    currency_codes: _containers.RepeatedScalarFieldContainer[str]
    wager_weight_bp: int
    def __init__(self, provider_id: _Optional[str] = ..., game_id: _Optional[str] = ..., display_name: _Optional[str] = ..., currency_codes: _Optional[_Iterable[str]] = ..., wager_weight_bp: _Optional[int] = ...) -> None: ...

class CreateGameResponse(_message.Message):
    __slots__ = ("game",)
    GAME_FIELD_NUMBER: _ClassVar[int]
    game: _game_pb2.Game
    def __init__(self, game: _Optional[_Union[_game_pb2.Game, _Mapping]] = ...) -> None: ...

class DisableGameRequest(_message.Message):
    __slots__ = ("game_id",)
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    def __init__(self, game_id: _Optional[str] = ...) -> None: ...

class DisableGameResponse(_message.Message):
    __slots__ = ("game",)
    GAME_FIELD_NUMBER: _ClassVar[int]
    game: _game_pb2.Game
    def __init__(self, game: _Optional[_Union[_game_pb2.Game, _Mapping]] = ...) -> None: ...

class EnableGameRequest(_message.Message):
    __slots__ = ("game_id",)
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    def __init__(self, game_id: _Optional[str] = ...) -> None: ...

class EnableGameResponse(_message.Message):
    __slots__ = ("game",)
    GAME_FIELD_NUMBER: _ClassVar[int]
    game: _game_pb2.Game
    def __init__(self, game: _Optional[_Union[_game_pb2.Game, _Mapping]] = ...) -> None: ...

class EndGameSessionsRequest(_message.Message):
    __slots__ = ("login_session_ids", "token_expire_time")
    LOGIN_SESSION_IDS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    login_session_ids: _containers.RepeatedScalarFieldContainer[str]
    token_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, login_session_ids: _Optional[_Iterable[str]] = ..., token_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EndGameSessionsResponse(_message.Message):
    __slots__ = ("ended_count",)
    ENDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ended_count: int
    def __init__(self, ended_count: _Optional[int] = ...) -> None: ...
