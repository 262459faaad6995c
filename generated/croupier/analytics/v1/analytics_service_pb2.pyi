import datetime

from buf.validate import validate_pb2 as _validate_pb2
from croupier.analytics.v1 import analytics_pb2 as _analytics_pb2
from croupier.options.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueryGameActivityRequest(_message.Message):
    __slots__ = ("start_time", "end_time", "granularity", "dimensions", "game_id", "provider_id", "currency_code")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    granularity: _analytics_pb2.Granularity
    dimensions: _containers.RepeatedScalarFieldContainer[_analytics_pb2.Dimension]
    game_id: str
    provider_id: str
    currency_code: str
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., granularity: _Optional[_Union[_analytics_pb2.Granularity, str]] = ..., dimensions: _Optional[_Iterable[_Union[_analytics_pb2.Dimension, str]]] = ..., game_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...

class QueryGameActivityResponse(_message.Message):
    __slots__ = ("activities", "follow_time")
    ACTIVITIES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_TIME_FIELD_NUMBER: _ClassVar[int]
    activities: _containers.RepeatedCompositeFieldContainer[_analytics_pb2.GameActivity]
    follow_time: _timestamp_pb2.Timestamp
    def __init__(self, activities: _Optional[_Iterable[_Union[_analytics_pb2.GameActivity, _Mapping]]] = ..., follow_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
