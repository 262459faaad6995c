import hashlib
import os
from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
from croupier.wallet.v1 import payment_service_pb2, wallet_service_pb2

from services.kit.errors import ServiceError
from tests.edge.conftest import told
from tests.edge.doubles import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.OUT_OF_RANGE, 400),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.ALREADY_EXISTS, 409),
        (grpc.StatusCode.ABORTED, 409),
        (grpc.StatusCode.FAILED_PRECONDITION, 412),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.CANCELLED, 499),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    ],
)
async def test_code_becomes_the_right_status(
    client: httpx.AsyncClient,
    mesh: Mesh,
    player: dict[str, str],
    code: grpc.StatusCode,
    status: int,
) -> None:
    class RefusedError(ServiceError):
        pass

    RefusedError.code = code
    RefusedError.reason = "ERROR_REASON_OF_THE_TEST"

    def refuse(_: Any) -> Any:
        raise RefusedError('a "quoted" message, é', player="7", fields="")

    mesh.answer("ListBalances", refuse)
    response = await client.get(PATH, headers=player)
    assert told(response) == (status, "OF_THE_TEST", {"player": "7", "fields": ""})
    assert response.json()["code"] == code.value[0]
    assert response.json()["message"] == 'a "quoted" message, é'


async def test_412_needs_the_code_and_not_the_words(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    class RefusedError(ServiceError):
        code = grpc.StatusCode.INVALID_ARGUMENT
        reason = "ERROR_REASON_OF_THE_TEST"

    def refuse(_: Any) -> Any:
        raise RefusedError('{"code":9,"message"')

    mesh.answer("ListBalances", refuse)
    assert told(await client.get(PATH, headers=player))[0] == 400


async def test_all_details_arrive(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    class BusyError(ServiceError):
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        reason = "ERROR_REASON_OVERLOADED"

    def refuse(_: Any) -> Any:
        raise BusyError("busy", retry_after=timedelta(milliseconds=250))

    mesh.answer("ListBalances", refuse)
    details = (await client.get(PATH, headers=player)).json()["details"]
    assert details[1] == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "0.250s",
    }


async def test_unexpected_exception_says_nothing(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    def fail(_: Any) -> Any:
        raise ValueError("secret password=hunter2")

    mesh.answer("ListBalances", fail)
    response = await client.get(PATH, headers=player)
    status, reason, metadata = told(response)
    assert (status, reason) == (500, "INTERNAL")
    assert metadata == {"request_id": response.headers["x-request-id"]}
    assert "hunter2" not in response.text


async def test_answer_shows_zeros_and_quotes_large_integers(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    answer = wallet_service_pb2.ListBalancesResponse()
    answer.balances.add(currency_code="EUR", seq=2**53 + 1)
    mesh.answer("ListBalances", lambda _: answer)
    response = await client.get(PATH, headers=player)
    balance = response.json()["balances"][0]
    assert balance["seq"] == str(2**53 + 1)
    assert balance["currencyCode"] == "EUR"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/xml", None]
)
@pytest.mark.parametrize(
    "body",
    [b'{"broken": json', b'{"a": 1,  "a": 2}', os.urandom(65_536), b"\0", b""],
    ids=["broken", "odd", "random", "zero", "empty"],
)
async def test_webhook_arrives_byte_for_byte(
    client: httpx.AsyncClient, mesh: Mesh, content_type: str | None, body: bytes
) -> None:
    headers = {"psp-signature": "t=1,v1=abc"}
    if content_type:
        headers["content-type"] = content_type
    response = await client.post("/v1/webhooks/payments/sandbox", content=body, headers=headers)
    assert response.status_code == 200, response.text
    received = mesh.last("HandleWebhook")
    assert isinstance(received.request, payment_service_pb2.HandleWebhookRequest)
    assert hashlib.sha256(received.request.http_body.data).digest() == hashlib.sha256(body).digest()
    assert received.request.http_body.content_type == (content_type or "")
    assert received.request.psp == "sandbox"
    assert received.metadata["psp-signature"] == "t=1,v1=abc"


async def test_webhook_path_takes_no_grpc(client: httpx.AsyncClient, mesh: Mesh) -> None:
    response = await client.post(
        "/v1/webhooks/payments/sandbox",
        content=b"\0\0\0\0\0",
        headers={"content-type": "application/grpc", "te": "trailers"},
    )
    assert response.headers["grpc-status"] == "12"
    assert mesh.received == []


async def test_service_metadata_becomes_no_trailer_noise(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.get(PATH, headers=player)
    assert response.status_code == 200
    assert mesh.received[-1].metadata["x-envoy-original-path"] == PATH
