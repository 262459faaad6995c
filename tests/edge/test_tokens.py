import time
from typing import Any
from uuid import uuid4

import grpc
import httpx
import jwt
import pytest
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from google.rpc import error_details_pb2

from services.kit.errors import DETAILS_KEY, error_info_of
from tests.edge.conftest import told
from tests.edge.doubles import API_KEY, Mesh
from tests.kit.tokens import TokenIssuer

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAYER_ID = "0198c0de-0000-7000-8000-000000000001"
PATH = "/v1/wallet/balances"


def unsigned(tokens: TokenIssuer, algorithm: str = "none") -> str:
    now = int(time.time())
    claims = {"iss": "croupier", "aud": "croupier", "sub": PLAYER_ID, "iat": now, "exp": now + 60}
    token = jwt.encode(
        {**claims, "kind": "player", "sid": str(uuid4())},
        key="",
        algorithm="none",
        headers={"kid": tokens.key_id},
    )
    if algorithm == "none":
        return token
    header = jwt.utils.base64url_encode(
        f'{{"alg":"{algorithm}","kid":"{tokens.key_id}"}}'.encode()
    ).decode()
    return f"{header}.{token.split('.')[1]}.AAAA"


def credentials(tokens: TokenIssuer) -> list[tuple[str, dict[str, str], str]]:
    def bearer(token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    def own(**claims: Any) -> dict[str, str]:
        return dict(tokens.player(PLAYER_ID, **claims))

    now = int(time.time())
    valid = own()["authorization"]
    tampered = valid[:-6] + ("AAAAAA" if valid[-6:] != "AAAAAA" else "BBBBBB")
    return [
        ("none", {}, "CREDENTIAL_MISSING"),
        ("another scheme", {"authorization": "Basic eDp5"}, "CREDENTIAL_MISSING"),
        ("rubbish", bearer("rubbish"), "CREDENTIAL_INVALID"),
        ("dots", bearer("a.b.c"), "CREDENTIAL_INVALID"),
        ("the algorithm none", bearer(unsigned(tokens)), "CREDENTIAL_INVALID"),
        ("a symmetric algorithm", bearer(unsigned(tokens, "HS256")), "CREDENTIAL_INVALID"),
        ("a forged signature", {"authorization": tampered}, "CREDENTIAL_INVALID"),
        ("another's key", dict(TokenIssuer(tokens.key_id).player(PLAYER_ID)), "CREDENTIAL_INVALID"),
        ("an unknown key", dict(TokenIssuer("other").player(PLAYER_ID)), "CREDENTIAL_INVALID"),
        ("another issuer", own(iss="someone"), "CREDENTIAL_INVALID"),
        ("another audience", own(aud="someone"), "CREDENTIAL_INVALID"),
        ("an operator", dict(tokens.operator("admin")), "CALLER_NOT_ALLOWED"),
        ("an expired token", own(exp=now - 60), "TOKEN_EXPIRED"),
        ("a token just expired", own(exp=now - 1), "TOKEN_EXPIRED"),
        ("a token of tomorrow", own(nbf=now + 3600), "CREDENTIAL_INVALID"),
    ]


async def test_player_method_refuses_what_is_no_players_token(
    client: httpx.AsyncClient, mesh: Mesh, tokens: TokenIssuer
) -> None:
    for name, headers, expected in credentials(tokens):
        status, reason, metadata = told(await client.get(PATH, headers=headers))
        code = 403 if expected == "CALLER_NOT_ALLOWED" else 401
        assert (status, reason) == (code, expected), name
        if expected == "CREDENTIAL_MISSING":
            assert metadata == {"level": "AUTH_LEVEL_PLAYER"}
    assert mesh.received == []


async def test_grpc_clients_learn_the_reason_too(
    channel: grpc.aio.Channel, mesh: Mesh, tokens: TokenIssuer
) -> None:
    stub = wallet_service_pb2_grpc.WalletServiceStub(channel)
    for name, headers, expected in credentials(tokens):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListBalances(
                wallet_service_pb2.ListBalancesRequest(),
                metadata=tuple(headers.items()),
                timeout=5,
            )
        code = grpc.StatusCode.UNAUTHENTICATED
        if expected == "CALLER_NOT_ALLOWED":
            code = grpc.StatusCode.PERMISSION_DENIED
        assert raised.value.code() is code, name
        assert info_of(raised.value).reason == f"ERROR_REASON_{expected}", name
    assert mesh.received == []


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    trailing: Any = error.trailing_metadata()
    details = dict(tuple(trailing)).get(DETAILS_KEY)
    assert isinstance(details, bytes), error
    info = error_info_of(details)
    assert info is not None
    return info


async def test_token_in_the_query_is_not_taken(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    token = player["authorization"].removeprefix("Bearer ")
    response = await client.get(f"{PATH}?access_token={token}")
    assert told(response)[:2] == (401, "CREDENTIAL_MISSING")
    assert mesh.received == []


async def test_player_is_who_the_token_says(
    client: httpx.AsyncClient, mesh: Mesh, tokens: TokenIssuer
) -> None:
    other = str(uuid4())
    for headers in (
        {},
        {"x-player-id": other, "x-subject-id": other, "subject-id": other},
        {"cookie": f"player_id={other}"},
    ):
        response = await client.get(PATH, headers={**headers, **dict(tokens.player(PLAYER_ID))})
        assert response.status_code == 200
        assert mesh.last("ListBalances").caller.subject_id == PLAYER_ID
    refused = await client.get(f"{PATH}?player_id={other}", headers=dict(tokens.player(PLAYER_ID)))
    assert told(refused)[:2] == (400, "INVALID_REQUEST")


async def test_operator_needs_the_role(
    client: httpx.AsyncClient, mesh: Mesh, tokens: TokenIssuer, player: dict[str, str]
) -> None:
    path = "/v1/games/dice:disable"
    assert (await client.post(path, headers=dict(tokens.operator("catalogue")))).is_success
    mesh.reset()
    analyst = await client.post(path, headers=dict(tokens.operator("analyst")))
    assert told(analyst)[:2] == (403, "CALLER_NOT_ALLOWED")
    as_player = await client.post(path, headers=player)
    assert told(as_player)[:2] == (403, "CALLER_NOT_ALLOWED")
    nobody = await client.post(path)
    assert told(nobody) == (401, "CREDENTIAL_MISSING", {"level": "AUTH_LEVEL_OPERATOR"})
    assert mesh.received == []


async def test_public_method_needs_no_token_and_minds_no_bad_one(
    client: httpx.AsyncClient, mesh: Mesh
) -> None:
    body = {"email": "a@example.com", "password": "x"}
    for headers in ({}, {"authorization": "Bearer expired"}):
        response = await client.post("/v1/auth:login", json=body, headers=headers)
        assert response.status_code == 200
    assert len(mesh.received) == 2


async def test_provider_needs_the_key_and_no_token(client: httpx.AsyncClient, mesh: Mesh) -> None:
    path, body = "/v1/provider:authenticateSession", {"sessionToken": "t"}
    assert told(await client.post(path, json=body))[:2] == (401, "CREDENTIAL_MISSING")
    wrong = await client.post(path, json=body, headers={"x-api-key": "guess"})
    assert told(wrong)[:2] == (401, "CREDENTIAL_INVALID")
    assert mesh.received == []
    right = await client.post(path, json=body, headers={"x-api-key": API_KEY})
    assert right.status_code == 200
    assert mesh.last("AuthenticateSession").caller.provider_id == "acme"
