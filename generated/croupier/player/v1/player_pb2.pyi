import datetime

from croupier.options.v1 import options_pb2 as _options_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Player(_message.Message):
    __slots__ = ("player_id", "state", "identity_state", "email", "given_name", "family_name", "date_of_birth", "country_code", "currency_code", "exclusion", "create_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Player.State]
        STATE_REGISTERING: _ClassVar[Player.State]
        STATE_ACTIVE: _ClassVar[Player.State]
        STATE_BLOCKED: _ClassVar[Player.State]
    STATE_UNSPECIFIED: Player.State
    STATE_REGISTERING: Player.State
    STATE_ACTIVE: Player.State
    STATE_BLOCKED: Player.State
    class IdentityState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        IDENTITY_STATE_UNSPECIFIED: _ClassVar[Player.IdentityState]
        IDENTITY_STATE_PENDING: _ClassVar[Player.IdentityState]
        IDENTITY_STATE_VERIFIED: _ClassVar[Player.IdentityState]
        IDENTITY_STATE_REFUSED: _ClassVar[Player.IdentityState]
    IDENTITY_STATE_UNSPECIFIED: Player.IdentityState
    IDENTITY_STATE_PENDING: Player.IdentityState
    IDENTITY_STATE_VERIFIED: Player.IdentityState
    IDENTITY_STATE_REFUSED: Player.IdentityState
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_STATE_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    GIVEN_NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    DATE_OF_BIRTH_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_CODE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    EXCLUSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    state: Player.State
    identity_state: Player.IdentityState
    email: str
    given_name: str
    family_name: str
    date_of_birth: str
    country_code: str
    currency_code: str
    exclusion: Exclusion
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, player_id: _Optional[str] = ..., state: _Optional[_Union[Player.State, str]] = ..., identity_state: _Optional[_Union[Player.IdentityState, str]] = ..., email: _Optional[str] = ..., given_name: _Optional[str] = ..., family_name: _Optional[str] = ..., date_of_birth: _Optional[str] = ..., country_code: _Optional[str] = ..., currency_code: _Optional[str] = ..., exclusion: _Optional[_Union[Exclusion, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Exclusion(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PlayerSummary(_message.Message):
    __slots__ = ("player_id", "country_code", "currency_code")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_CODE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    country_code: str
    currency_code: str
    def __init__(self, player_id: _Optional[str] = ..., country_code: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...
