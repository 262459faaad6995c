"""The JSON reader of the edge against Python's: what is no JSON never passes."""

import asyncio
import json
import random
from typing import Any

import httpx
import pytest

from tests.edge.conftest import told
from tests.edge.doubles import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 20270115
BODIES = 600
AT_ONCE = 20
PATH = "/v1/players/0198c0de-0000-7000-8000-000000000001:block"
VALID = json.dumps({"reason": 'é "quoted" \\ \u2028 end'})
PIECES = [
    *('"', "\\", "{", "}", "[", "]", ",", ":", "null", "true", "-", "0", "1", "1e", ".5", "e+2"),
    *(" ", "\n", "\t", "\x00", "\x1f", "\x7f", "'", "//", "/**/", "NaN", "Infinity", "\\u12"),
    *("\\u0041", "\\x41", "undefined", "é", "\ufeff", '"a":1', ',"amount":{}', "+1", "0x1"),
]


def mutated(source: random.Random) -> bytes:
    text = VALID
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(text) + 1)
        end = min(len(text), at + source.choice([0, 0, 1, 2, 5]))
        text = text[:at] + source.choice([*PIECES, ""]) + text[end:]
    return text.encode()


def strict(body: bytes) -> Any:
    """Parses as RFC 8259 says, and refuses repeated names too."""

    def refuse(text: str) -> Any:
        raise ValueError(text)

    def unique(pairs: list[tuple[str, Any]]) -> Any:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("repeated")
        return dict(pairs)

    return json.loads(body.decode(), parse_constant=refuse, object_pairs_hook=unique)


async def test_what_is_no_json_never_passes(
    client: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str]
) -> None:
    source = random.Random(SEED)  # noqa: S311 (a repeatable workload, not a secret)
    bodies = [mutated(source) for _ in range(BODIES)]
    headers = {**operator, "content-type": "application/json"}
    refused = 0
    for start in range(0, BODIES, AT_ONCE):
        some = bodies[start : start + AT_ONCE]
        answers = await asyncio.gather(
            *(client.post(PATH, content=body, headers=headers) for body in some)
        )
        for body, answer in zip(some, answers, strict=True):
            try:
                strict(body)
            except ValueError:
                refused += 1
                assert told(answer)[:2] == (400, "INVALID_REQUEST"), (SEED, body)
            else:
                assert answer.status_code in (200, 400), (SEED, body)
                if body.strip():
                    assert "is not valid JSON" not in answer.text, (SEED, body, answer.text)
    assert BODIES / 4 < refused < BODIES
    assert mesh.received
