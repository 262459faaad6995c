"""The table of processes: who gets to know what."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from scripts.mesh.child import Program
from scripts.mesh.folder import DataFolder
from scripts.mesh.probes import Probes
from scripts.mesh.processes import SERVICES, Options, Table
from services.kit.feed import FeedSettings

SECRETS = {
    "key-encryption-key": {"security"},
    "operator-password": {"security"},
    "psp-api-key": {"wallet", "psp"},
    "psp-webhook-secret": {"wallet", "psp"},
    "acme-api-key": {"provider"},
    "acme-control-key": {"provider"},
}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


async def programs(folder: DataFolder, **options: Any) -> dict[str, Program]:
    ports = folder.ports(Table.port_names(), fixed={})
    async with Probes(folder.authority().identity("supervisor")) as probes:
        table = Table(Options(**options), folder, ports, probes)
        return {program.name: program for program in table.programs()}


async def test_each_secret_is_known_to_those_who_use_it(folder: DataFolder) -> None:
    table = await programs(folder)
    for secret, owners in SECRETS.items():
        file = str(folder.path / "secrets" / secret)
        known = {name for name, each in table.items() if file in each.environment.values()}
        assert known == owners, secret


async def test_each_identity_is_held_by_one_process(folder: DataFolder) -> None:
    table = await programs(folder)
    holders: dict[str, list[str]] = {}
    for name, program in table.items():
        for value in program.environment.values():
            if value.endswith("key.pem"):
                holders.setdefault(value, []).append(name)
    assert sorted(names for names in holders.values() if len(names) > 1) == []
    assert {name for names in holders.values() for name in names} == {*SERVICES, "psp", "provider"}


async def test_nothing_is_inherited_but_how_to_export_traces(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_SOMEBODY_ELSE", "hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "tenant=7")
    table = await programs(folder)
    assert not any("SECRET_OF_SOMEBODY_ELSE" in each.environment for each in table.values())
    traced = {
        name for name, each in table.items() if "OTEL_EXPORTER_OTLP_HEADERS" in each.environment
    }
    # The PSP is another company's: it takes no part in our traces.
    assert "psp" not in traced
    assert traced >= {*SERVICES, "provider"}


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:14317"])
async def test_spans_of_all_processes_go_where_the_mesh_says(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    for kind in ("", "TRACES_"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{kind}PROTOCOL", "http/protobuf")
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{kind}INSECURE", "false")
    table = await programs(folder, traces_endpoint=endpoint)
    expected = endpoint or f"http://{table['trace'].environment['CROUPIER_TRACE_GRPC_LISTEN']}"
    for name in (*SERVICES, "provider"):
        environment = table[name].environment
        exporting = {key: value for key, value in environment.items() if "_EXPORTER_OTLP" in key}
        assert exporting == {
            "OTEL_EXPORTER_OTLP_ENDPOINT": expected,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        }, name


@pytest.mark.parametrize("service", SERVICES)
async def test_service_can_be_configured_by_what_it_gets(
    folder: DataFolder, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = (await programs(folder))[service].environment
    settings = importlib.import_module(f"services.{service}.settings").Settings
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = settings()
    fields = {f"CROUPIER_{name.upper()}" for name in type(read).model_fields}
    unknown = {name for name in environment if name.startswith("CROUPIER_")} - fields
    assert unknown == set()


async def test_every_outbox_is_pruned(folder: DataFolder) -> None:
    table = await programs(folder)
    for service in SERVICES:
        settings = importlib.import_module(f"services.{service}.settings").Settings
        has_outbox = issubclass(settings, FeedSettings)
        assert ("CROUPIER_FEED_CONSUMERS" in table[service].environment) is has_outbox, service


async def test_other_trace_backend_takes_the_place_of_the_embedded_one(folder: DataFolder) -> None:
    table = await programs(folder, traces_endpoint="http://127.0.0.1:14317")
    assert "trace" not in table
    for name in (*SERVICES, "provider"):
        endpoint = table[name].environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert endpoint == "http://127.0.0.1:14317"


@pytest.mark.parametrize("url", ["postgresql://u:p@db/croupier", "postgres://u:p@db/croupier"])
async def test_postgresql_takes_the_place_of_all_files_of_services(
    folder: DataFolder, url: str
) -> None:
    table = await programs(folder, postgres_url=url)
    for service in SERVICES:
        environment = table[service].environment
        stores = [value for name, value in environment.items() if name.endswith("DATABASE_URL")]
        assert set(stores) == {"postgresql+asyncpg://u:p@db/croupier"}


async def test_nobody_is_stopped_before_those_who_call_them(folder: DataFolder) -> None:
    table = await programs(folder)
    stage = {name: program.stage for name, program in table.items()}
    assert stage["provider"] < stage["game"] < stage["security"] < stage["wallet"]
    assert stage["player"] < stage["security"]
    assert max(stage, key=lambda name: stage[name]) == "trace"
    assert table["edge"].drain is not None
