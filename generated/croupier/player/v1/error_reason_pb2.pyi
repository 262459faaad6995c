from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_PLAYER_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_UNDER_AGE: _ClassVar[ErrorReason]
    ERROR_REASON_COUNTRY_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_ALREADY_REGISTERED: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_ACTIVE: _ClassVar[ErrorReason]
    ERROR_REASON_IDENTITY_NOT_VERIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_IDENTITY_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_EXCLUDED: _ClassVar[ErrorReason]
    ERROR_REASON_EXCLUSION_NOT_SHORTENED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_PLAYER_NOT_FOUND: ErrorReason
ERROR_REASON_UNDER_AGE: ErrorReason
ERROR_REASON_COUNTRY_NOT_ALLOWED: ErrorReason
ERROR_REASON_ALREADY_REGISTERED: ErrorReason
ERROR_REASON_REQUEST_ID_REUSED: ErrorReason
ERROR_REASON_NOT_ACTIVE: ErrorReason
ERROR_REASON_IDENTITY_NOT_VERIFIED: ErrorReason
ERROR_REASON_IDENTITY_REFUSED: ErrorReason
ERROR_REASON_EXCLUDED: ErrorReason
ERROR_REASON_EXCLUSION_NOT_SHORTENED: ErrorReason
