"""The fields of request types, as Lua: what `envoy/edge.lua` checks JSON bodies against."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

# Types whose JSON is not an object of their fields.
_WELL_KNOWN = "google.protobuf."


def lua_messages(requests: Iterable[Descriptor]) -> str:
    """Renders the types of the requests and all types inside them, as `local MESSAGES = {…}`."""
    types: dict[str, Descriptor] = {}
    for request in requests:
        _collect(request, types)
    lines = [f"  [{_text(name)}] = {_fields(types[name])}," for name in sorted(types)]
    return "\n".join(["local MESSAGES = {", *lines, "}"]) + "\n"


def _collect(message: Descriptor, types: dict[str, Descriptor]) -> None:
    if message.full_name in types:
        return
    types[message.full_name] = message
    for field in message.fields:
        below = _message_of(field)
        if below is not None:
            _collect(below, types)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _message_of(field: FieldDescriptor) -> Descriptor | None:
    """Returns the type whose fields the JSON value shows, if the contract knows them."""
    below: Descriptor | None = field.message_type
    if below is not None and _is_map(field):
        below = below.fields_by_name["value"].message_type
    if below is None or below.full_name.startswith(_WELL_KNOWN):
        return None
    return below


def _fields(message: Descriptor) -> str:
    return "{ " + ", ".join(_entries(message)) + " }" if message.fields else "{}"


def _entries(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        parts = [f"name = {_text(field.name)}"]
        below = _message_of(field)
        if below is not None:
            parts.append(f"message = {_text(below.full_name)}")
        if _is_map(field):
            parts.append("map = true")
        elif field.is_repeated:
            parts.append("list = true")
        # JSON may use either spelling; both name the same field, so that giving both is noticed.
        for spelling in sorted({field.name, field.json_name}):
            yield f"[{_text(spelling)}] = {{ {', '.join(parts)} }}"


def _text(name: str) -> str:
    """Quotes a proto name; it holds nothing but letters, digits, `_` and `.`."""
    if not all(character.isalnum() or character in "_." for character in name):
        raise ValueError(f"{name!r} is no proto name")
    return f'"{name}"'
