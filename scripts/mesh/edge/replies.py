"""Envoy's own refusals, in the form of every other error: a `google.rpc.Status` with a reason."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from croupier.type.v1 import error_reason_pb2
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

Json = dict[str, Any]

_DOMAIN = "croupier"
_TYPE = "type.googleapis.com/google.rpc."
# A JSON client that is still waiting for the transcoder looks like gRPC from within; the header
# that the transcoder leaves tells. Clients cannot send it: it is stripped on arrival.
_IS_GRPC = (
    "('content-type' in request.headers"
    " && request.headers['content-type'].startsWith('application/grpc')"
    " && !('x-envoy-original-path' in request.headers))"
)
_DETAILS = "response.code_details"


@dataclass(frozen=True, slots=True)
class Reply:
    """How one kind of refusal is told."""

    when: str
    """The condition, in CEL over the response's code and Envoy's details of it."""
    code: int
    """The gRPC code."""
    reason: error_reason_pb2.ErrorReason.ValueType
    """The reason."""
    message: str
    """The sentence for developers; Envoy's own formats such as `%ROUTE_NAME%` are filled in."""
    http: int | None = None
    """The HTTP status, where Envoy's own would be wrong."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The values of the message."""
    retry_after: int | None = None
    """After how many seconds a repeat may succeed."""


_REPLIES = (
    Reply(
        when=f"response.code == 401 && {_DETAILS}.contains('Jwt_is_missing')",
        code=code_pb2.UNAUTHENTICATED,
        reason=error_reason_pb2.ERROR_REASON_CREDENTIAL_MISSING,
        message="this method needs a credential for %METADATA(ROUTE:croupier:level)%",
        metadata={"level": "%METADATA(ROUTE:croupier:level)%"},
    ),
    Reply(
        when=f"response.code == 401 && {_DETAILS}.contains('Jwt_is_expired')",
        code=code_pb2.UNAUTHENTICATED,
        reason=error_reason_pb2.ERROR_REASON_TOKEN_EXPIRED,
        message="the access token has expired; refresh it",
    ),
    Reply(
        # Without the keys no token can be judged: that is our trouble and not the caller's.
        when=f"response.code == 401 && {_DETAILS}.contains('Jwks_remote_fetch')",
        http=503,
        code=code_pb2.UNAVAILABLE,
        reason=error_reason_pb2.ERROR_REASON_UNAVAILABLE,
        message="security is not available",
        metadata={"dependency": "security"},
        retry_after=1,
    ),
    Reply(
        # Envoy answers 403 to a token for another audience; it is as worthless as any other.
        when=f"response.code == 401 || {_DETAILS}.startsWith('jwt_authn_access_denied')",
        http=401,
        code=code_pb2.UNAUTHENTICATED,
        reason=error_reason_pb2.ERROR_REASON_CREDENTIAL_INVALID,
        message="the credential is not valid",
    ),
    Reply(
        when="response.code == 404 || response.code == 405",
        code=code_pb2.UNIMPLEMENTED,
        reason=error_reason_pb2.ERROR_REASON_METHOD_UNKNOWN,
        message="there is no such method",
    ),
    Reply(
        when="response.code == 413",
        code=code_pb2.INVALID_ARGUMENT,
        reason=error_reason_pb2.ERROR_REASON_INVALID_REQUEST,
        message="the body is larger than 1 MiB",
        metadata={"bytes_max": "1048576"},
    ),
    Reply(
        when="response.code == 429",
        code=code_pb2.RESOURCE_EXHAUSTED,
        reason=error_reason_pb2.ERROR_REASON_OVERLOADED,
        message="too many requests from this address; try again later",
        retry_after=1,
    ),
    Reply(
        when="response.code == 504 || response.code == 408",
        code=code_pb2.DEADLINE_EXCEEDED,
        reason=error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED,
        message="the deadline has passed; repeat a mutation with the same id",
    ),
    Reply(
        when="response.code == 502 || response.code == 503",
        http=503,
        code=code_pb2.UNAVAILABLE,
        reason=error_reason_pb2.ERROR_REASON_UNAVAILABLE,
        message="a service is not available; repeat a mutation with the same id",
        metadata={"dependency": "%UPSTREAM_CLUSTER%"},
        retry_after=1,
    ),
    Reply(
        when="response.code >= 500",
        code=code_pb2.INTERNAL,
        reason=error_reason_pb2.ERROR_REASON_INTERNAL,
        message="internal error",
        metadata={"request_id": "%REQ(X-REQUEST-ID)%"},
    ),
    Reply(
        # The transcoder's own sentence is left out: it quotes the value, maybe a password.
        when=f"response.code >= 400 && {_DETAILS}.contains('grpc_json_transcode_failure')",
        code=code_pb2.INVALID_ARGUMENT,
        reason=error_reason_pb2.ERROR_REASON_INVALID_REQUEST,
        message="invalid request: it is not what its type says",
        metadata={"fields": ""},
    ),
    Reply(
        when="response.code >= 400",
        code=code_pb2.INVALID_ARGUMENT,
        reason=error_reason_pb2.ERROR_REASON_INVALID_REQUEST,
        message="the request is malformed",
        metadata={"fields": ""},
    ),
)


def local_replies() -> Json:
    """Builds Envoy's `local_reply_config`; the first condition that holds decides."""
    # What the Lua filter answers is in this form already.
    done: Json = {"filter": _when(f"{_DETAILS} == 'lua_response'")}
    return {"mappers": [done, *(mapper for reply in _REPLIES for mapper in _mappers(reply))]}


def _mappers(reply: Reply) -> Iterator[Json]:
    common: Json = {} if reply.http is None else {"status_code": reply.http}
    retry = [] if reply.retry_after is None else [_header("retry-after", str(reply.retry_after))]
    yield {
        **common,
        "filter": _when(f"!{_IS_GRPC} && ({reply.when})"),
        "body_format_override": {
            "json_format": _body(reply),
            "content_type": "application/json",
            "omit_empty_values": False,
        },
        "headers_to_add": retry,
    }
    # To gRPC clients Envoy tells the body as message. The reason goes where they look for it; only
    # what never varies can be told there, so values that Envoy would fill in are left out. Envoy
    # alone would derive the code from the HTTP status, and say UNKNOWN for a 413.
    details = base64.b64encode(_status(reply).SerializeToString()).decode()
    yield {
        **common,
        "filter": _when(f"{_IS_GRPC} && ({reply.when})"),
        "body_format_override": {"text_format_source": {"inline_string": reply.message}},
        "headers_to_add": [
            _header("grpc-status", str(reply.code)),
            _header("grpc-status-details-bin", details),
        ],
    }


def _when(condition: str) -> Json:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3"
                ".ExpressionFilter",
                "expression": condition,
            },
        }
    }


def _body(reply: Reply) -> Json:
    details: list[Json] = [
        {
            "@type": f"{_TYPE}ErrorInfo",
            "reason": error_reason_pb2.ErrorReason.Name(reply.reason),
            "domain": _DOMAIN,
            "metadata": dict(reply.metadata),
        }
    ]
    if reply.retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{reply.retry_after}s"})
    return {"code": reply.code, "message": reply.message, "details": details}


def _status(reply: Reply) -> status_pb2.Status:
    fixed = {key: value for key, value in reply.metadata.items() if "%" not in value}
    status = status_pb2.Status(
        code=reply.code, message=reply.message if "%" not in reply.message else ""
    )
    info = error_details_pb2.ErrorInfo(
        reason=error_reason_pb2.ErrorReason.Name(reply.reason), domain=_DOMAIN, metadata=fixed
    )
    details: list[Any] = [info]
    if reply.retry_after is not None:
        delay = duration_pb2.Duration(seconds=reply.retry_after)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _header(key: str, value: str) -> Json:
    return {
        "header": {"key": key, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
