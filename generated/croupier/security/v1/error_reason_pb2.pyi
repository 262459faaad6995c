from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_LOGIN_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_CREDENTIAL_LOCKED: _ClassVar[ErrorReason]
    ERROR_REASON_TOTP_REQUIRED: _ClassVar[ErrorReason]
    ERROR_REASON_TOTP_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_TOTP_ALREADY_ENROLLED: _ClassVar[ErrorReason]
    ERROR_REASON_TOTP_NOT_PENDING: _ClassVar[ErrorReason]
    ERROR_REASON_REFRESH_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_LOGIN_TAKEN: _ClassVar[ErrorReason]
    ERROR_REASON_PASSWORD_TOO_COMMON: _ClassVar[ErrorReason]
    ERROR_REASON_API_KEY_NOT_FOUND: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_LOGIN_REFUSED: ErrorReason
ERROR_REASON_CREDENTIAL_LOCKED: ErrorReason
ERROR_REASON_TOTP_REQUIRED: ErrorReason
ERROR_REASON_TOTP_REFUSED: ErrorReason
ERROR_REASON_TOTP_ALREADY_ENROLLED: ErrorReason
ERROR_REASON_TOTP_NOT_PENDING: ErrorReason
ERROR_REASON_REFRESH_TOKEN_INVALID: ErrorReason
ERROR_REASON_LOGIN_TAKEN: ErrorReason
ERROR_REASON_PASSWORD_TOO_COMMON: ErrorReason
ERROR_REASON_API_KEY_NOT_FOUND: ErrorReason
