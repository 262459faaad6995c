"""The contracts as descriptors, with comments."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import EnumDescriptor, MethodDescriptor, ServiceDescriptor

from scripts.generation.protoc import sources


@functools.cache
def files() -> tuple[descriptor_pb2.FileDescriptorProto, ...]:
    """Returns our proto files, loading the generated module of each."""
    pool = descriptor_pool.Default()
    found = []
    for name in sources():
        __import__(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        proto = descriptor_pb2.FileDescriptorProto()
        pool.FindFileByName(name).CopyToProto(proto)
        found.append(proto)
    return tuple(found)


def services() -> Iterator[ServiceDescriptor]:
    pool = descriptor_pool.Default()
    for file in files():
        for service in file.service:
            yield pool.FindServiceByName(f"{file.package}.{service.name}")


def methods() -> list[MethodDescriptor]:
    return [method for service in services() for method in service.methods]


def reasons() -> list[tuple[EnumDescriptor, str]]:
    """Returns every error reason with its enum, but for UNSPECIFIED."""
    pool = descriptor_pool.Default()
    return [
        (enum, value.name)
        for file in files()
        for enum in [
            pool.FindEnumTypeByName(f"{file.package}.{each.name}") for each in file.enum_type
        ]
        if enum.name == "ErrorReason"
        for value in enum.values
        if value.number != 0
    ]


@dataclass(frozen=True, slots=True)
class Route:
    verb: str
    path: str


def route_of(method: MethodDescriptor) -> Route | None:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return None
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return Route(verb=verb, path=getattr(rule, verb))
