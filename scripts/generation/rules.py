"""What `buf.validate` asks of a field, as JSON Schema."""

import re
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

Json = dict[str, Any]

_Field = FieldDescriptorProto
INT64 = {
    _Field.TYPE_INT64,
    _Field.TYPE_UINT64,
    _Field.TYPE_SINT64,
    _Field.TYPE_FIXED64,
    _Field.TYPE_SFIXED64,
}
INT32 = {
    _Field.TYPE_INT32,
    _Field.TYPE_UINT32,
    _Field.TYPE_SINT32,
    _Field.TYPE_FIXED32,
    _Field.TYPE_SFIXED32,
}
# Formats of JSON Schema by the name of the rule; a rule that has none is told in words.
_FORMATS = {
    "email": "email",
    "uuid": "uuid",
    "uri": "uri",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
}
_INTEGERS = {
    f"{prefix}{bits}" for prefix in ("int", "uint", "sint", "fixed", "sfixed") for bits in (32, 64)
}
_COMPARISONS = {"gt": "after", "gte": "at or after", "lt": "before", "lte": "at or before"}
_WORDS = {"host_and_port": "`host:port`", "ip": "an IP address", "address": "a host or IP address"}


def rules_of(field: FieldDescriptorProto) -> validate_pb2.FieldRules:
    """Returns the rules of a field; empty ones if it has none."""
    found: validate_pb2.FieldRules = field.options.Extensions[validate_pb2.field]
    return found


def constrain(field: FieldDescriptorProto, rules: validate_pb2.FieldRules) -> Json:
    """Renders the rules of one value of the field's type."""
    kind = rules.WhichOneof("type")
    if kind is None or kind == "repeated":
        return {}
    of = getattr(rules, kind)
    if kind == "string":
        return _string(of)
    if kind == "bool":
        return {"const": of.const} if of.HasField("const") else {}
    if kind not in _INTEGERS:
        return {}
    return _integer(of, as_text=field.type in INT64)


def constrain_list(rules: validate_pb2.FieldRules) -> Json:
    """Renders the rules of a repeated field as a whole."""
    of = rules.repeated
    return _present(of, {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"})


def in_words(rules: validate_pb2.FieldRules) -> list[str]:
    """Lists what JSON Schema cannot say."""
    found = [rule.message or rule.expression for rule in rules.cel]
    if rules.WhichOneof("type") == "string":
        known = rules.string.WhichOneof("well_known")
        if known in _WORDS:
            found.append(f"must be {_WORDS[known]}")
        if rules.string.HasField("max_bytes"):
            found.append(f"at most {rules.string.max_bytes} bytes of UTF-8")
    if rules.WhichOneof("type") == "timestamp":
        bounds = [(each.name, value) for each, value in rules.timestamp.ListFields()]
        found += [
            f"{_COMPARISONS[name]} {value.ToJsonString()}"
            for name, value in bounds
            if name in _COMPARISONS
        ]
    return found


def refuses_default(rules: validate_pb2.FieldRules) -> bool:
    """Tells whether a field that is left out breaks its rules, and is therefore required."""
    if rules.required:
        return True
    if rules.ignore in (validate_pb2.IGNORE_IF_ZERO_VALUE, validate_pb2.IGNORE_ALWAYS):
        return False
    kind = rules.WhichOneof("type")
    if kind is None:
        return False
    if kind in _INTEGERS:
        return _integer_refuses(rules)
    return kind in _REFUSES and bool(_REFUSES[kind](getattr(rules, kind)))


def _string_refuses(of: validate_pb2.StringRules) -> bool:
    return (
        of.min_len > 0
        or of.min_bytes > 0
        or of.len > 0
        or bool(of.const)
        or of.WhichOneof("well_known") is not None
        or (of.HasField("pattern") and re.search(of.pattern, "") is None)
        or (bool(getattr(of, "in")) and "" not in getattr(of, "in"))
    )


def _integer_refuses(rules: validate_pb2.FieldRules) -> bool:
    of = getattr(rules, str(rules.WhichOneof("type")))
    fields = {each.name for each, _ in of.ListFields()}
    return (
        ("gt" in fields and of.gt >= 0)
        or ("gte" in fields and of.gte > 0)
        or ("lt" in fields and of.lt <= 0)
        or ("const" in fields and of.const != 0)
    )


_REFUSES: dict[str, Any] = {
    "string": _string_refuses,
    "bool": lambda of: of.const,
    "repeated": lambda of: of.min_items > 0,
    "map": lambda of: of.min_pairs > 0,
    "enum": lambda of: 0 in of.not_in or (bool(getattr(of, "in")) and 0 not in getattr(of, "in")),
    "bytes": lambda of: of.min_len > 0,
}


def _string(of: validate_pb2.StringRules) -> Json:
    found = _present(of, {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"})
    if of.HasField("max_bytes"):
        found.setdefault("maxLength", of.max_bytes)
    known = of.WhichOneof("well_known")
    if known in _FORMATS:
        found["format"] = _FORMATS[known]
    if known == "host_and_port":
        found["pattern"] = "^[A-Za-z0-9.-]+:[1-9][0-9]{0,4}$"
    allowed = list(getattr(of, "in"))
    if allowed:
        found["enum"] = allowed
    if of.HasField("const"):
        found["const"] = of.const
    return found


def _integer(of: Any, *, as_text: bool) -> Json:
    found = _present(
        of,
        {
            "gte": "minimum",
            "lte": "maximum",
            "gt": "exclusiveMinimum",
            "lt": "exclusiveMaximum",
        },
    )
    if not as_text:
        return found
    # The value is text in JSON, so its bounds are told where people and generators can see them.
    negative = not any(found.get(bound, -1) >= 0 for bound in ("minimum", "exclusiveMinimum"))
    pattern = "^-?[0-9]{1,19}$" if negative else "^[0-9]{1,19}$"
    return {"pattern": pattern, **{f"x-{name}": str(value) for name, value in found.items()}}


def _present(of: Any, names: dict[str, str]) -> Json:
    return {names[field.name]: value for field, value in of.ListFields() if field.name in names}
