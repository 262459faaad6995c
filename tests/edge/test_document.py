"""The OpenAPI document against the running edge: what it says is what happens."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.edge.doubles import API_KEY, Mesh
from tests.edge.envoy import Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENT = json.loads(Path("generated/openapi.json").read_text())
FOUND: Any = schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
OPERATIONS = [
    operation for operation in (each.ok() for each in FOUND) if ":watch" not in operation.path
]
EXAMPLES = 8
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
async def test_described_request_is_understood(
    edge: Edge, mesh: Mesh, player: dict[str, str], operator: dict[str, str], operation: Any
) -> None:
    schemes = [name for each in operation.definition.raw["security"] for name in each]
    credentials = {
        "playerToken": player,
        "operatorToken": operator,
        "apiKey": {"x-api-key": API_KEY},
    }
    headers = credentials[schemes[0]] if schemes else {}
    answers: list[Any] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        case.headers = {}
        answer = case.call(
            base_url=f"https://{edge.address}", headers=headers, verify=str(edge.authority)
        )
        answers.append(answer)
        case.validate_response(answer, checks=CHECKS)

    # Schemathesis calls and waits; the doubles need this thread meanwhile.
    await asyncio.to_thread(call)
    for answer in answers:
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            # A rule that JSON Schema cannot say; never a field that the document made up.
            assert "is not a field" not in answer.text
            assert "is not valid JSON" not in answer.text
            assert "invalid value" not in answer.text
    assert mesh.received or not any(answer.status_code == 200 for answer in answers)
