"""What the edge reads in the contracts: which calls it lets in, and how they look over HTTP."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from croupier.options.v1 import options_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)
from google.protobuf.descriptor_pool import DescriptorPool

HTTP_BODY = "google.api.HttpBody"

_VERBS = ("get", "put", "post", "delete", "patch")
# SERVICE is missing on purpose: what services say to each other does not pass the edge.
_EXPOSED = {
    options_pb2.AUTH_LEVEL_PUBLIC: "PUBLIC",
    options_pb2.AUTH_LEVEL_PLAYER: "PLAYER",
    options_pb2.AUTH_LEVEL_OPERATOR: "OPERATOR",
    options_pb2.AUTH_LEVEL_PROVIDER: "PROVIDER",
    options_pb2.AUTH_LEVEL_SUBJECT: "SUBJECT",
}


@dataclass(frozen=True, slots=True)
class Binding:
    """One `google.api.http` mapping."""

    verb: str
    """The HTTP method, upper case."""
    template: str
    """The path, as in the contract: `/v1/games/{game_id}:launch`."""
    body: str
    """`*`, the name of the field that is the body, or empty for none."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method that the edge lets in."""

    service: str
    """The full name of the gRPC service."""
    name: str
    """The method's name."""
    upstream: str
    """The mesh service that serves it, by its package: `croupier.wallet.v1` is `wallet`."""
    level: str
    """Whom it admits: `PUBLIC`, `PLAYER`, `OPERATOR`, `PROVIDER` or `SUBJECT`."""
    roles: tuple[str, ...]
    """OPERATOR only: the roles of which one is needed."""
    bindings: tuple[Binding, ...]
    """How it is called over HTTP; empty if it is not."""
    request: Descriptor
    """The type of the request."""
    response: Descriptor
    """The type of the answer, or of each message of a stream."""
    streaming: bool
    """Whether it answers with a stream."""
    read_only: bool
    """Whether it may be repeated although it may have been executed."""

    @property
    def full_name(self) -> str:
        """The name in logs and errors: `croupier.wallet.v1.WalletService/ListBalances`."""
        return f"{self.service}/{self.name}"

    @property
    def is_raw(self) -> bool:
        """Whether it takes the bytes of the HTTP body as they come."""
        return any(
            binding.body not in ("", "*")
            and (of := self.request.fields_by_name[binding.body].message_type) is not None
            and of.full_name == HTTP_BODY
            for binding in self.bindings
        )


class Contracts:
    """A descriptor set, such as `generated/croupier.binpb`."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        """Takes the set, with its imports."""
        self._set = descriptors

    @classmethod
    def read(cls, path: Path) -> "Contracts":
        """Reads the set that `scripts/generate` wrote."""
        return cls(FileDescriptorSet.FromString(path.read_bytes()))

    @cached_property
    def pool(self) -> DescriptorPool:
        """The types of the set."""
        pool = DescriptorPool()
        for file in self._set.file:
            pool.Add(file)
        return pool

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The methods that the edge lets in, in the order of the contracts."""
        return tuple(self._operations())

    def _operations(self) -> Iterator[Operation]:
        for file in self._set.file:
            if not file.package.startswith("croupier."):
                continue
            for service in file.service:
                full_name = f"{file.package}.{service.name}"
                for method in service.method:
                    level = _EXPOSED.get(method.options.Extensions[options_pb2.auth].level)
                    if level is not None:
                        yield self._operation(full_name, method, level)

    def _operation(self, service: str, method: MethodDescriptorProto, level: str) -> Operation:
        options = method.options
        rule = options.Extensions[annotations_pb2.http]
        rules = [rule, *rule.additional_bindings] if options.HasExtension(_HTTP) else []
        return Operation(
            service=service,
            name=method.name,
            upstream=service.split(".")[1],
            level=level,
            roles=tuple(options.Extensions[options_pb2.auth].roles),
            bindings=tuple(_binding(each) for each in rules),
            request=self.pool.FindMessageTypeByName(method.input_type[1:]),
            response=self.pool.FindMessageTypeByName(method.output_type[1:]),
            streaming=method.server_streaming,
            read_only=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        )


_HTTP = annotations_pb2.http


def _binding(rule: http_pb2.HttpRule) -> Binding:
    kind = rule.WhichOneof("pattern")
    if kind in _VERBS:
        return Binding(verb=kind.upper(), template=getattr(rule, kind), body=rule.body)
    return Binding(verb=rule.custom.kind, template=rule.custom.path, body=rule.body)


def by_path(operations: tuple[Operation, ...]) -> Mapping[str, list[str]]:
    """Groups the HTTP methods that are mapped by path template."""
    found: dict[str, list[str]] = {}
    for operation in operations:
        for binding in operation.bindings:
            found.setdefault(binding.template, []).append(binding.verb)
    return found
