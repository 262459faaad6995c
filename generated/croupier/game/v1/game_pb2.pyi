import datetime

from croupier.type.v1 import money_pb2 as _money_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Provider(_message.Message):
    __slots__ = ("provider_id", "display_name", "launch_address", "create_time")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    display_name: str
    launch_address: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, provider_id: _Optional[str] = ..., display_name: _Optional[str] = ..., launch_address: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Game(_message.Message):
    __slots__ = ("game_id", "provider_id", "display_name", "currency_codes", "disabled", "wager_weight_bp", "create_time")
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    WAGER_WEIGHT_BP_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    game_id: str
    provider_id: str
    display_name: str
    currency_codes: _containers.RepeatedScalarFieldContainer[str]
    disabled: bool
    wager_weight_bp: int
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, game_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., display_name: _Optional[str] = ..., currency_codes: _Optional[_Iterable[str]] = ..., disabled: _Optional[bool] = ..., wager_weight_bp: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GameSession(_message.Message):
    __slots__ = ("game_session_id", "player_id", "game_id", "provider_id", "currency_code", "state", "create_time", "expire_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[GameSession.State]
        STATE_OPEN: _ClassVar[GameSession.State]
        STATE_ENDED: _ClassVar[GameSession.State]
    STATE_UNSPECIFIED: GameSession.State
    STATE_OPEN: GameSession.State
    STATE_ENDED: GameSession.State
    GAME_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    game_session_id: str
    player_id: str
    game_id: str
    provider_id: str
    currency_code: str
    state: GameSession.State
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, game_session_id: _Optional[str] = ..., player_id: _Optional[str] = ..., game_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., state: _Optional[_Union[GameSession.State, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Movement(_message.Message):
    __slots__ = ("seq", "balance", "outcome", "create_time")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    seq: int
    balance: _money_pb2.Money
    outcome: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, seq: _Optional[int] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., outcome: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Round(_message.Message):
    __slots__ = ("round_id", "provider_round_id", "provider_id", "game_id", "state", "staked", "won", "bet_count", "start_time", "end_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Round.State]
        STATE_IN_PROGRESS: _ClassVar[Round.State]
        STATE_COMPLETE: _ClassVar[Round.State]
        STATE_CANCELLED: _ClassVar[Round.State]
    STATE_UNSPECIFIED: Round.State
    STATE_IN_PROGRESS: Round.State
    STATE_COMPLETE: Round.State
    STATE_CANCELLED: Round.State
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAKED_FIELD_NUMBER: _ClassVar[int]
    WON_FIELD_NUMBER: _ClassVar[int]
    BET_COUNT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    round_id: str
    provider_round_id: str
    provider_id: str
    game_id: str
    state: Round.State
    staked: _money_pb2.Money
    won: _money_pb2.Money
    bet_count: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, round_id: _Optional[str] = ..., provider_round_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., game_id: _Optional[str] = ..., state: _Optional[_Union[Round.State, str]] = ..., staked: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., won: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., bet_count: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
