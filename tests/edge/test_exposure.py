import re
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from croupier.options.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from scripts.mesh.edge.contract import Contracts, Operation
from tests.contract.contracts import methods
from tests.edge.conftest import told
from tests.edge.doubles import API_KEY, Mesh
from tests.kit.refusals import at_once

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPERATIONS = Contracts.read(Path("generated/croupier.binpb")).operations
MAPPED = [
    (operation, binding.verb, binding.template)
    for operation in OPERATIONS
    for binding in operation.bindings
    if not operation.streaming
]
INTERNAL = [
    method
    for method in methods()
    if method.GetOptions().Extensions[options_pb2.auth].level == options_pb2.AUTH_LEVEL_SERVICE
]
ID = "0198c0de-0000-7000-8000-000000000001"


@pytest.fixture(scope="session")
def credentials(player: dict[str, str], operator: dict[str, str]) -> dict[str, dict[str, str]]:
    """What each level asks for."""
    return {
        "PUBLIC": {},
        "PLAYER": player,
        "OPERATOR": operator,
        "PROVIDER": {"x-api-key": API_KEY},
        "SUBJECT": operator,
    }


@pytest.mark.parametrize("mapped", MAPPED, ids=lambda m: f"{m[1]} {m[2]}")
async def test_mapped_method_is_the_one_that_is_reached(
    client: httpx.AsyncClient,
    mesh: Mesh,
    credentials: dict[str, dict[str, str]],
    mapped: tuple[Operation, str, str],
) -> None:
    operation, verb, template = mapped
    path = re.sub(r"\{[a-z_]+_id\}|\{psp\}", "abc-1", template)
    response = await client.request(verb, path, headers=credentials[operation.level])
    # Most requests lack what they need; either way the service that answered says which it was.
    if response.status_code == 200:
        assert mesh.received[-1].method == operation.name
    else:
        assert told(response)[:2] == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("method", INTERNAL, ids=lambda m: str(m.full_name))
async def test_what_services_say_to_each_other_cannot_be_said_here(
    client: httpx.AsyncClient,
    mesh: Mesh,
    credentials: dict[str, dict[str, str]],
    method: MethodDescriptor,
) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    frame = b"\0\0\0\0\0"
    for identity in credentials.values():
        for content_type, body in (
            ("application/json", b"{}"),
            ("application/grpc", frame),
            ("application/grpc+proto", frame),
            ("application/grpc-web", frame),
            ("application/grpc-web+proto", frame),
            ("application/grpc-web-text", b"AAAAAAA="),
        ):
            response = await client.post(
                path,
                content=body,
                headers={**identity, "content-type": content_type, "te": "trailers"},
            )
            if content_type == "application/json":
                assert told(response) == (404, "METHOD_UNKNOWN", {})
            else:
                assert response.headers["grpc-status"] == "12", content_type
    assert mesh.received == []


async def test_internal_method_is_unimplemented_for_stubs(
    channel: grpc.aio.Channel, mesh: Mesh
) -> None:
    for method in INTERNAL:
        call = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"", timeout=5)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert mesh.received == []


async def test_reflection_and_health_stay_inside(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    service = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await at_once(channel, f"/{service}/ServerReflectionInfo", asked)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if not each.streaming], ids=lambda o: o.full_name
)
async def test_exposed_method_is_reached_by_grpc_and_grpc_web(
    client: httpx.AsyncClient,
    channel: grpc.aio.Channel,
    mesh: Mesh,
    credentials: dict[str, dict[str, str]],
    operation: Operation,
) -> None:
    headers = credentials[operation.level]
    call: Any = channel.unary_unary(
        f"/{operation.full_name}",
        request_serializer=bytes,
        response_deserializer=GetMessageClass(operation.response).FromString,
    )
    code = grpc.StatusCode.OK
    try:
        await call(b"", metadata=tuple(headers.items()), timeout=5)
    except grpc.aio.AioRpcError as error:
        code = error.code()
    # An empty message breaks the rules of most requests.
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
    for kind, body in (("grpc-web+proto", b"\0\0\0\0\0"), ("grpc-web-text", b"AAAAAAA=")):
        response = await client.post(
            f"/{operation.full_name}",
            content=body,
            headers={**headers, "content-type": f"application/{kind}", "x-grpc-web": "1"},
        )
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/grpc-web")
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            assert response.headers["grpc-status"] == "3"
        else:
            assert mesh.received[-1].method == operation.name


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/games/",
        "/v1/games/../rounds/x",
        "/v1/players",
        "/v1/players:register/",
        "/v1/games/a/b:launch",
        "/v1/games/:launch",
        "/v1/games/a:launch:disable",
        "/V1/GAMES",
        "/admin",
        "/stats",
        "/ready",
        "/server_info",
        "/quitquitquit",
        "/healthz/",
        "/.well-known/openid-configuration",
        "/croupier.wallet.v1.WalletService",
        "//",
        "/v1/games;x=1",
    ],
)
async def test_unknown_path_is_not_found(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], path: str
) -> None:
    for verb in ("GET", "POST"):
        response = await client.request(verb, path, headers=player)
        assert told(response) == (404, "METHOD_UNKNOWN", {}), verb
    assert mesh.received == []


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("DELETE", "/v1/games", "GET"),
        ("PUT", "/v1/auth:login", "POST"),
        ("GET", "/v1/games/dice:launch", "POST"),
        ("TRACE", "/v1/games", "GET"),
        ("OPTIONS", "/v1/games", "GET"),
        ("PROPFIND", "/v1/games", "GET"),
    ],
)
async def test_wrong_verb_is_told_the_right_one(
    client: httpx.AsyncClient, mesh: Mesh, verb: str, path: str, allow: str
) -> None:
    response = await client.request(verb, path)
    assert told(response) == (405, "METHOD_UNKNOWN", {})
    assert response.headers["allow"] == allow
    assert mesh.received == []


async def test_head_is_refused_without_a_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/v1/games")
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    "path", [f"/v1/payments/{ID}%2f..%2fx", "/v1/payments/%00", "/v1/payments/..%2fgames"]
)
async def test_escaped_slashes_and_zeros_do_not_travel(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], path: str
) -> None:
    response = await client.get(path, headers=player)
    assert response.status_code in (400, 404)
    assert told(response)[1] in ("INVALID_REQUEST", "METHOD_UNKNOWN")
    assert mesh.received == []


async def test_path_is_normalized_before_it_is_routed(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    for path in ("/v1/x/../wallet//balances", "/./v1/wallet/balances"):
        request = client.build_request("GET", "/", headers=player)
        request.url = request.url.copy_with(raw_path=path.encode())
        assert (await client.send(request)).status_code == 200
    assert [each.method for each in mesh.received] == ["ListBalances"] * 2


async def test_health_of_the_edge_needs_no_token(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"")


async def test_keys_are_public(client: httpx.AsyncClient) -> None:
    response = await client.get("/.well-known/jwks.json")
    assert response.json()["keys"][0]["alg"] == "ES256"
