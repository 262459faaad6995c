"""The comments of the protos, by the full name of what they describe."""

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

# Field numbers of descriptor.proto, of which the paths in a file's source info consist.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE = 2
_SERVICE_METHOD = 2

Path = tuple[int, ...]


def comments(descriptors: FileDescriptorSet) -> dict[str, str]:
    """Collects the leading comments of our files; values of enums as `package.Enum.VALUE`."""
    found: dict[str, str] = {}
    for file in descriptors.file:
        if not file.package.startswith("croupier."):
            continue
        texts = {
            tuple(location.path): _plain(location.leading_comments)
            for location in file.source_code_info.location
            if location.leading_comments
        }
        for path, name in _names(file):
            if path in texts:
                found[name] = texts[path]
    return found


def _plain(comment: str) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.splitlines()).strip()


def _names(file: FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    for index, message in enumerate(file.message_type):
        yield from _of_message((_FILE_MESSAGE, index), f"{file.package}.{message.name}", message)
    for index, enum in enumerate(file.enum_type):
        yield from _of_enum((_FILE_ENUM, index), f"{file.package}.{enum.name}", enum)
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_FILE_SERVICE, index), name
        for number, method in enumerate(service.method):
            yield (_FILE_SERVICE, index, _SERVICE_METHOD, number), f"{name}.{method.name}"


def _of_message(path: Path, name: str, message: DescriptorProto) -> Iterator[tuple[Path, str]]:
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, _MESSAGE_FIELD, index), f"{name}.{field.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _of_message((*path, _MESSAGE_NESTED, index), f"{name}.{nested.name}", nested)
    for index, enum in enumerate(message.enum_type):
        yield from _of_enum((*path, _MESSAGE_ENUM, index), f"{name}.{enum.name}", enum)


def _of_enum(path: Path, name: str, enum: EnumDescriptorProto) -> Iterator[tuple[Path, str]]:
    yield path, name
    for index, value in enumerate(enum.value):
        yield (*path, _ENUM_VALUE, index), f"{name}.{value.name}"
