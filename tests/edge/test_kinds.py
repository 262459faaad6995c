"""Values of the wrong type, at every field of every request, and of the right one in every form."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from scripts.mesh.edge.contract import Binding, Contracts, Operation
from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.conftest import short_folder, told
from tests.edge.doubles import API_KEY, Mesh
from tests.edge.envoy import edge_settings, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "hunter2"
OPERATIONS = Contracts.read(Path("generated/croupier.binpb")).operations
MAPPED = [
    (operation, binding)
    for operation in OPERATIONS
    for binding in operation.bindings
    if not operation.is_raw and not operation.streaming
]
BODIES = [each for each in MAPPED if each[1].body and each[0].request.fields]
QUERIES = [each for each in MAPPED if not each[1].body and each[0].request.fields]

OBJECT = f'{{"{SECRET}": 1}}'
LIST = f'["{SECRET}"]'
TIMES = (
    "2027-02-30T00:00:00Z",
    "2027-01-31",
    "2027-01-31T24:00:00Z",
    "2027-01-31T00:00:00",
    SECRET,
)
STRINGS = ("8675309777", "true", OBJECT, LIST, '"\\ud800 half"', '"\\udc00\\ud800"')
INTEGERS = (f'"{SECRET}"', "1.5", '"1.0"', '""', "true", OBJECT, LIST, "1e300", "-1e300")
WRONG: dict[int, tuple[str, ...]] = {
    FieldDescriptor.TYPE_STRING: STRINGS,
    FieldDescriptor.TYPE_BOOL: (f'"{SECRET}"', '"true"', "1", OBJECT, LIST),
    FieldDescriptor.TYPE_ENUM: (f'"{SECRET}"', "1.5", "2147483648", "true", OBJECT, LIST),
    FieldDescriptor.TYPE_INT32: (*INTEGERS, "2147483648", '"-2147483649"', "2147483648.0"),
    FieldDescriptor.TYPE_INT64: (*INTEGERS, '"9223372036854775808"', "-9223372036854775809"),
    FieldDescriptor.TYPE_MESSAGE: (f'"{SECRET}"', "867", "false", LIST),
}


@pytest.fixture(scope="session")
def everyone(player: dict[str, str], operator: dict[str, str]) -> dict[str, dict[str, str]]:
    return {
        "PUBLIC": {},
        "PLAYER": player,
        "SUBJECT": player,
        "OPERATOR": operator,
        "PROVIDER": {"x-api-key": API_KEY},
    }


def path_of(binding: Binding) -> str:
    return re.sub(r"\{[a-z_]+\}", "abc-1", binding.template)


def wrong_for(field: FieldDescriptor) -> tuple[str, ...]:
    if field.message_type is not None and field.message_type.full_name.endswith(".Timestamp"):
        return ("867", "true", OBJECT, LIST, *(f'"{time}"' for time in TIMES))
    return WRONG[field.type]


def misspelt(message: Descriptor, around: str, path: str) -> Iterator[tuple[str, str]]:
    """Yields bodies with one wrong value, and the path of its field."""
    for field in message.fields:
        here, outer = f"{path}{field.name}", around % f'"{field.json_name}": %s'
        values = wrong_for(field)
        if field.is_repeated:
            yield from ((outer % "[null]", here), (outer % f'"{SECRET}"', here))
            values = tuple(f"[{value}]" for value in values)
        yield from ((outer % value, here) for value in values)
        below = field.message_type
        if below is not None and below.full_name.startswith("croupier."):
            inner = "[{%s}]" if field.is_repeated else "{%s}"
            yield from misspelt(below, outer % inner, f"{here}.")


def check(response: httpx.Response, field: str, sent: str) -> None:
    status, reason, metadata = told(response)
    assert (status, reason, metadata) == (400, "INVALID_REQUEST", {"fields": field}), sent
    violation = response.json()["details"][1]
    assert violation["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    [found] = violation["fieldViolations"]
    assert found["field"] == field
    assert response.json()["message"] == f"invalid request: {field}: {found['description']}"
    for leaked in (SECRET, "867", "type.googleapis.com/google.protobuf"):
        assert leaked not in response.text, sent


@pytest.mark.parametrize("mapped", BODIES, ids=lambda each: str(each[0].name))
async def test_value_of_another_type_is_refused_and_not_repeated(
    client: httpx.AsyncClient,
    mesh: Mesh,
    everyone: dict[str, dict[str, str]],
    mapped: tuple[Operation, Binding],
) -> None:
    operation, binding = mapped
    headers = {**everyone[operation.level], "content-type": "application/json"}
    taken = re.findall(r"\{([a-z_]+)\}", binding.template)
    bodies = [each for each in misspelt(operation.request, "{%s}", "") if each[1] not in taken]
    answers = await asyncio.gather(
        *(client.post(path_of(binding), content=body, headers=headers) for body, _ in bodies)
    )
    for (body, field), answer in zip(bodies, answers, strict=True):
        check(answer, field, body)
    assert mesh.received == []


@pytest.mark.parametrize("mapped", QUERIES, ids=lambda each: str(each[0].name))
async def test_value_of_another_type_in_a_query_is_refused_and_not_repeated(
    client: httpx.AsyncClient,
    mesh: Mesh,
    everyone: dict[str, dict[str, str]],
    mapped: tuple[Operation, Binding],
) -> None:
    operation, binding = mapped
    taken = re.findall(r"\{([a-z_]+)\}", binding.template)
    for field in operation.request.fields:
        if field.name in taken:
            continue
        values = ["%ff", "%c0%af"]
        if field.type != FieldDescriptor.TYPE_STRING:
            values += [SECRET, "1.5", "", "99999999999999999999"]
        for value in values:
            path = f"{path_of(binding)}?{field.json_name}={value}"
            check(await client.get(path, headers=everyone[operation.level]), field.name, path)
    assert mesh.received == []


@pytest.mark.parametrize(
    "text",
    [
        b"\xff", b"\xc3", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
        b"\xf0\x80\x80\xaf", b"\xf8\x88\x80\x80\x80", b"\x80", b"a\xe2\x82",
    ],
)  # fmt: skip
@pytest.mark.parametrize("escape", [b"", b"\\n"])
async def test_text_that_is_no_utf8_is_refused_and_not_repeated(
    client: httpx.AsyncClient, mesh: Mesh, text: bytes, escape: bytes
) -> None:
    body = b'{"email": "' + escape + text + b'", "password": "hunter2"}'
    response = await client.post(
        "/v1/auth:login", content=body, headers={"content-type": "application/json"}
    )
    check(response, "email", repr(body))
    assert mesh.received == []


async def test_text_of_every_kind_of_character_arrives(
    client: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str]
) -> None:
    text = "aé\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff" * 10
    for ascii_only in (True, False):
        response = await client.post(
            "/v1/players/0198c0de-0000-7000-8000-000000000001:block",
            content=json.dumps({"reason": text}, ensure_ascii=ascii_only).encode(),
            headers={**operator, "content-type": "application/json"},
        )
        assert response.status_code == 200, response.text
        assert mesh.last("BlockPlayer").request.reason == text


def deposit(minor_units: str) -> bytes:
    request_id = "0198c0de-0000-7000-8000-000000000001"
    amount = f'{{"currencyCode": "EUR", "minorUnits": {minor_units}}}'
    return f'{{"requestId": "{request_id}", "amount": {amount}}}'.encode()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7),
        ('"7"', 7),
        ("7.0", 7),
        ("7e2", 700),
        ('"\\u0037"', 7),
        ('"1000000000000000"', 10**15),
    ],
)
async def test_integer_arrives_in_each_of_its_forms(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], written: str, value: int
) -> None:
    response = await client.post(
        "/v1/payments:deposit",
        content=deposit(written),
        headers={**player, "content-type": "application/json"},
    )
    assert response.status_code == 200, response.text
    assert mesh.last("CreateDeposit").request.amount.minor_units == value


@pytest.mark.parametrize(
    ("written", "seconds", "nanos"),
    [
        ("2027-01-31T12:00:00Z", 1_801_396_800, 0),
        ("2028-02-29T12:00:00.000001Z", 1_835_438_400, 1_000),
        ("2027-01-31T14:00:00%2B02:00", 1_801_396_800, 0),
        ("2027-01-31T14:00:00+02:00", 1_801_396_800, 0),
    ],
)
async def test_time_arrives_in_each_of_its_forms(
    client: httpx.AsyncClient,
    mesh: Mesh,
    operator: dict[str, str],
    written: str,
    seconds: int,
    nanos: int,
) -> None:
    response = await client.get(
        "/v1/reports/game-activity?endTime=2029-01-01T00:00:00Z&dimensions=DIMENSION_GAME"
        f"&startTime={written}",
        headers=operator,
    )
    assert response.status_code == 200, response.text
    start: Any = mesh.last("QueryGameActivity").request.start_time
    assert (start.seconds, start.nanos) == (seconds, nanos)


BLOCK = "/v1/players/0198c0de-0000-7000-8000-000000000001:block"
MONEY = ".croupier.type.v1.Money"
# Name, type, label, name of the type.
FIELDS = (
    ("small", Field.TYPE_UINT32, Field.LABEL_OPTIONAL, ""),
    ("large", Field.TYPE_UINT64, Field.LABEL_OPTIONAL, ""),
    ("numbers", Field.TYPE_SINT32, Field.LABEL_REPEATED, ""),
    ("prices", Field.TYPE_MESSAGE, Field.LABEL_REPEATED, MONEY),
    ("raw", Field.TYPE_BYTES, Field.LABEL_OPTIONAL, ""),
    ("ratio", Field.TYPE_DOUBLE, Field.LABEL_OPTIONAL, ""),
    ("wait", Field.TYPE_MESSAGE, Field.LABEL_OPTIONAL, ".google.protobuf.Duration"),
)
MAPS = (("counts", Field.TYPE_INT64, ""), ("amounts", Field.TYPE_MESSAGE, MONEY))


def widened() -> FileDescriptorSet:
    """Returns the contracts with a field of each kind in one request; services ignore them."""
    files = FileDescriptorSet.FromString(Path("generated/croupier.binpb").read_bytes())
    [file] = [each for each in files.file if each.name.endswith("player/v1/player_service.proto")]
    [request] = [each for each in file.message_type if each.name == "BlockPlayerRequest"]
    for needed in ("croupier/type/v1/money.proto", "google/protobuf/duration.proto"):
        if needed not in file.dependency:
            file.dependency.append(needed)
    for number, (name, kind, label, of) in enumerate(FIELDS, start=100):
        request.field.add(
            name=name, json_name=name, number=number, type=kind, label=label, type_name=of or None
        )
    for number, (name, kind, of) in enumerate(MAPS, start=200):
        entry = request.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        one = Field.LABEL_OPTIONAL
        entry.field.add(name="key", json_name="key", number=1, type=Field.TYPE_STRING, label=one)
        entry.field.add(
            name="value", json_name="value", number=2, type=kind, label=one, type_name=of or None
        )
        request.field.add(
            name=name,
            json_name=name,
            number=number,
            type=Field.TYPE_MESSAGE,
            label=Field.LABEL_REPEATED,
            type_name=f".croupier.player.v1.BlockPlayerRequest.{entry.name}",
        )
    return files


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wider(
    shared_mesh: Mesh, authority: DevelopmentAuthority
) -> AsyncIterator[httpx.AsyncClient]:
    with short_folder() as folder:
        descriptors = folder / "wider.binpb"
        descriptors.write_bytes(widened().SerializeToString())
        settings = edge_settings(
            folder, authority=authority, ports=shared_mesh.ports, descriptors=descriptors
        )
        async with running_edge(settings, folder) as edge, edge.client() as client:
            yield client


@pytest.mark.parametrize(
    "value",
    [
        '"small": 4294967295, "large": "18446744073709551615"',
        '"small": 0.0, "large": -0, "numbers": []',
        '"numbers": [-2147483648, "2147483647", 1e3]',
        '"prices": [{"currencyCode": "EUR", "minorUnits": 1}, {}]',
        '"counts": {"any key": 1, "é": "-9223372036854775808"}',
        '"amounts": {"a": {"currency_code": "EUR", "minorUnits": "1"}}',
        '"numbers": null, "counts": null, "prices": null, "small": null',
        '"raw": "aGVsbG8=", "ratio": -1.5e-3, "wait": "1.5s"',
    ],
)
async def test_value_of_any_kind_passes(
    wider: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str], value: str
) -> None:
    response = await wider.post(
        BLOCK,
        content=f'{{"reason": "chargeback", {value}}}'.encode(),
        headers={**operator, "content-type": "application/json"},
    )
    assert response.status_code == 200, response.text
    assert mesh.last("BlockPlayer").request.reason == "chargeback"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ('"small": -1', "small"),
        ('"small": 4294967296', "small"),
        ('"small": 4294967296.0', "small"),
        ('"large": "-1"', "large"),
        ('"large": -1.0', "large"),
        ('"large": 18446744073709551616', "large"),
        ('"numbers": 1', "numbers"),
        ('"numbers": [[1]]', "numbers"),
        ('"numbers": [2147483648]', "numbers"),
        ('"prices": {"minorUnits": 1}', "prices"),
        ('"prices": [{"bonus": 1}]', "prices.bonus"),
        ('"prices": [null]', "prices"),
        ('"counts": [1]', "counts"),
        ('"counts": {"a": "b"}', "counts.a"),
        ('"counts": {"a": null}', "counts.a"),
        ('"counts": {"a": 1, "a": 2}', "counts.a"),
        ('"amounts": {"a": {"bonus": 1}}', "amounts.a.bonus"),
        ('"amounts": {"a": [{}]}', "amounts.a"),
    ],
)
async def test_value_of_no_kind_is_refused(
    wider: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str], value: str, field: str
) -> None:
    response = await wider.post(
        BLOCK,
        content=f'{{"reason": "chargeback", {value}}}'.encode(),
        headers={**operator, "content-type": "application/json"},
    )
    check(response, field, value)
    assert mesh.received == []


@pytest.mark.parametrize("value", ['"raw": "hunter2!"', '"ratio": "hunter2"', '"wait": "hunter2"'])
async def test_what_only_the_transcoder_refuses_is_not_repeated_either(
    wider: httpx.AsyncClient, mesh: Mesh, operator: dict[str, str], value: str
) -> None:
    response = await wider.post(
        BLOCK,
        content=f'{{"reason": "chargeback", {value}}}'.encode(),
        headers={**operator, "content-type": "application/json"},
    )
    assert told(response) == (400, "INVALID_REQUEST", {"fields": ""})
    assert SECRET not in response.text
    assert mesh.received == []
