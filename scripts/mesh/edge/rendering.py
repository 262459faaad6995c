"""Fills `envoy/envoy.yaml` for one environment."""

import json
from pathlib import Path
from string import Template
from typing import Any

from scripts.mesh.edge.contract import Contracts
from scripts.mesh.edge.fields import lua_messages
from scripts.mesh.edge.replies import local_replies
from scripts.mesh.edge.routes import routes
from scripts.mesh.edge.settings import EdgeSettings, split_address

Json = dict[str, Any]

_FOLDER = Path(__file__).parents[3] / "envoy"
# Each may use those before it.
_LUA_MODULES = ("kinds", "json", "answers")
_BODY_BYTES_MAX = 1 << 20
_ANSWER_BYTES_MAX = 4 << 20
# Set by Envoy, by a proxy before it or by gRPC itself; a client's own would be taken for theirs.
_STRIPPED = ("forwarded", "x-real-ip", "x-request-id", "x-forwarded-host", "x-client-trace-id")
_STRIPPED_PREFIX = "x-envoy-"
# Binary metadata that is not base64 would break the connection to the service; no contract has any.
_STRIPPED_SUFFIX = "-bin"
_FORWARDED = ("x-forwarded-for", "x-forwarded-proto")
_TRACE = ("traceparent", "tracestate", "baggage")


def render(settings: EdgeSettings) -> str:
    """Renders Envoy's configuration.

    Raises:
        FileNotFoundError: The descriptors are not there.
    """
    contracts = Contracts.read(settings.descriptors)
    transcoder = _transcoder(contracts, settings.descriptors)
    values: Json = {
        "LISTEN": _address(settings.listen),
        "ADMIN": _address(settings.admin),
        "KEYS_SOCKET": str(settings.keys_socket),
        "CERTIFICATE": str(settings.certificate),
        "KEY": str(settings.key),
        "MESH_CERTIFICATE": str(settings.mesh_certificate),
        "MESH_KEY": str(settings.mesh_key),
        "MESH_AUTHORITY": str(settings.mesh_authority),
        "ROUTES": routes(contracts, settings, transcoder=transcoder),
        "TRANSCODER": transcoder,
        "LUA": _lua(contracts),
        "REPLIES": local_replies(),
        "STRIPPED": _stripped(settings),
        "ORIGINS": [{"exact": origin} for origin in settings.origins],
        "TRUSTED_HOPS": settings.trusted_hops,
        "ACCESS_LOG": str(settings.access_log),
        "HEAP_BYTES_MAX": settings.heap_bytes_max,
        "CONNECTIONS_MAX": settings.connections_max,
        "TRACING": _tracing(settings),
        "TRACE_ENDPOINTS": _trace_endpoints(settings),
        **{name.upper(): _address(at) for name, at in settings.upstreams().items()},
    }
    template = Template((_FOLDER / "envoy.yaml").read_text())
    return template.substitute({name: json.dumps(value) for name, value in values.items()})


def _lua(contracts: Contracts) -> str:
    """Puts the script together: the contracts, the modules by their names, the filter itself."""
    requests = [operation.request for operation in contracts.operations if operation.bindings]
    modules = [
        f"local {name} = (function()\n{(_FOLDER / 'lua' / f'{name}.lua').read_text()}end)()\n"
        for name in _LUA_MODULES
    ]
    return "".join([lua_messages(requests), *modules, (_FOLDER / "edge.lua").read_text()])


def _address(address: str) -> Json:
    host, port = split_address(address)
    return {"address": host, "port_value": port}


def _transcoder(contracts: Contracts, descriptors: Path) -> Json:
    mapped = {operation.service for operation in contracts.operations if operation.bindings}
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3"
        ".GrpcJsonTranscoder",
        "proto_descriptor": str(descriptors.resolve()),
        "services": sorted(mapped),
        # The route of the HTTP path stays the route: its limits and its token rule hold to the end.
        "match_incoming_request_route": True,
        "convert_grpc_status": True,
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        "print_options": {
            "always_print_primitive_fields": True,
            "stream_newline_delimited": True,
        },
        "max_request_body_size": _BODY_BYTES_MAX,
        "max_response_body_size": _ANSWER_BYTES_MAX,
    }


def _stripped(settings: EdgeSettings) -> list[Json]:
    names = list(_STRIPPED)
    if settings.trusted_hops == 0:
        names += _FORWARDED
    if not settings.trust_client_trace:
        names += _TRACE
    patterns: list[Json] = [{"prefix": _STRIPPED_PREFIX}, {"suffix": _STRIPPED_SUFFIX}]
    return [
        *({"remove": name} for name in names),
        *({"remove_on_match": {"key_matcher": pattern}} for pattern in patterns),
    ]


def _tracing(settings: EdgeSettings) -> Json | None:
    if settings.traces is None:
        return None
    samplers = "type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3."
    share = {"numerator": round(settings.sampled_percent * 10_000), "denominator": "MILLION"}
    return {
        # Envoy's older dice; the sampler below decides instead.
        "random_sampling": {"value": 100},
        "operation": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)% %ROUTE_NAME%",
        "max_path_tag_length": 128,
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "edge",
                "grpc_service": {"envoy_grpc": {"cluster_name": "traces"}, "timeout": "1s"},
                "resource_detectors": [
                    {
                        "name": "static",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.tracers.opentelemetry"
                            ".resource_detectors.v3.StaticConfigResourceDetectorConfig",
                            "attributes": {"service.namespace": "croupier"},
                        },
                    }
                ],
                "sampler": {
                    "name": "envoy.tracers.opentelemetry.samplers.parent_based",
                    "typed_config": {
                        "@type": f"{samplers}ParentBasedSamplerConfig",
                        "wrapped_sampler": {
                            "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
                            "typed_config": {
                                "@type": f"{samplers}TraceIdRatioBasedSamplerConfig",
                                "sampling_percentage": share,
                            },
                        },
                    },
                },
            },
        },
    }


def _trace_endpoints(settings: EdgeSettings) -> list[Json]:
    if settings.traces is None:
        return []
    address = {"socket_address": _address(settings.traces)}
    return [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
