"""The fields of request types, as Lua: what the edge checks JSON bodies and queries against."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

# Types whose JSON is not an object of their fields.
_WELL_KNOWN = "google.protobuf."
# The kinds that `envoy/lua/kinds.lua` knows. What is of none of them may be any JSON here; the
# transcoder still refuses what it cannot read.
_KINDS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SFIXED32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED32: "uint32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_SINT64: "int64",
    FieldDescriptor.TYPE_SFIXED64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FIXED64: "uint64",
}
_TIME = "google.protobuf.Timestamp"


def lua_messages(requests: Iterable[Descriptor]) -> str:
    """Renders the types of the requests and all types inside them.

    The text sets `MESSAGES`, which tells each type's fields, and `ENUMS`, the names of each enum.
    """
    types: dict[str, Descriptor] = {}
    for request in requests:
        _collect(request, types)
    enums: dict[str, EnumDescriptor] = {
        field.enum_type.full_name: field.enum_type
        for message in types.values()
        for field in map(_element, message.fields)
        if field.enum_type is not None
    }
    return "\n".join(
        [
            "local MESSAGES = {",
            *(f"  [{_text(name)}] = {_fields(types[name])}," for name in sorted(types)),
            "}",
            "local ENUMS = {",
            *(f"  [{_text(name)}] = {_names(enums[name])}," for name in sorted(enums)),
            "}",
            "",
        ]
    )


def _collect(message: Descriptor, types: dict[str, Descriptor]) -> None:
    if message.full_name in types:
        return
    types[message.full_name] = message
    for field in message.fields:
        below = _message_of(_element(field))
        if below is not None:
            _collect(below, types)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _element(field: FieldDescriptor) -> FieldDescriptor:
    """Returns what says how a value is written: for a map, the field of its values."""
    below = field.message_type
    return below.fields_by_name["value"] if below is not None and _is_map(field) else field


def _message_of(field: FieldDescriptor) -> Descriptor | None:
    """Returns the type whose fields the JSON value shows, if the contract knows them."""
    below: Descriptor | None = field.message_type
    return None if below is None or below.full_name.startswith(_WELL_KNOWN) else below


def _kind(field: FieldDescriptor) -> str | None:
    if field.message_type is None:
        return _KINDS.get(field.type)
    if field.message_type.full_name == _TIME:
        return "time"
    return "message" if _message_of(field) is not None else None


def _fields(message: Descriptor) -> str:
    return "{ " + ", ".join(_entries(message)) + " }" if message.fields else "{}"


def _entries(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        parts = [f"name = {_text(field.name)}"]
        element = _element(field)
        kind, below = _kind(element), _message_of(element)
        if kind is not None:
            parts.append(f"kind = {_text(kind)}")
        if below is not None:
            parts.append(f"message = {_text(below.full_name)}")
        if element.enum_type is not None:
            parts.append(f"enum = {_text(element.enum_type.full_name)}")
        if _is_map(field):
            parts.append("map = true")
        elif field.is_repeated:
            parts.append("list = true")
        # JSON may use either spelling; both name the same field, so that giving both is noticed.
        for spelling in sorted({field.name, field.json_name}):
            yield f"[{_text(spelling)}] = {{ {', '.join(parts)} }}"


def _names(enum: EnumDescriptor) -> str:
    return "{ " + ", ".join(f"[{_text(value.name)}] = true" for value in enum.values) + " }"


def _text(name: str) -> str:
    """Quotes a proto name; it holds nothing but letters, digits, `_` and `.`."""
    if not all(character.isalnum() or character in "_." for character in name):
        raise ValueError(f"{name!r} is no proto name")
    return f'"{name}"'
