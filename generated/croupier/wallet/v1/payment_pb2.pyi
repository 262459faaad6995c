import datetime

from croupier.options.v1 import options_pb2 as _options_pb2
from croupier.type.v1 import money_pb2 as _money_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payment(_message.Message):
    __slots__ = ("payment_id", "direction", "state", "amount", "psp", "checkout_url", "authorization_number", "failure", "create_time", "update_time")
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIRECTION_UNSPECIFIED: _ClassVar[Payment.Direction]
        DIRECTION_DEPOSIT: _ClassVar[Payment.Direction]
    DIRECTION_UNSPECIFIED: Payment.Direction
    DIRECTION_DEPOSIT: Payment.Direction
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Payment.State]
        STATE_PENDING: _ClassVar[Payment.State]
        STATE_SUCCEEDED: _ClassVar[Payment.State]
        STATE_FAILED: _ClassVar[Payment.State]
    STATE_UNSPECIFIED: Payment.State
    STATE_PENDING: Payment.State
    STATE_SUCCEEDED: Payment.State
    STATE_FAILED: Payment.State
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PSP_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_URL_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    direction: Payment.Direction
    state: Payment.State
    amount: _money_pb2.Money
    psp: str
    checkout_url: str
    authorization_number: str
    failure: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, payment_id: _Optional[str] = ..., direction: _Optional[_Union[Payment.Direction, str]] = ..., state: _Optional[_Union[Payment.State, str]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., psp: _Optional[str] = ..., checkout_url: _Optional[str] = ..., authorization_number: _Optional[str] = ..., failure: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
