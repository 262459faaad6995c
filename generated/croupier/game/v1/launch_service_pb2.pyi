from buf.validate import validate_pb2 as _validate_pb2
from croupier.options.v1 import options_pb2 as _options_pb2
from croupier.player.v1 import player_pb2 as _player_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenGameRequest(_message.Message):
    __slots__ = ("session_token", "game_id", "currency_code", "player", "locale", "return_url")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    PLAYER_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    RETURN_URL_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    game_id: str
    currency_code: str
    player: _player_pb2.PlayerSummary
    locale: str
    return_url: str
    def __init__(self, session_token: _Optional[str] = ..., game_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., player: _Optional[_Union[_player_pb2.PlayerSummary, _Mapping]] = ..., locale: _Optional[str] = ..., return_url: _Optional[str] = ...) -> None: ...

class OpenGameResponse(_message.Message):
    __slots__ = ("launch_url",)
    LAUNCH_URL_FIELD_NUMBER: _ClassVar[int]
    launch_url: str
    def __init__(self, launch_url: _Optional[str] = ...) -> None: ...
