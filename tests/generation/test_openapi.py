import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from scripts.generation.openapi import document
from scripts.generation.protoc import write_descriptors
from scripts.mesh.edge.contract import Contracts, Operation
from scripts.mesh.edge.routes import path_fields
from tests.contract.contracts import reasons

OPERATIONS = [
    operation
    for operation in Contracts.read(Path("generated/croupier.binpb")).operations
    if operation.bindings
]
ID = "0198c0de-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    image = tmp_path_factory.mktemp("image") / "image.binpb"
    write_descriptors(image, source_info=True)
    return FileDescriptorSet.FromString(image.read_bytes())


@pytest.fixture(scope="module")
def made(descriptors: FileDescriptorSet) -> dict[str, Any]:
    return document(descriptors)


def test_document_is_valid(made: dict[str, Any]) -> None:
    validate(made)


def test_document_is_the_same_every_time(
    made: dict[str, Any], descriptors: FileDescriptorSet
) -> None:
    assert json.dumps(document(descriptors)) == json.dumps(made)


def test_committed_document_is_fresh(made: dict[str, Any]) -> None:
    assert json.loads(Path("generated/openapi.json").read_text()) == made


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.full_name)
def test_mapped_method_is_described(made: dict[str, Any], operation: Operation) -> None:
    for binding in operation.bindings:
        entry = made["paths"][binding.template][binding.verb.lower()]
        assert entry["x-grpc-method"] == operation.full_name
        assert entry["summary"].endswith(".")
        in_path = [each["name"] for each in entry.get("parameters", ()) if each["in"] == "path"]
        assert in_path == path_fields(binding.template)
        assert {"400", "429", "503", "504"} <= set(entry["responses"])
        assert ("401" in entry["responses"]) or operation.level == "PUBLIC"
        assert ("requestBody" in entry) == bool(binding.body)


def test_only_mapped_methods_are_described(made: dict[str, Any]) -> None:
    described = [
        entry["x-grpc-method"] for path in made["paths"].values() for entry in path.values()
    ]
    assert sorted(described) == sorted(operation.full_name for operation in OPERATIONS)


def test_level_becomes_the_security_scheme(made: dict[str, Any]) -> None:
    paths = made["paths"]
    assert paths["/v1/auth:login"]["post"]["security"] == []
    assert paths["/v1/wallet/balances"]["get"]["security"] == [{"playerToken": []}]
    assert paths["/v1/provider:placeBet"]["post"]["security"] == [{"apiKey": []}]
    assert paths["/v1/games/{game_id}:disable"]["post"]["security"] == [
        {"operatorToken": ["admin"]},
        {"operatorToken": ["catalogue"]},
    ]


def test_every_reason_is_explained(made: dict[str, Any]) -> None:
    reason = made["components"]["schemas"]["ErrorReason"]
    names = {name for _, name in reasons()}
    assert set(reason["enum"]) == names
    assert all(f"`{name}`" in reason["description"] for name in names)


def test_every_field_of_a_request_is_explained(made: dict[str, Any]) -> None:
    schemas = made["components"]["schemas"]
    assert [
        f"{operation.request.name}.{field}"
        for operation in OPERATIONS
        for field, value in schemas.get(operation.request.name, {}).get("properties", {}).items()
        if not value.get("description")
    ] == []


def test_methods_on_a_stream_say_both_forms(made: dict[str, Any]) -> None:
    answer = made["paths"]["/v1/wallet/balances:watch"]["get"]["responses"]["200"]
    assert set(answer["content"]) == {"application/x-ndjson", "text/event-stream"}


def schema_of(made: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": made["components"]}
    )


DEPOSIT = {"requestId": ID, "amount": {"currencyCode": "EUR", "minorUnits": "100"}}
REGISTER = {
    "requestId": ID,
    "email": "a@example.com",
    "password": "correct horse",
    "givenName": "A",
    "familyName": "B",
    "dateOfBirth": "1990-01-31",
    "countryCode": "DE",
    "postalAddress": "C 1",
    "currencyCode": "EUR",
    "termsAccepted": True,
}


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("CreateDepositRequest", DEPOSIT, True),
        ("CreateDepositRequest", {**DEPOSIT, "bonus": 1}, False),
        ("CreateDepositRequest", {"requestId": ID}, False),
        ("CreateDepositRequest", {**DEPOSIT, "returnUrl": "javascript:1"}, False),
        ("CreateDepositRequest", {**DEPOSIT, "amount": {"currencyCode": "eur"}}, False),
        (
            "CreateDepositRequest",
            {**DEPOSIT, "amount": {"currencyCode": "EUR", "minorUnits": "-1"}},
            False,
        ),
        ("Money", {"currencyCode": "EUR", "minorUnits": "-1"}, True),
        ("RegisterPlayerRequest", REGISTER, True),
        ("RegisterPlayerRequest", {**REGISTER, "termsAccepted": False}, False),
        ("RegisterPlayerRequest", {**REGISTER, "password": "short"}, False),
        ("DisableGameRequest", {}, True),
        ("DisableGameRequest", {"gameId": "dice"}, False),
        ("WatchBalancesResponse", {"end": {"cause": "CAUSE_DRAINING"}}, True),
        ("WatchBalancesResponse", {"end": {}, "heartbeat": {}}, False),
    ],
)
def test_rules_of_the_contract_are_rules_of_the_schema(
    made: dict[str, Any], name: str, value: dict[str, Any], *, valid: bool
) -> None:
    assert schema_of(made, name).is_valid(value) is valid


def test_schemas_refer_to_what_is_there_and_nothing_is_left_over(made: dict[str, Any]) -> None:
    text = json.dumps(made)
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert found == set(made["components"]["schemas"])
