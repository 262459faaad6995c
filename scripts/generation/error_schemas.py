"""The shape of errors at the edge, as JSON Schema."""

from typing import Any

from scripts.generation.schemas import Types

Json = dict[str, Any]

_TYPE = "type.googleapis.com/google.rpc."


def error_response(text: str) -> Json:
    """Renders one kind of error as a response."""
    schema = {"$ref": "#/components/schemas/Status"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def error_schemas(types: Types) -> Json:
    """Renders `google.rpc.Status`, its details, and every reason with its comment."""
    reasons = {
        value.name: types.comments.get(f"{name}.{value.name}", "")
        for name, enum in sorted(types.enums.items())
        if name.endswith(".ErrorReason")
        for value in enum.value
        if value.number
    }
    listed = "\n\n".join(f"`{name}`\n\n{comment}" for name, comment in sorted(reasons.items()))
    return {
        "Status": {
            "type": "object",
            "description": "An error, as `google.rpc.Status`.",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {
                    "type": "integer",
                    "format": "int32",
                    "description": "The gRPC code: 3 for INVALID_ARGUMENT, and so on.",
                },
                "message": {"type": "string", "description": "A sentence for developers."},
                "details": {
                    "type": "array",
                    "description": "An ErrorInfo first; then what helps with this error.",
                    "items": {"$ref": "#/components/schemas/ErrorDetail"},
                },
            },
        },
        "ErrorDetail": {
            "type": "object",
            "description": "A message whose `@type` says which: ErrorInfo, BadRequest, RetryInfo, "
            "or one of ours.",
            "required": ["@type"],
            "properties": {"@type": {"type": "string"}},
            "anyOf": [
                {"$ref": "#/components/schemas/ErrorInfo"},
                {"$ref": "#/components/schemas/BadRequest"},
                {"$ref": "#/components/schemas/RetryInfo"},
                {"type": "object"},
            ],
        },
        "ErrorInfo": {
            "type": "object",
            "description": "Why, for machines.",
            "required": ["@type", "reason", "domain", "metadata"],
            "properties": {
                "@type": {"const": f"{_TYPE}ErrorInfo"},
                "reason": {"$ref": "#/components/schemas/ErrorReason"},
                "domain": {"const": "croupier"},
                "metadata": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "The values of the message.",
                },
            },
        },
        "ErrorReason": {"type": "string", "enum": sorted(reasons), "description": listed},
        "BadRequest": {
            "type": "object",
            "description": "Which fields break which rules.",
            "required": ["@type", "fieldViolations"],
            "properties": {
                "@type": {"const": f"{_TYPE}BadRequest"},
                "fieldViolations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "description"],
                        "properties": {
                            "field": {"type": "string"},
                            "description": {"type": "string"},
                        },
                    },
                },
            },
        },
        "RetryInfo": {
            "type": "object",
            "description": "When a repeat may succeed.",
            "required": ["@type", "retryDelay"],
            "properties": {
                "@type": {"const": f"{_TYPE}RetryInfo"},
                "retryDelay": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?s$"},
            },
        },
    }
