"""Writes the OpenAPI document of what the edge serves as JSON, from the contracts alone."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from scripts.generation.error_schemas import error_response, error_schemas
from scripts.generation.protoc import write_descriptors
from scripts.generation.schemas import Schemas, Types
from scripts.mesh.edge.contract import Binding, Contracts, Operation
from scripts.mesh.edge.routes import path_fields

Json = dict[str, Any]

_ABOUT = """The JSON face of Croupier's gRPC contracts, as the edge serves it.

An `int64` is a string, so that no client rounds it; a number is accepted too. Names of fields are
lowerCamelCase; the spelling of the contracts is accepted too. Unknown fields, fields given twice
and unknown query parameters are refused. Answers show zeros and empty lists; a message that is not
set is left out. Clients ignore fields that they do not know.

Every error is a `google.rpc.Status` whose first detail is an `ErrorInfo`; branch on its `reason`.
Send a W3C `traceparent` to join your trace; `x-request-id` in an answer finds the call in the logs.
"""
_ERRORS = {
    400: "The request breaks a rule of its contract.",
    401: "There is no credential, or it is not valid any more.",
    403: "The caller is known and not admitted.",
    404: "There is no such thing.",
    409: "It exists already, or its id is used for other content.",
    412: "The state of things does not allow it.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not JSON.",
    429: "Too many requests; `retry-after` says when to come back.",
    503: "Something that is needed does not answer; `retry-after` says when to come back.",
    504: "The deadline passed. Repeat a change with the same id.",
}
# Every call can meet these; what else it can meet stands in the comment of its method.
_ALWAYS = {400, 429, 503, 504}
_STATUS_OF = {
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 412,
    "Refused": 412,
}
_SCHEMES = {
    "PLAYER": ("playerToken",),
    "OPERATOR": ("operatorToken",),
    "PROVIDER": ("apiKey",),
    "SUBJECT": ("playerToken", "operatorToken"),
}
_TOKEN = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_SECURITY_SCHEMES = {
    "playerToken": {**_TOKEN, "description": "An access token of a player, from `/v1/auth:login`."},
    "operatorToken": {
        **_TOKEN,
        "description": "An access token of an operator that carries one of the roles, if any.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "A game provider's API key.",
    },
}
_SCHEMAS = "#/components/schemas/"
_REFERENCE = re.compile(rf'"\$ref": "{_SCHEMAS}([^"]+)"')


def write_openapi(path: Path) -> None:
    """Writes the document as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        write_descriptors(image, source_info=True)
        descriptors = FileDescriptorSet.FromString(image.read_bytes())
    text = json.dumps(document(descriptors), indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def document(descriptors: FileDescriptorSet) -> Json:
    """Builds the document from a descriptor set with source info.

    Raises:
        ValueError: Two methods would have the same operation id, or one has a message in its query.
    """
    types = Types(descriptors)
    operations = [each for each in Contracts(descriptors).operations if each.bindings]
    schemas = Schemas(
        types,
        requests=[each.request.full_name for each in operations],
        responses=[each.response.full_name for each in operations],
    )
    paths: Json = {}
    seen: set[str] = set()
    for operation in operations:
        for number, binding in enumerate(operation.bindings):
            operation_id = operation.name[0].lower() + operation.name[1:] + ("", "_")[number > 0]
            if operation_id in seen:
                raise ValueError(f"two operations are called {operation_id}")
            seen.add(operation_id)
            entry = _Entry(operation, binding, types, schemas).render(operation_id)
            path = re.sub(r"\{([^}=]+)=[^}]*\}", r"{\1}", binding.template)
            paths.setdefault(path, {})[binding.verb.lower()] = entry
    components = {
        **_without_path_fields(schemas.components(), operations, schemas),
        **error_schemas(types),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Croupier",
            "version": "v1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The edge that served this document."}],
        "tags": _tags(operations, types),
        "paths": paths,
        "components": {
            "schemas": _used(components, paths),
            "responses": {f"Error{code}": error_response(text) for code, text in _ERRORS.items()},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _without_path_fields(components: Json, operations: list[Operation], schemas: Schemas) -> Json:
    """Takes out of request bodies what the path says already; the edge refuses it there."""
    for operation in operations:
        name = operation.request.full_name
        bound = [field for each in operation.bindings for field in path_fields(each.template)]
        component = schemas.name(name, request=True) if bound else ""
        if component in components:
            components[component] = schemas.message(name, request=True, without=bound)
    return components


def _used(components: Json, paths: Json) -> Json:
    """Leaves out what nothing refers to, such as requests that are all path and query."""
    found: set[str] = set()
    waiting: list[Any] = [paths, components["Status"], {"$ref": f"{_SCHEMAS}Status"}]
    while waiting:
        names = set(_REFERENCE.findall(json.dumps(waiting.pop()))) - found
        found |= names
        waiting += [components[name] for name in names]
    return {name: schema for name, schema in sorted(components.items()) if name in found}


class _Entry:
    """One operation of the document."""

    def __init__(
        self, operation: Operation, binding: Binding, types: Types, schemas: Schemas
    ) -> None:
        self._operation = operation
        self._binding = binding
        self._schemas = schemas
        self._request = types.messages[operation.request.full_name]
        self._comment = types.comments[f"{operation.service}.{operation.name}"]

    def render(self, operation_id: str) -> Json:
        summary, _, rest = self._comment.partition("\n\n")
        # What does not end with the first paragraph ends with its first sentence.
        first, stop, more = summary.replace("\n", " ").partition(". ")
        entry: Json = {
            "operationId": operation_id,
            "tags": [_tag(self._operation)],
            "summary": first + stop.rstrip(),
            "description": "\n\n".join(text for text in (more, rest) if text),
            "x-grpc-method": self._operation.full_name,
            "security": self._security(),
        }
        parameters = [*self._path_parameters(), *self._query_parameters()]
        if parameters:
            entry["parameters"] = parameters
        if self._binding.body:
            entry["requestBody"] = self._body()
        entry["responses"] = {"200": self._answer(), **self._errors()}
        return entry

    def _security(self) -> list[Json]:
        if self._operation.level == "PUBLIC":
            return []
        schemes = _SCHEMES[self._operation.level]
        roles = [[role] for role in self._operation.roles] or [[]]
        return [{scheme: each} for scheme in schemes for each in roles]

    def _path_parameters(self) -> list[Json]:
        return [
            {"name": name, "in": "path", "required": True, **self._parameter(name)}
            for name in path_fields(self._binding.template)
        ]

    def _query_parameters(self) -> list[Json]:
        if self._binding.body:
            return []
        bound = path_fields(self._binding.template)
        found = []
        for field in self._request.field:
            if field.name not in bound:
                parameter = self._parameter(field.name)
                required = field.json_name in self._required()
                found.append(
                    {"name": field.json_name, "in": "query", "required": required, **parameter}
                )
        return found

    def _required(self) -> list[str]:
        whole = self._schemas.message(self._operation.request.full_name, request=True)
        required: list[str] = whole.get("required", [])
        return required

    def _parameter(self, name: str) -> Json:
        field = next(each for each in self._request.field if each.name == name)
        schema = self._schemas.field(self._operation.request.full_name, field, request=True)
        if "$ref" in schema and field.type == field.TYPE_MESSAGE:
            raise ValueError(f"{self._operation.full_name}: {name} is a message in a path or query")
        return {"description": schema.pop("description"), "schema": schema}

    def _body(self) -> Json:
        if self._operation.is_raw:
            raw = {"schema": {"type": "string", "format": "binary"}}
            return {"description": "The bytes as they are.", "content": {"*/*": raw}}
        name = self._operation.request.full_name
        schema = self._schemas.reference(name, request=True)
        # An empty body is an empty message.
        required = bool(self._required())
        return {"required": required, "content": {"application/json": {"schema": schema}}}

    def _answer(self) -> Json:
        schema = self._schemas.reference(self._operation.response.full_name, request=False)
        if not self._operation.streaming:
            return {"description": "Done.", "content": {"application/json": {"schema": schema}}}
        return {
            "description": "A stream: one JSON object a line, or one an event with "
            "`accept: text/event-stream`. The schema is that of one object.",
            "content": {
                "application/x-ndjson": {"schema": schema},
                "text/event-stream": {"schema": schema},
            },
        }

    def _errors(self) -> Json:
        codes = set(_ALWAYS)
        told = set(re.findall(r"\w+", self._comment))
        codes |= {status for word, status in _STATUS_OF.items() if word in told}
        if self._operation.level != "PUBLIC":
            codes.add(401)
        if self._operation.level == "OPERATOR":
            codes.add(403)
        if self._binding.body:
            codes |= {413} if self._operation.is_raw else {413, 415}
        responses: Json = {
            str(code): {"$ref": f"#/components/responses/Error{code}"} for code in sorted(codes)
        }
        responses["default"] = error_response("Any other error.")
        return responses


def _tag(operation: Operation) -> str:
    return operation.service.rpartition(".")[2].removesuffix("Service")


def _tags(operations: list[Operation], types: Types) -> list[Json]:
    services = {_tag(operation): operation.service for operation in operations}
    return [
        {"name": name, "description": types.comments[service]}
        for name, service in sorted(services.items())
    ]
