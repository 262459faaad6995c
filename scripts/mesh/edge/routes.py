"""The routes of the edge, from the contracts: what is not declared there cannot be reached."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from scripts.mesh.edge.contract import Binding, Contracts, Operation, by_path
from scripts.mesh.edge.settings import EdgeSettings

Json = dict[str, Any]

# Ids in paths are UUIDs and short names. Nothing that would need an escape can be one, so Envoy's
# routes and its transcoder can never read the same path in two ways.
_SEGMENT = "[A-Za-z0-9._~-]+"
_VARIABLE = re.compile(r"\{[^{}=]+(?:=([^{}]*))?\}")
# A stream says something every 15 seconds; one that is silent for longer has lost its server.
_STREAM_IDLE = timedelta(seconds=60)
# The service's own answer that the deadline has passed should come before Envoy's.
_DEADLINE_MARGIN = timedelta(milliseconds=500)
_RETRIES_READ = 2
_RETRIES_OTHER = 1
_DYNAMIC_BUCKETS_MAX = 10_000
# A cluster without endpoints: whatever is sent there fails.
_NOWHERE = "nowhere"
_NDJSON = "application/x-ndjson"
_SSE = "text/event-stream"

_TYPE = "type.googleapis.com/envoy.extensions.filters.http."
_JWT = "envoy.filters.http.jwt_authn"
_LIMIT = "envoy.filters.http.local_ratelimit"
_LUA = "envoy.filters.http.lua"
_TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
_NO_LUA: Json = {_LUA: {"@type": f"{_TYPE}lua.v3.LuaPerRoute", "disabled": True}}
# A larger message would be refused by gRPC itself, with a code that invites to try again, and
# without a reason. The head of a frame has five bytes.
_LIMITED_SIZE: Json = {
    "envoy.filters.http.buffer": {
        "@type": f"{_TYPE}buffer.v3.BufferPerRoute",
        "buffer": {"max_request_bytes": (1 << 20) + 5},
    }
}
_NO_TOKEN: Json = {_JWT: {"@type": f"{_TYPE}jwt_authn.v3.PerRouteConfig", "disabled": True}}


def routes(contracts: Contracts, settings: EdgeSettings, *, transcoder: Json) -> list[Json]:
    """Lists the routes: first the calls that are declared, then refusals of everything else.

    Args:
        contracts: What is declared.
        settings: Deadlines and limits.
        transcoder: The transcoder's settings, for the routes that need a variant of them.
    """
    return [
        _preflight(),
        *(
            route
            for operation in contracts.operations
            for route in _of(operation, settings, transcoder)
        ),
        *(_wrong_verb(path, verbs) for path, verbs in by_path(contracts.operations).items()),
        *_unknown(),
    ]


def _of(operation: Operation, settings: EdgeSettings, transcoder: Json) -> Iterator[Json]:
    for binding in operation.bindings:
        if operation.streaming:
            yield _http(operation, binding, settings, events=transcoder)
        yield _http(operation, binding, settings)
    yield _grpc(operation, settings)


def _http(
    operation: Operation, binding: Binding, settings: EdgeSettings, *, events: Json | None = None
) -> Json:
    """Routes the HTTP form of a method; with `events`, its form as server-sent events."""
    lua: Json = {
        "takes": _body_kind(operation, binding),
        "message": _body_type(operation, binding),
        "path_fields": f",{','.join(path_fields(binding.template))},",
    }
    if operation.streaming:
        lua["stream_type"] = _SSE if events else _NDJSON
    headers = [_header(":method", {"exact": binding.verb}), _not_grpc()]
    filters = _filters(operation, settings)
    if events is not None:
        headers.append(_header("accept", {"prefix": _SSE}))
        options = {**events["print_options"], "stream_sse_style_delimited": True}
        filters[_TRANSCODER] = {**events, "print_options": options}
    return {
        "name": operation.full_name,
        "match": {**path_match(binding.template), "headers": headers},
        "route": _action(operation, settings, from_http=True),
        "metadata": _metadata(operation, lua),
        "typed_per_filter_config": filters,
        **_deadline_header(operation, settings),
    }


def _grpc(operation: Operation, settings: EdgeSettings) -> Json:
    """Routes the method for gRPC and grpc-web, whose content types begin alike."""
    return {
        "name": operation.full_name,
        "match": {
            "path": f"/{operation.full_name}",
            "headers": [
                _header(":method", {"exact": "POST"}),
                _header("content-type", {"prefix": "application/grpc"}),
            ],
        },
        "route": _action(operation, settings, from_http=False),
        "metadata": _metadata(operation, {}),
        "typed_per_filter_config": {**_filters(operation, settings), **_NO_LUA, **_LIMITED_SIZE},
        **_deadline_header(operation, settings),
    }


def path_match(template: str) -> Json:
    """Turns a path template of `google.api.http` into a match of exactly these paths."""
    if "{" not in template and "*" not in template:
        return {"path": template}
    parts = []
    at = 0
    for variable in _VARIABLE.finditer(template):
        parts.append(re.escape(template[at : variable.start()]))
        parts.append(_segments(variable[1] or "*"))
        at = variable.end()
    parts.append(re.escape(template[at:]))
    return {"safe_regex": {"regex": "".join(parts)}}


def path_fields(template: str) -> list[str]:
    """Lists the fields that a path template binds."""
    return [variable[0].strip("{}").partition("=")[0] for variable in _VARIABLE.finditer(template)]


def _segments(pattern: str) -> str:
    shapes = {"*": _SEGMENT, "**": f"{_SEGMENT}(?:/{_SEGMENT})*"}
    return "/".join(shapes.get(each, re.escape(each)) for each in pattern.split("/"))


def _body_kind(operation: Operation, binding: Binding) -> str:
    if not binding.body:
        return "query"
    return "raw" if operation.is_raw else "message"


def _body_type(operation: Operation, binding: Binding) -> str:
    body = operation.request
    if binding.body not in ("", "*"):
        body = operation.request.fields_by_name[binding.body].message_type or body
    return str(body.full_name)


def _action(operation: Operation, settings: EdgeSettings, *, from_http: bool) -> Json:
    action: Json = {
        "cluster": operation.upstream,
        # A route's timeout would reach gRPC clients as UNAVAILABLE, which invites a retry of what
        # may have happened; the limit of the stream reaches them as DEADLINE_EXCEEDED.
        "timeout": "0s",
        "retry_policy": _retries(operation),
    }
    if operation.streaming:
        action["idle_timeout"] = seconds(_STREAM_IDLE)
        action["max_stream_duration"] = {"max_stream_duration": seconds(settings.stream_age_max)}
        return action
    limit = seconds(settings.deadline + _DEADLINE_MARGIN)
    action["max_stream_duration"] = {"max_stream_duration": limit}
    if not from_http:
        action["max_stream_duration"]["grpc_timeout_header_max"] = limit
    return action


def _retries(operation: Operation) -> Json:
    """Repeats what cannot have been executed, and reads that may have been."""
    retry_on = "connect-failure,refused-stream"
    return {
        "retry_on": f"{retry_on},unavailable" if operation.read_only else retry_on,
        "num_retries": _RETRIES_READ if operation.read_only else _RETRIES_OTHER,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }


def _deadline_header(operation: Operation, settings: EdgeSettings) -> Json:
    """Tells the service until when somebody waits, where the client did not."""
    if operation.streaming:
        return {}
    milliseconds = max(1, int(settings.deadline.total_seconds() * 1000))
    return {
        "request_headers_to_add": [
            {
                "header": {"key": "grpc-timeout", "value": f"{milliseconds}m"},
                "append_action": "ADD_IF_ABSENT",
            }
        ]
    }


def _filters(operation: Operation, settings: EdgeSettings) -> Json:
    # The token filter asks for a token wherever a route does not say otherwise.
    needs_token = operation.level in ("PLAYER", "OPERATOR", "SUBJECT")
    return {**({} if needs_token else _NO_TOKEN), **_limit(operation, settings)}


def _limit(operation: Operation, settings: EdgeSettings) -> Json:
    if operation.level == "PROVIDER" or operation.is_raw:
        name, calls, interval = "provider", settings.provider_calls_per_second, "1s"
    elif operation.level in ("PUBLIC", "SUBJECT") and not operation.read_only:
        # Who has logged in may guess the old password, or the code, as well as who has not.
        name, calls, interval = "credential", settings.credential_calls_per_minute, "60s"
    else:
        name, calls, interval = "person", settings.calls_per_second, "1s"
    if not calls:
        return {}
    bucket = {"max_tokens": calls, "tokens_per_fill": calls, "fill_interval": interval}
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        _LIMIT: {
            "@type": f"{_TYPE}local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": name,
            # Clients have a bucket each, by address; the one that all share must not run dry first.
            "token_bucket": {
                "max_tokens": 1_000_000,
                "tokens_per_fill": 1_000_000,
                "fill_interval": "1s",
            },
            "filter_enabled": always,
            "filter_enforced": always,
            "rate_limits": [{"actions": [{"remote_address": {}}]}],
            "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
            "max_dynamic_descriptors": _DYNAMIC_BUCKETS_MAX,
            "rate_limited_as_resource_exhausted": True,
        }
    }


def _metadata(operation: Operation, lua: Json) -> Json:
    declared = {"level": f"AUTH_LEVEL_{operation.level}"}
    return {"filter_metadata": {"croupier": declared, **({_LUA: lua} if lua else {})}}


def _preflight() -> Json:
    """Lets the CORS filter answer every preflight; it passes none on."""
    return {
        "name": "preflight",
        "match": {
            "prefix": "/",
            "headers": [
                _header(":method", {"exact": "OPTIONS"}),
                {"name": "origin", "present_match": True},
                {"name": "access-control-request-method", "present_match": True},
            ],
        },
        "route": {"cluster": _NOWHERE},
        "typed_per_filter_config": {**_NO_TOKEN, **_NO_LUA},
    }


def _wrong_verb(template: str, verbs: list[str]) -> Json:
    return _refusal("wrong verb", path_match(template), status=405, allow=sorted(set(verbs)))


def _unknown() -> list[Json]:
    return [
        {
            "name": "unknown",
            "match": {
                "prefix": "/",
                "headers": [_header("content-type", {"prefix": "application/grpc"})],
            },
            "direct_response": {"status": 404},
            "typed_per_filter_config": {**_NO_TOKEN, **_NO_LUA},
        },
        _refusal("unknown", {"prefix": "/"}, status=404),
    ]


def _refusal(name: str, match: Json, *, status: int, allow: Sequence[str] = ()) -> Json:
    """Has `edge.lua` refuse; a direct response would come without CORS headers."""
    lua: Json = {"refuse": str(status)}
    if allow:
        lua["allow"] = ", ".join(allow)
    return {
        "name": name,
        "match": {**match, "headers": [_not_grpc()]},
        "route": {"cluster": _NOWHERE},
        "metadata": {"filter_metadata": {_LUA: lua}},
        "typed_per_filter_config": _NO_TOKEN,
    }


def _header(name: str, match: Json) -> Json:
    return {"name": name, "string_match": match}


def _not_grpc() -> Json:
    return {
        **_header("content-type", {"prefix": "application/grpc"}),
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }


def seconds(span: timedelta) -> str:
    """Renders a duration as protobuf's JSON does."""
    return f"{span.total_seconds():.3f}s"
