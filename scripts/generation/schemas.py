"""Messages and enums as JSON Schema, as they look in JSON at the edge."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from croupier.options.v1 import options_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
)

from scripts.generation.comments import comments
from scripts.generation.rules import (
    INT32,
    INT64,
    constrain,
    constrain_list,
    in_words,
    refuses_default,
    rules_of,
)

Json = dict[str, Any]

_Field = FieldDescriptorProto
_LONG: Json = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_SCALARS: Mapping[int, Json] = {
    **dict.fromkeys(INT64, _LONG),
    **{kind: {"type": "integer", "format": "int32"} for kind in INT32},
    _Field.TYPE_BOOL: {"type": "boolean"},
    _Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _Field.TYPE_STRING: {"type": "string"},
    _Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _Field.TYPE_FLOAT: {"type": "number", "format": "float"},
}
_WELL_KNOWN: Mapping[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Any": {"type": "object", "required": ["@type"]},
    "google.api.HttpBody": {"type": "string", "format": "binary"},
}


class Types:
    """All messages and enums of a descriptor set, with their comments."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        """Indexes the set, which needs its source info."""
        self.messages: dict[str, DescriptorProto] = {}
        self.enums: dict[str, EnumDescriptorProto] = {}
        self.comments = comments(descriptors)
        for file in descriptors.file:
            for enum in file.enum_type:
                self.enums[f"{file.package}.{enum.name}"] = enum
            for message in file.message_type:
                self._index(f"{file.package}.{message.name}", message)

    def _index(self, name: str, message: DescriptorProto) -> None:
        self.messages[name] = message
        for nested in message.nested_type:
            self._index(f"{name}.{nested.name}", nested)
        for enum in message.enum_type:
            self.enums[f"{name}.{enum.name}"] = enum

    def below(self, name: str) -> set[str]:
        """Lists the messages and enums that a message can contain, and itself."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each in found or each in _WELL_KNOWN:
                continue
            found.add(each)
            if each in self.messages:
                waiting += [f.type_name[1:] for f in self.messages[each].field if f.type_name]
        return found


class Schemas:
    """The components of a document: each type once, or twice where requests ask for more.

    Rules hold for requests alone: a balance may be negative, an amount in a request may not. A type
    that both sides use has the rules in its twin with the suffix `Input`.
    """

    def __init__(self, types: Types, *, requests: Iterable[str], responses: Iterable[str]) -> None:
        """Takes the names of the messages that go in and come out."""
        self._types = types
        self._asked = {name for request in requests for name in types.below(request)}
        self._told = {name for response in responses for name in types.below(response)}
        self._short = _short_names(self._asked | self._told)

    def components(self) -> Json:
        """Renders every type, by name."""
        found: Json = {}
        for name in sorted(self._told):
            found[self.name(name, request=False)] = self._component(name, request=False)
        for name in sorted(self._asked):
            found[self.name(name, request=True)] = self._component(name, request=True)
        return {name: schema for name, schema in sorted(found.items()) if not schema.get("x-entry")}

    def name(self, full_name: str, *, request: bool) -> str:
        """Returns the component's name: short, and another for requests where that matters."""
        twin = request and full_name in self._told and full_name in self._types.messages
        return f"{self._short[full_name]}Input" if twin else self._short[full_name]

    def reference(self, full_name: str, *, request: bool) -> Json:
        """Refers to a message or enum."""
        if full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[full_name])
        return {"$ref": f"#/components/schemas/{self.name(full_name, request=request)}"}

    def message(self, full_name: str, *, request: bool, without: Iterable[str] = ()) -> Json:
        """Renders a message, but for fields that the path holds already."""
        message = self._types.messages[full_name]
        fields = [field for field in message.field if field.name not in set(without)]
        required = [f.json_name for f in fields if self._is_required(f, request=request)]
        schema: Json = {
            "type": "object",
            "description": self._types.comments.get(full_name, ""),
            "properties": {
                field.json_name: self.field(full_name, field, request=request) for field in fields
            },
        }
        if required:
            schema["required"] = required
        if request:
            schema["additionalProperties"] = False
        groups = list(_groups(message))
        if groups:
            schema["allOf"] = groups
        return schema

    def field(self, owner: str, field: FieldDescriptorProto, *, request: bool) -> Json:
        """Renders one field, with its comment."""
        rules = rules_of(field)
        repeated = field.label == _Field.LABEL_REPEATED
        entry = self._map_entry(field)
        if entry is not None:
            value = next(each for each in entry.field if each.name == "value")
            schema: Json = {
                "type": "object",
                "additionalProperties": self._value(value, request=request),
            }
        elif repeated:
            items = self._value(field, request=request)
            if request:
                items |= constrain(field, rules.repeated.items)
                items |= self._allowed(field, rules.repeated.items)
            schema = {"type": "array", "items": items}
            schema |= constrain_list(rules) if request else {}
        else:
            schema = self._value(field, request=request)
            if request:
                schema |= constrain(field, rules) | self._allowed(field, rules)
        told = [self._types.comments.get(f"{owner}.{field.name}", "")]
        if request:
            told += [f"Rule: {words}." for words in in_words(rules)]
        schema["description"] = "\n\n".join(text for text in told if text)
        if field.options.Extensions[options_pb2.sensitive]:
            schema["x-sensitive"] = True
        return schema

    def _component(self, name: str, *, request: bool) -> Json:
        if name in self._types.messages:
            if self._types.messages[name].options.map_entry:
                return {"x-entry": True}
            return self.message(name, request=request)
        enum = self._types.enums[name]
        values = [value.name for value in enum.value]
        listed = "\n".join(
            f"- `{value}`: {self._types.comments.get(f'{name}.{value}', '')}" for value in values
        )
        about = self._types.comments.get(name, "")
        return {"type": "string", "enum": values, "description": f"{about}\n\n{listed}"}

    def _value(self, field: FieldDescriptorProto, *, request: bool) -> Json:
        if field.type_name:
            return self.reference(field.type_name[1:], request=request)
        return dict(_SCALARS[field.type])

    def _allowed(self, field: FieldDescriptorProto, rules: Any) -> Json:
        """Narrows an enum to the values that its rules admit."""
        if field.type != _Field.TYPE_ENUM or rules.WhichOneof("type") != "enum":
            return {}
        refused = set(rules.enum.not_in)
        values = self._types.enums[field.type_name[1:]].value
        if not refused:
            return {}
        return {"enum": [value.name for value in values if value.number not in refused]}

    def _map_entry(self, field: FieldDescriptorProto) -> DescriptorProto | None:
        found = self._types.messages.get(field.type_name[1:])
        return found if found is not None and found.options.map_entry else None

    def _is_required(self, field: FieldDescriptorProto, *, request: bool) -> bool:
        if field.HasField("oneof_index"):
            return False
        if request:
            return refuses_default(rules_of(field))
        # Answers show every field that has no presence, zeros and empty lists too.
        return field.label == _Field.LABEL_REPEATED or field.type != _Field.TYPE_MESSAGE


def _groups(message: DescriptorProto) -> Iterator[Json]:
    """Says of each oneof that at most one of its fields is there."""
    for index in range(len(message.oneof_decl)):
        names = [
            field.json_name
            for field in message.field
            if field.HasField("oneof_index")
            and field.oneof_index == index
            and not field.proto3_optional
        ]
        if names:
            none = {"not": {"anyOf": [{"required": [name]} for name in names]}}
            yield {"oneOf": [*({"required": [name]} for name in names), none]}


def _short_names(full_names: Iterable[str]) -> dict[str, str]:
    """Names types without their package: `croupier.wallet.v1.Payment.State` is `PaymentState`."""
    found: dict[str, str] = {}
    for full_name in sorted(full_names):
        short = "".join(part for part in full_name.split(".") if part[:1].isupper())
        if short in found.values():
            short = full_name.split(".")[1].capitalize() + short
        found[full_name] = short
    return found
