"""What the protos declare of each method: whom it admits, and whether it may be repeated."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from croupier.options.v1 import options_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message


class Level(Enum):
    """Whom a method admits; the values are those of `AuthLevel`."""

    PUBLIC = options_pb2.AUTH_LEVEL_PUBLIC
    PLAYER = options_pb2.AUTH_LEVEL_PLAYER
    OPERATOR = options_pb2.AUTH_LEVEL_OPERATOR
    PROVIDER = options_pb2.AUTH_LEVEL_PROVIDER
    SERVICE = options_pb2.AUTH_LEVEL_SERVICE
    SUBJECT = options_pb2.AUTH_LEVEL_SUBJECT


class UndeclaredError(Exception):
    """A method that does not say whom it admits; a server that has one does not start."""


@dataclass(frozen=True, slots=True)
class Method:
    """What is declared of one method."""

    service: str
    name: str
    level: Level
    roles: frozenset[str]
    callers: frozenset[str]
    repeatable: bool
    request: Descriptor

    @property
    def full_name(self) -> str:
        """The name in errors, logs and spans: `croupier.wallet.v1.WalletService/Bet`."""
        return f"{self.service}/{self.name}"


def methods_of(service: str) -> dict[str, Method]:
    """Reads the declarations of all methods of a service, by name.

    Raises:
        UndeclaredError: A method has no `auth`, or an incomplete one.
    """
    found = descriptor_pool.Default().FindServiceByName(service)
    return {method.name: _declared(service, method) for method in found.methods}


def _declared(service: str, method: MethodDescriptor) -> Method:
    options = method.GetOptions()
    auth = options.Extensions[options_pb2.auth]
    where = f"{service}/{method.name}"
    if auth.level == options_pb2.AUTH_LEVEL_UNSPECIFIED:
        raise UndeclaredError(f"{where} does not declare (croupier.options.v1.auth)")
    level = Level(auth.level)
    if bool(auth.roles) != (level is Level.OPERATOR):
        raise UndeclaredError(f"{where}: roles belong to OPERATOR, and OPERATOR needs some")
    if bool(auth.callers) != (level is Level.SERVICE):
        raise UndeclaredError(f"{where}: callers belong to SERVICE, and SERVICE needs some")
    return Method(
        service=service,
        name=method.name,
        level=level,
        roles=frozenset(auth.roles),
        callers=frozenset(auth.callers),
        repeatable=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
        request=method.input_type,
    )


def is_sensitive(field: FieldDescriptor) -> bool:
    """Tells whether logs and spans must not show the field."""
    return bool(field.GetOptions().Extensions[options_pb2.sensitive])


def redacted(message: Message) -> dict[str, object]:
    """Renders a message for logs, with `[redacted]` for each sensitive field."""
    return dict(_shown(message))


def _shown(message: Message) -> Iterator[tuple[str, object]]:
    for field, value in message.ListFields():
        if is_sensitive(field):
            yield field.name, "[redacted]"
        elif field.message_type is None:
            yield field.name, list(value) if field.is_repeated else value
        elif field.is_repeated:
            yield field.name, [redacted(each) for each in value]
        else:
            yield field.name, redacted(value)
