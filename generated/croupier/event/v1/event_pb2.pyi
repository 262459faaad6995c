import datetime

from croupier.wallet.v1 import wallet_pb2 as _wallet_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("seq", "create_time", "trace_id", "transfer_recorded", "player_registered", "player_identity_checked", "player_excluded", "player_blocked", "player_unblocked", "game_launched", "login_succeeded", "login_failed", "login_session_ended")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_RECORDED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_IDENTITY_CHECKED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_UNBLOCKED_FIELD_NUMBER: _ClassVar[int]
    GAME_LAUNCHED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_FAILED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_SESSION_ENDED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    create_time: _timestamp_pb2.Timestamp
    trace_id: str
    transfer_recorded: _wallet_pb2.Transfer
    player_registered: PlayerRegistered
    player_identity_checked: PlayerIdentityChecked
    player_excluded: PlayerExcluded
    player_blocked: PlayerBlocked
    player_unblocked: PlayerUnblocked
    game_launched: GameLaunched
    login_succeeded: LoginSucceeded
    login_failed: LoginFailed
    login_session_ended: LoginSessionEnded
    def __init__(self, seq: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trace_id: _Optional[str] = ..., transfer_recorded: _Optional[_Union[_wallet_pb2.Transfer, _Mapping]] = ..., player_registered: _Optional[_Union[PlayerRegistered, _Mapping]] = ..., player_identity_checked: _Optional[_Union[PlayerIdentityChecked, _Mapping]] = ..., player_excluded: _Optional[_Union[PlayerExcluded, _Mapping]] = ..., player_blocked: _Optional[_Union[PlayerBlocked, _Mapping]] = ..., player_unblocked: _Optional[_Union[PlayerUnblocked, _Mapping]] = ..., game_launched: _Optional[_Union[GameLaunched, _Mapping]] = ..., login_succeeded: _Optional[_Union[LoginSucceeded, _Mapping]] = ..., login_failed: _Optional[_Union[LoginFailed, _Mapping]] = ..., login_session_ended: _Optional[_Union[LoginSessionEnded, _Mapping]] = ...) -> None: ...

class PlayerRegistered(_message.Message):
    __slots__ = ("player_id", "country_code", "currency_code")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_CODE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    country_code: str
    currency_code: str
    def __init__(self, player_id: _Optional[str] = ..., country_code: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...

class PlayerIdentityChecked(_message.Message):
    __slots__ = ("player_id", "verified")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    verified: bool
    def __init__(self, player_id: _Optional[str] = ..., verified: _Optional[bool] = ...) -> None: ...

class PlayerExcluded(_message.Message):
    __slots__ = ("player_id", "end_time")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, player_id: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PlayerBlocked(_message.Message):
    __slots__ = ("player_id", "operator_id", "reason")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    operator_id: str
    reason: str
    def __init__(self, player_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PlayerUnblocked(_message.Message):
    __slots__ = ("player_id", "operator_id", "reason")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    operator_id: str
    reason: str
    def __init__(self, player_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class GameLaunched(_message.Message):
    __slots__ = ("game_session_id", "player_id", "game_id", "provider_id", "currency_code")
    GAME_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    game_session_id: str
    player_id: str
    game_id: str
    provider_id: str
    currency_code: str
    def __init__(self, game_session_id: _Optional[str] = ..., player_id: _Optional[str] = ..., game_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...

class LoginSucceeded(_message.Message):
    __slots__ = ("subject_id", "login_session_id", "client_address")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    LOGIN_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    login_session_id: str
    client_address: str
    def __init__(self, subject_id: _Optional[str] = ..., login_session_id: _Optional[str] = ..., client_address: _Optional[str] = ...) -> None: ...

class LoginFailed(_message.Message):
    __slots__ = ("subject_id", "client_address", "locked")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    client_address: str
    locked: bool
    def __init__(self, subject_id: _Optional[str] = ..., client_address: _Optional[str] = ..., locked: _Optional[bool] = ...) -> None: ...

class LoginSessionEnded(_message.Message):
    __slots__ = ("subject_id", "login_session_id")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    LOGIN_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    login_session_id: str
    def __init__(self, subject_id: _Optional[str] = ..., login_session_id: _Optional[str] = ...) -> None: ...
