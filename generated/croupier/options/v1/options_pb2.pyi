from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTH_LEVEL_UNSPECIFIED: _ClassVar[AuthLevel]
    AUTH_LEVEL_PUBLIC: _ClassVar[AuthLevel]
    AUTH_LEVEL_PLAYER: _ClassVar[AuthLevel]
    AUTH_LEVEL_OPERATOR: _ClassVar[AuthLevel]
    AUTH_LEVEL_PROVIDER: _ClassVar[AuthLevel]
    AUTH_LEVEL_SERVICE: _ClassVar[AuthLevel]
AUTH_LEVEL_UNSPECIFIED: AuthLevel
AUTH_LEVEL_PUBLIC: AuthLevel
AUTH_LEVEL_PLAYER: AuthLevel
AUTH_LEVEL_OPERATOR: AuthLevel
AUTH_LEVEL_PROVIDER: AuthLevel
AUTH_LEVEL_SERVICE: AuthLevel
AUTH_FIELD_NUMBER: _ClassVar[int]
auth: _descriptor.FieldDescriptor
NO_HTTP_FIELD_NUMBER: _ClassVar[int]
no_http: _descriptor.FieldDescriptor
SENSITIVE_FIELD_NUMBER: _ClassVar[int]
sensitive: _descriptor.FieldDescriptor

class Auth(_message.Message):
    __slots__ = ("level", "roles", "callers")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    level: AuthLevel
    roles: _containers.RepeatedScalarFieldContainer[str]
    callers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[_Union[AuthLevel, str]] = ..., roles: _Optional[_Iterable[str]] = ..., callers: _Optional[_Iterable[str]] = ...) -> None: ...
