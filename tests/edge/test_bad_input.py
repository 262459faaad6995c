import base64
import gzip
import json
from typing import Any

import grpc
import httpx
import pytest
from croupier.wallet.v1 import payment_service_pb2, payment_service_pb2_grpc

from services.kit.errors import CurrencyUnknownError, error_info_of
from tests.edge.conftest import told
from tests.edge.doubles import API_KEY, Mesh
from tests.edge.envoy import Edge
from tests.edge.raw import exchange
from tests.kit.refusals import refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

ID = "0198c0de-0000-7000-8000-000000000001"
DEPOSIT: dict[str, Any] = {
    "requestId": ID,
    "amount": {"currencyCode": "EUR", "minorUnits": "100"},
}
PATH = "/v1/payments:deposit"
JSON = {"content-type": "application/json"}
MIB = 1 << 20


def amount(**changes: Any) -> bytes:
    return json.dumps({**DEPOSIT, "amount": {**DEPOSIT["amount"], **changes}}).encode()


BODIES: list[tuple[str, bytes, str]] = [
    ("an unknown field", json.dumps({**DEPOSIT, "bonus": 1}).encode(), "bonus"),
    ("an unknown field inside", amount(bonus=1), "amount.bonus"),
    ("an unknown field with an escape", b'{"request\\u0049d": "x"}', "request?u0049d"),
    ("a player that the token does not name", b'{"player_id": "someone"}', "player_id"),
    ("a field given twice", b'{"requestId": "a", "requestId": "b"}', "request_id"),
    ("both spellings of a field", b'{"requestId": "a", "request_id": "b"}', "request_id"),
    ("a number for a string", b'{"requestId": 5}', "request_id"),
    ("a string for a message", b'{"amount": "5 EUR"}', "amount"),
    ("an object for a string", b'{"requestId": {"a": 1}}', "request_id"),
    ("a list for a string", b'{"requestId": ["a"]}', "request_id"),
    ("half a character", b'{"requestId": "\\ud83d"}', "request_id"),
    ("text for an integer", amount(minorUnits="a lot"), "amount.minor_units"),
    ("a fraction for an integer", amount(minorUnits=1.5), "amount.minor_units"),
    ("an integer beyond 64 bits", amount(minorUnits=2**63), "amount.minor_units"),
    ("a negative amount", amount(minorUnits=-1), "amount.minor_units"),
    ("an amount of nothing", amount(minorUnits=0), "amount"),
    ("a currency in lower case", amount(currencyCode="eur"), "amount.currency_code"),
    ("an amount that is missing", json.dumps({"requestId": ID}).encode(), "amount"),
    ("an id that is none", json.dumps({**DEPOSIT, "requestId": "7"}).encode(), "request_id"),
    ("no object", b"[]", ""),
    ("nothing but null", b"null", ""),
    ("an object that does not end", b'{"requestId": "a"', ""),
    ("something after the object", b'{"requestId": "a"} {}', ""),
    ("a comma too many", b'{"requestId": "a",}', ""),
    ("single quotes", b"{'requestId': 'a'}", ""),
    ("a key without quotes", b'{requestId: "a"}', ""),
    ("a comment", b'{"requestId": "a" /* b */}', ""),
    ("a number with a leading zero", b'{"amount": {"minorUnits": 01}}', "amount.minor_units"),
    ("not a number", b'{"amount": {"minorUnits": NaN}}', "amount.minor_units"),
    ("a bare control character", b'{"requestId": "a\nb"}', "request_id"),
    ("a bad escape", b'{"requestId": "\\x41"}', "request_id"),
    ("lists to no end", b'{"requestId": ' + b"[" * 5000 + b"]" * 5000 + b"}", "request_id"),
    ("values to no end", b'{"returnUrl": [' + b"1," * 400_000 + b"1]}", "return_url"),
    ("escapes to no end", b'{"returnUrl": "' + b"\\n" * 400_000 + b'"}', "return_url"),
    ("no text", b"\x00\x01\x02", ""),
]


@pytest.mark.parametrize(("body", "field"), [row[1:] for row in BODIES], ids=[r[0] for r in BODIES])
async def test_body_is_refused_and_the_field_named(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], body: bytes, field: str
) -> None:
    response = await client.post(PATH, content=body, headers={**player, **JSON})
    status, reason, metadata = told(response)
    assert (status, reason) == (400, "INVALID_REQUEST"), response.text
    assert field in metadata["fields"].split(","), response.text
    assert mesh.received == []


async def test_invalid_utf8_is_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.post(
        PATH, content=b'{"requestId": "\xff\xfe"}', headers={**player, **JSON}
    )
    assert told(response)[:2] == (400, "INVALID_REQUEST")
    assert mesh.received == []


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(DEPOSIT).encode(),
        b' {"request_id" :"' + ID.encode() + b'", "amount":{"currency_code":"EUR",'
        b'"minor_units":100}} \n',
        b'{"requestId": "\\u0030' + ID[1:].encode() + b'", "returnUrl": null,'
        b'"amount": {"currencyCode": "EUR", "minorUnits": 1e2}}',
    ],
    ids=["camel case", "snake case", "escapes, null and an exponent"],
)
async def test_body_as_the_contract_says_arrives(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], body: bytes
) -> None:
    response = await client.post(PATH, content=body, headers={**player, **JSON})
    assert response.status_code == 200, response.text
    request = mesh.last("CreateDeposit").request
    assert (request.request_id, request.amount.minor_units) == (ID, 100)


async def test_unknown_currency_is_refused_by_the_service(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    def refuse(request: Any) -> Any:
        raise CurrencyUnknownError(request.amount.currency_code)

    mesh.answer("CreateDeposit", refuse)
    response = await client.post(PATH, content=amount(currencyCode="XXY"), headers=player | JSON)
    assert told(response) == (400, "CURRENCY_UNKNOWN", {"currency_code": "XXY"})


async def test_largest_body_is_read(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    body = json.dumps(DEPOSIT).encode().ljust(MIB)
    response = await client.post(PATH, content=body, headers={**player, **JSON})
    assert response.status_code == 200
    assert mesh.last("CreateDeposit").request.request_id == ID


@pytest.mark.parametrize("path", [PATH, "/v1/webhooks/payments/sandbox"])
@pytest.mark.parametrize("size", [MIB + 1, 10 * MIB])
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_larger_body_is_refused(
    edge: Edge, mesh: Mesh, player: dict[str, str], path: str, size: int, framing: str
) -> None:
    parts = [bytes(min(MIB, size - at)) for at in range(0, size, MIB)]
    framed = {"content-length": str(size)}
    if framing == "chunked":
        framed = {"transfer-encoding": "chunked"}
        parts = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts] + [b"0\r\n\r\n"]
    response = await exchange(edge, f"POST {path}", {**player, **JSON, **framed}, parts)
    assert told(response) == (413, "INVALID_REQUEST", {"bytes_max": "1048576"})
    assert mesh.received == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application/xml",
        "",
        None,
    ],
)
async def test_other_content_types_are_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], content_type: str | None
) -> None:
    given = {} if content_type is None else {"content-type": content_type}
    response = await client.post(PATH, content=json.dumps(DEPOSIT), headers={**player, **given})
    status, reason, metadata = told(response)
    assert (status, reason) == (415, "INVALID_REQUEST")
    assert metadata == {"content_type": content_type or ""}
    assert mesh.received == []


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x"])
async def test_other_content_encodings_are_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], coding: str
) -> None:
    body = gzip.compress(json.dumps(DEPOSIT).encode())
    response = await client.post(
        PATH, content=body, headers={**player, **JSON, "content-encoding": coding}
    )
    assert told(response) == (415, "INVALID_REQUEST", {"content_encoding": coding})
    assert response.headers["accept-encoding"] == "identity"
    assert mesh.received == []


async def test_body_that_is_said_to_be_as_it_is_arrives(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    headers = {**player, **JSON, "content-encoding": "identity"}
    response = await client.post(PATH, content=json.dumps(DEPOSIT), headers=headers)
    assert response.status_code == 200
    assert mesh.last("CreateDeposit").request.request_id == ID


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "Application/JSON"])
async def test_json_by_another_spelling_is_json(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], content_type: str
) -> None:
    headers = {**player, "content-type": content_type}
    response = await client.post(PATH, content=json.dumps(DEPOSIT), headers=headers)
    assert response.status_code == 200
    assert mesh.last("CreateDeposit").request.request_id == ID


QUERIES = [
    ("/v1/rounds?foo=1", "foo"),
    ("/v1/rounds?page_size.x=1", "page_size.x"),
    ("/v1/rounds?page_size=1&pageSize=2", "page_size"),
    ("/v1/rounds?page_size=many", "page_size"),
    ("/v1/rounds?page_size=501", "page_size"),
    ("/v1/rounds?page%5Fsize=1", "page%5Fsize"),
    (f"/v1/payments/{ID}?payment_id={ID}", "payment_id"),
    (f"/v1/payments/{ID}?paymentId={ID}", "paymentId"),
]


@pytest.mark.parametrize(("path", "field"), QUERIES)
async def test_query_is_refused_and_the_field_named(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], path: str, field: str
) -> None:
    status, reason, metadata = told(await client.get(path, headers=player))
    assert (status, reason) == (400, "INVALID_REQUEST")
    assert metadata["fields"] == field
    assert mesh.received == []


async def test_query_beside_a_body_is_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.post(f"{PATH}?request_id={ID}", json=DEPOSIT, headers=player)
    assert told(response)[:2] == (400, "INVALID_REQUEST")
    assert mesh.received == []


async def test_body_where_none_is_taken_is_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.request("GET", "/v1/rounds", json={"page_size": 1}, headers=player)
    assert told(response)[:2] == (400, "INVALID_REQUEST")
    assert mesh.received == []


@pytest.mark.parametrize("name", ["game_id", "gameId"])
async def test_body_cannot_say_other_than_the_path(
    client: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str], name: str
) -> None:
    response = await client.post(
        "/v1/games/dice:disable", json={name: "roulette"}, headers=operator
    )
    assert told(response) == (400, "INVALID_REQUEST", {"fields": "game_id"})
    assert mesh.received == []


async def test_repeated_field_may_come_twice_in_a_query(
    client: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str]
) -> None:
    response = await client.get(
        "/v1/reports/game-activity?start_time=2027-01-01T00:00:00Z&end_time=2027-01-02T00:00:00Z"
        "&dimensions=DIMENSION_GAME&dimensions=DIMENSION_PROVIDER",
        headers=operator,
    )
    assert response.status_code == 200, response.text
    assert list(mesh.last("QueryGameActivity").request.dimensions) == [1, 2]


def frame(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


async def test_broken_protobuf_is_refused(
    channel: grpc.aio.Channel, mesh: Mesh, player: dict[str, str]
) -> None:
    call = channel.unary_unary(
        "/croupier.wallet.v1.PaymentService/CreateDeposit",
        request_serializer=bytes,
        response_deserializer=bytes,
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"\x0a\xff\xff", metadata=tuple(player.items()), timeout=5)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert mesh.received == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"", 4),
        (b"\0", 4),
        (frame(b"")[:4], 4),
        (b"\0\0\0\0\x05abc", 4),
        (b"\0\xff\xff\xff\xff", 8),
        (b"\x07\0\0\0\0", 3),
    ],
    ids=["nothing", "a byte", "half a head", "half a message", "too long", "unknown flags"],
)
async def test_broken_grpc_frame_is_refused(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], broken: bytes, code: int
) -> None:
    # A server of gRPC waits for the rest of a frame until the deadline, although none can come.
    timeout = "500m" if code == 4 else "9S"
    grpc_headers = {"content-type": "application/grpc", "te": "trailers", "grpc-timeout": timeout}
    response = await client.post(
        "/croupier.wallet.v1.PaymentService/CreateDeposit",
        content=broken,
        headers={**player, **grpc_headers},
    )
    assert (response.status_code, response.headers.get("grpc-status")) == (200, str(code))
    assert mesh.received == []


async def test_larger_message_is_refused_over_grpc_web(
    edge: Edge, mesh: Mesh, player: dict[str, str]
) -> None:
    body = frame(bytes(2 * MIB))
    response = await exchange(
        edge,
        "POST /croupier.wallet.v1.PaymentService/CreateDeposit",
        {
            **player,
            "content-type": "application/grpc-web+proto",
            "content-length": str(len(body)),
        },
        [body],
    )
    # Envoy derives the code of its answers over grpc-web from the HTTP status, and has none for
    # 413; the reason stands where a gRPC client looks for it.
    assert response.headers["grpc-status"] == "2"
    packed = base64.b64decode(response.headers["grpc-status-details-bin"] + "==")
    info = error_info_of(packed)
    assert info is not None
    assert info.reason == "ERROR_REASON_INVALID_REQUEST"
    assert dict(info.metadata) == {"bytes_max": "1048576"}
    assert mesh.received == []


async def test_grpc_client_learns_that_its_message_is_too_large(
    channel: grpc.aio.Channel, mesh: Mesh, player: dict[str, str]
) -> None:
    stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
    for size in (MIB + 1, 10 * MIB):
        request = payment_service_pb2.CreateDepositRequest(return_url="x" * size)
        found = await refusal(
            stub.CreateDeposit(request, metadata=tuple(player.items()), timeout=10)
        )
        assert found.code is grpc.StatusCode.INVALID_ARGUMENT
        assert found.reason == "ERROR_REASON_INVALID_REQUEST"
        assert found.metadata == {"bytes_max": "1048576"}
    assert mesh.received == []


async def test_largest_message_is_read_over_grpc(
    channel: grpc.aio.Channel, mesh: Mesh, player: dict[str, str]
) -> None:
    call = channel.unary_unary(
        "/croupier.wallet.v1.WalletService/ListBalances",
        request_serializer=bytes,
        response_deserializer=bytes,
    )
    # One long field, number 127, that the contract does not know: gRPC keeps protobuf's rule, and
    # ignores it.
    length = MIB - 5
    head = bytes([0xFA, 0x07, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
    assert await call(head + bytes(length), metadata=tuple(player.items()), timeout=10) == b""
    assert mesh.received


async def test_rules_hold_for_grpc_too(
    channel: grpc.aio.Channel, mesh: Mesh, player: dict[str, str]
) -> None:
    stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
    request = payment_service_pb2.CreateDepositRequest(request_id=ID)
    request.amount.currency_code = "EUR"
    request.amount.minor_units = -1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.CreateDeposit(request, metadata=tuple(player.items()), timeout=5)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert mesh.received == []


async def test_provider_is_told_of_an_unknown_field_too(
    client: httpx.AsyncClient, mesh: Mesh
) -> None:
    body = {"sessionToken": "t", "transactionId": "1", "amout": {"currencyCode": "EUR"}}
    response = await client.post("/v1/provider:placeBet", json=body, headers={"x-api-key": API_KEY})
    assert told(response) == (400, "INVALID_REQUEST", {"fields": "amout"})
    assert mesh.received == []
