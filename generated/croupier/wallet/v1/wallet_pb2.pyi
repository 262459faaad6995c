import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Bucket(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUCKET_UNSPECIFIED: _ClassVar[Bucket]
    BUCKET_CASH: _ClassVar[Bucket]
    BUCKET_BONUS: _ClassVar[Bucket]
    BUCKET_LOCKED: _ClassVar[Bucket]

class Restriction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTRICTION_UNSPECIFIED: _ClassVar[Restriction]
    RESTRICTION_NO_BET: _ClassVar[Restriction]
    RESTRICTION_NO_DEPOSIT: _ClassVar[Restriction]
    RESTRICTION_NO_WITHDRAW: _ClassVar[Restriction]
    RESTRICTION_NO_BONUS: _ClassVar[Restriction]

class RoundState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUND_STATE_UNSPECIFIED: _ClassVar[RoundState]
    ROUND_STATE_OPEN: _ClassVar[RoundState]
    ROUND_STATE_CLOSED: _ClassVar[RoundState]

class TransferKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFER_KIND_UNSPECIFIED: _ClassVar[TransferKind]
    TRANSFER_KIND_OPEN_WALLET: _ClassVar[TransferKind]
    TRANSFER_KIND_SET_RESTRICTION: _ClassVar[TransferKind]
    TRANSFER_KIND_SET_LIMIT: _ClassVar[TransferKind]
    TRANSFER_KIND_DEPOSIT: _ClassVar[TransferKind]
    TRANSFER_KIND_HOLD_DEPOSIT: _ClassVar[TransferKind]
    TRANSFER_KIND_WITHDRAW: _ClassVar[TransferKind]
    TRANSFER_KIND_CAPTURE: _ClassVar[TransferKind]
    TRANSFER_KIND_RELEASE: _ClassVar[TransferKind]
    TRANSFER_KIND_BET: _ClassVar[TransferKind]
    TRANSFER_KIND_WIN: _ClassVar[TransferKind]
    TRANSFER_KIND_ROLLBACK: _ClassVar[TransferKind]
    TRANSFER_KIND_CLOSE_ROUND: _ClassVar[TransferKind]
    TRANSFER_KIND_MOVE: _ClassVar[TransferKind]
    TRANSFER_KIND_ADJUST: _ClassVar[TransferKind]
    TRANSFER_KIND_GRANT_BONUS: _ClassVar[TransferKind]
    TRANSFER_KIND_RELEASE_BONUS: _ClassVar[TransferKind]
    TRANSFER_KIND_FORFEIT_BONUS: _ClassVar[TransferKind]
    TRANSFER_KIND_EXPIRE: _ClassVar[TransferKind]
    TRANSFER_KIND_TOMBSTONE: _ClassVar[TransferKind]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_APPLIED: _ClassVar[Outcome]
    OUTCOME_APPLIED_LATE: _ClassVar[Outcome]
    OUTCOME_APPLIED_CLAMPED: _ClassVar[Outcome]
    OUTCOME_APPLIED_LOCKED: _ClassVar[Outcome]
    OUTCOME_NOTHING_TO_REVERSE: _ClassVar[Outcome]
    OUTCOME_ALREADY_REVERSED: _ClassVar[Outcome]
    OUTCOME_ALREADY_CLOSED: _ClassVar[Outcome]
    OUTCOME_TOMBSTONED: _ClassVar[Outcome]
    OUTCOME_PLAYER_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_ACCOUNT_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_PLAYER_RESTRICTED: _ClassVar[Outcome]
    OUTCOME_REFERENCE_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_REFERENCE_MISMATCH: _ClassVar[Outcome]
    OUTCOME_REFERENCE_REFUSED: _ClassVar[Outcome]
    OUTCOME_REFERENCE_REVERSED: _ClassVar[Outcome]
    OUTCOME_REFERENCE_SETTLED: _ClassVar[Outcome]
    OUTCOME_ROUND_CLOSED: _ClassVar[Outcome]
    OUTCOME_HOLD_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_HOLD_ALREADY_POSTED: _ClassVar[Outcome]
    OUTCOME_HOLD_ALREADY_VOIDED: _ClassVar[Outcome]
    OUTCOME_HOLD_EXPIRED: _ClassVar[Outcome]
    OUTCOME_BONUS_NOT_FOUND: _ClassVar[Outcome]
    OUTCOME_BONUS_NOT_ACTIVE: _ClassVar[Outcome]
    OUTCOME_OVER_REVERSED: _ClassVar[Outcome]
    OUTCOME_CAPTURE_TOO_LARGE: _ClassVar[Outcome]
    OUTCOME_LIMIT_REACHED: _ClassVar[Outcome]
    OUTCOME_BONUS_MAX_BET: _ClassVar[Outcome]
    OUTCOME_INSUFFICIENT_FUNDS: _ClassVar[Outcome]
    OUTCOME_COUNTER_LIMIT: _ClassVar[Outcome]
    OUTCOME_LINKED_FAILED: _ClassVar[Outcome]
BUCKET_UNSPECIFIED: Bucket
BUCKET_CASH: Bucket
BUCKET_BONUS: Bucket
BUCKET_LOCKED: Bucket
RESTRICTION_UNSPECIFIED: Restriction
RESTRICTION_NO_BET: Restriction
RESTRICTION_NO_DEPOSIT: Restriction
RESTRICTION_NO_WITHDRAW: Restriction
RESTRICTION_NO_BONUS: Restriction
ROUND_STATE_UNSPECIFIED: RoundState
ROUND_STATE_OPEN: RoundState
ROUND_STATE_CLOSED: RoundState
TRANSFER_KIND_UNSPECIFIED: TransferKind
TRANSFER_KIND_OPEN_WALLET: TransferKind
TRANSFER_KIND_SET_RESTRICTION: TransferKind
TRANSFER_KIND_SET_LIMIT: TransferKind
TRANSFER_KIND_DEPOSIT: TransferKind
TRANSFER_KIND_HOLD_DEPOSIT: TransferKind
TRANSFER_KIND_WITHDRAW: TransferKind
TRANSFER_KIND_CAPTURE: TransferKind
TRANSFER_KIND_RELEASE: TransferKind
TRANSFER_KIND_BET: TransferKind
TRANSFER_KIND_WIN: TransferKind
TRANSFER_KIND_ROLLBACK: TransferKind
TRANSFER_KIND_CLOSE_ROUND: TransferKind
TRANSFER_KIND_MOVE: TransferKind
TRANSFER_KIND_ADJUST: TransferKind
TRANSFER_KIND_GRANT_BONUS: TransferKind
TRANSFER_KIND_RELEASE_BONUS: TransferKind
TRANSFER_KIND_FORFEIT_BONUS: TransferKind
TRANSFER_KIND_EXPIRE: TransferKind
TRANSFER_KIND_TOMBSTONE: TransferKind
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_APPLIED: Outcome
OUTCOME_APPLIED_LATE: Outcome
OUTCOME_APPLIED_CLAMPED: Outcome
OUTCOME_APPLIED_LOCKED: Outcome
OUTCOME_NOTHING_TO_REVERSE: Outcome
OUTCOME_ALREADY_REVERSED: Outcome
OUTCOME_ALREADY_CLOSED: Outcome
OUTCOME_TOMBSTONED: Outcome
OUTCOME_PLAYER_NOT_FOUND: Outcome
OUTCOME_ACCOUNT_NOT_FOUND: Outcome
OUTCOME_PLAYER_RESTRICTED: Outcome
OUTCOME_REFERENCE_NOT_FOUND: Outcome
OUTCOME_REFERENCE_MISMATCH: Outcome
OUTCOME_REFERENCE_REFUSED: Outcome
OUTCOME_REFERENCE_REVERSED: Outcome
OUTCOME_REFERENCE_SETTLED: Outcome
OUTCOME_ROUND_CLOSED: Outcome
OUTCOME_HOLD_NOT_FOUND: Outcome
OUTCOME_HOLD_ALREADY_POSTED: Outcome
OUTCOME_HOLD_ALREADY_VOIDED: Outcome
OUTCOME_HOLD_EXPIRED: Outcome
OUTCOME_BONUS_NOT_FOUND: Outcome
OUTCOME_BONUS_NOT_ACTIVE: Outcome
OUTCOME_OVER_REVERSED: Outcome
OUTCOME_CAPTURE_TOO_LARGE: Outcome
OUTCOME_LIMIT_REACHED: Outcome
OUTCOME_BONUS_MAX_BET: Outcome
OUTCOME_INSUFFICIENT_FUNDS: Outcome
OUTCOME_COUNTER_LIMIT: Outcome
OUTCOME_LINKED_FAILED: Outcome

class Result(_message.Message):
    __slots__ = ("source", "transaction_id", "shard", "seq", "outcome", "currency_code", "changes", "available_after", "hold_id", "round_state", "limit", "create_time")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_AFTER_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    shard: int
    seq: int
    outcome: Outcome
    currency_code: str
    changes: _containers.RepeatedCompositeFieldContainer[BucketChange]
    available_after: Available
    hold_id: str
    round_state: RoundState
    limit: LimitFacts
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., currency_code: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[BucketChange, _Mapping]]] = ..., available_after: _Optional[_Union[Available, _Mapping]] = ..., hold_id: _Optional[str] = ..., round_state: _Optional[_Union[RoundState, str]] = ..., limit: _Optional[_Union[LimitFacts, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BucketChange(_message.Message):
    __slots__ = ("bucket", "minor_units")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    bucket: Bucket
    minor_units: int
    def __init__(self, bucket: _Optional[_Union[Bucket, str]] = ..., minor_units: _Optional[int] = ...) -> None: ...

class Available(_message.Message):
    __slots__ = ("cash_minor_units", "bonus_minor_units", "locked_minor_units")
    CASH_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    BONUS_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    LOCKED_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    cash_minor_units: int
    bonus_minor_units: int
    locked_minor_units: int
    def __init__(self, cash_minor_units: _Optional[int] = ..., bonus_minor_units: _Optional[int] = ..., locked_minor_units: _Optional[int] = ...) -> None: ...

class LimitFacts(_message.Message):
    __slots__ = ("kind", "period", "scope", "max_minor_units", "used_minor_units", "window_end_time")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    MAX_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    USED_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_TIME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    period: str
    scope: str
    max_minor_units: int
    used_minor_units: int
    window_end_time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., period: _Optional[str] = ..., scope: _Optional[str] = ..., max_minor_units: _Optional[int] = ..., used_minor_units: _Optional[int] = ..., window_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("currency_code", "cash_minor_units", "bonus_minor_units", "locked_minor_units", "pending_minor_units", "seq")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    CASH_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    BONUS_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    LOCKED_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    PENDING_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    cash_minor_units: int
    bonus_minor_units: int
    locked_minor_units: int
    pending_minor_units: int
    seq: int
    def __init__(self, currency_code: _Optional[str] = ..., cash_minor_units: _Optional[int] = ..., bonus_minor_units: _Optional[int] = ..., locked_minor_units: _Optional[int] = ..., pending_minor_units: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("seq", "kind", "source", "transaction_id", "game_id", "round_id", "change_minor_units", "pending_change_minor_units", "balance_after_minor_units", "create_time", "account_version")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    PENDING_CHANGE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_VERSION_FIELD_NUMBER: _ClassVar[int]
    seq: int
    kind: TransferKind
    source: str
    transaction_id: str
    game_id: str
    round_id: str
    change_minor_units: int
    pending_change_minor_units: int
    balance_after_minor_units: int
    create_time: _timestamp_pb2.Timestamp
    account_version: int
    def __init__(self, seq: _Optional[int] = ..., kind: _Optional[_Union[TransferKind, str]] = ..., source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., game_id: _Optional[str] = ..., round_id: _Optional[str] = ..., change_minor_units: _Optional[int] = ..., pending_change_minor_units: _Optional[int] = ..., balance_after_minor_units: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_version: _Optional[int] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("result", "kind", "player_id", "amount_minor_units", "game_id", "round_id", "original_seq", "cash_change_minor_units", "bonus_change_minor_units", "original_kind")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_SEQ_FIELD_NUMBER: _ClassVar[int]
    CASH_CHANGE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    BONUS_CHANGE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_KIND_FIELD_NUMBER: _ClassVar[int]
    result: Result
    kind: TransferKind
    player_id: str
    amount_minor_units: int
    game_id: str
    round_id: str
    original_seq: int
    cash_change_minor_units: int
    bonus_change_minor_units: int
    original_kind: TransferKind
    def __init__(self, result: _Optional[_Union[Result, _Mapping]] = ..., kind: _Optional[_Union[TransferKind, str]] = ..., player_id: _Optional[str] = ..., amount_minor_units: _Optional[int] = ..., game_id: _Optional[str] = ..., round_id: _Optional[str] = ..., original_seq: _Optional[int] = ..., cash_change_minor_units: _Optional[int] = ..., bonus_change_minor_units: _Optional[int] = ..., original_kind: _Optional[_Union[TransferKind, str]] = ...) -> None: ...
