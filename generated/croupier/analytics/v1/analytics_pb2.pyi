import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Granularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANULARITY_UNSPECIFIED: _ClassVar[Granularity]
    GRANULARITY_MINUTE: _ClassVar[Granularity]
    GRANULARITY_HOUR: _ClassVar[Granularity]
    GRANULARITY_DAY: _ClassVar[Granularity]

class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIMENSION_UNSPECIFIED: _ClassVar[Dimension]
    DIMENSION_GAME: _ClassVar[Dimension]
    DIMENSION_PROVIDER: _ClassVar[Dimension]
GRANULARITY_UNSPECIFIED: Granularity
GRANULARITY_MINUTE: Granularity
GRANULARITY_HOUR: Granularity
GRANULARITY_DAY: Granularity
DIMENSION_UNSPECIFIED: Dimension
DIMENSION_GAME: Dimension
DIMENSION_PROVIDER: Dimension

class GameActivity(_message.Message):
    __slots__ = ("bucket_time", "currency_code", "provider_id", "game_id", "bets_minor_units", "wins_minor_units", "ggr_minor_units", "bet_count", "win_count", "rollback_count", "round_count", "active_player_count")
    BUCKET_TIME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    BETS_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    WINS_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    GGR_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    BET_COUNT_FIELD_NUMBER: _ClassVar[int]
    WIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROUND_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_PLAYER_COUNT_FIELD_NUMBER: _ClassVar[int]
    bucket_time: _timestamp_pb2.Timestamp
    currency_code: str
    provider_id: str
    game_id: str
    bets_minor_units: int
    wins_minor_units: int
    ggr_minor_units: int
    bet_count: int
    win_count: int
    rollback_count: int
    round_count: int
    active_player_count: int
    def __init__(self, bucket_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., currency_code: _Optional[str] = ..., provider_id: _Optional[str] = ..., game_id: _Optional[str] = ..., bets_minor_units: _Optional[int] = ..., wins_minor_units: _Optional[int] = ..., ggr_minor_units: _Optional[int] = ..., bet_count: _Optional[int] = ..., win_count: _Optional[int] = ..., rollback_count: _Optional[int] = ..., round_count: _Optional[int] = ..., active_player_count: _Optional[int] = ...) -> None: ...
