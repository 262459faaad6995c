import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import grpc
import pytest
from croupier.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

import services as service_packages
from services.kit.contract import Level, is_sensitive, methods_of
from services.kit.errors import RemoteError, ServiceError
from tests.contract.contracts import files, methods, reasons, route_of, services
from tests.contract.refusals import (
    AT_THE_EDGE,
    OUTCOMES_TEST,
    PREFIX,
    held_to_its_reasons,
    package_of,
    witnesses,
)

SECRET = re.compile(r"password|secret|token$|totp_code|api_key$|email|date_of_birth|address$")
# Fields whose name looks secret and whose value is not: pages, and where a provider listens.
NOT_SECRET = {"page_token", "next_page_token", "launch_address", "client_address", "api_key"}


def named(method: MethodDescriptor) -> str:
    return str(method.full_name)


@pytest.mark.parametrize("method", methods(), ids=named)
def test_method_declares_whom_it_admits(method: MethodDescriptor) -> None:
    declared = methods_of(method.containing_service.full_name)[method.name]
    assert declared.level in Level


@pytest.mark.parametrize("method", methods(), ids=named)
def test_method_has_a_route_or_a_reason_for_having_none(method: MethodDescriptor) -> None:
    reason = method.GetOptions().Extensions[options_pb2.no_http]
    assert (route_of(method) is None) == bool(reason)


# These cannot refuse anybody whom they admit.
NEVER_FAIL = {"croupier.security.v1.SecurityService.GetJwks"}
FAILURES = {code.name for code in grpc.StatusCode} | {
    name.removeprefix(PREFIX) for _, name in reasons()
}


@pytest.mark.parametrize("method", methods(), ids=named)
def test_method_tells_how_it_fails(method: MethodDescriptor) -> None:
    text = (Path("protos") / method.containing_service.file.name).read_text()
    before = text[: text.index(f"\n  rpc {method.name}(")]
    comment = re.search(r"(\n  //[^\n]*)+$", before)
    assert comment is not None
    told = FAILURES & set(re.findall(r"[A-Z_]+", comment[0]))
    assert bool(told) == (method.full_name not in NEVER_FAIL)


@pytest.mark.parametrize("method", methods(), ids=named)
def test_method_that_only_services_call_has_no_route(method: MethodDescriptor) -> None:
    declared = methods_of(method.containing_service.full_name)[method.name]
    if declared.level is Level.SERVICE:
        assert route_of(method) is None


@pytest.mark.parametrize("method", methods(), ids=named)
def test_who_calls_is_told_by_the_token_alone(method: MethodDescriptor) -> None:
    declared = methods_of(method.containing_service.full_name)[method.name]
    if declared.level in (Level.PLAYER, Level.SUBJECT):
        taken = {field.name for field in method.input_type.fields}
        assert not taken & {"player_id", "subject_id"}


def test_routes_are_unique() -> None:
    routes = [route for route in map(route_of, methods()) if route is not None]
    shapes = [(route.verb, re.sub(r"\{[^}]*\}", "{}", route.path)) for route in routes]
    assert sorted(shapes) == sorted(set(shapes))


def fields_of(message: Descriptor) -> list[FieldDescriptor]:
    return [*message.fields, *(f for below in message.nested_types for f in fields_of(below))]


def test_fields_that_look_secret_are_declared_sensitive() -> None:
    pools = {method.input_type for method in methods()} | {m.output_type for m in methods()}
    for message in pools:
        for field in fields_of(message):
            if SECRET.search(field.name) and field.name not in NOT_SECRET:
                assert is_sensitive(field), field.full_name


def test_no_field_is_a_float() -> None:
    floats = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
    assert [
        f"{file.name}: {field.name}"
        for file in files()
        for message in file.message_type
        for field in message.field
        if field.type in floats
    ] == []


def error_classes() -> dict[tuple[str, str], type[ServiceError]]:
    """Returns each ServiceError of the services, by (package, reason)."""
    found: dict[tuple[str, str], type[ServiceError]] = {}
    for module_info in pkgutil.walk_packages(service_packages.__path__, "services."):
        name = module_info.name
        if not name.endswith((".errors", ".refusals")) or ".interceptors." in name:
            continue
        module = importlib.import_module(name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if not issubclass(value, ServiceError) or value.__module__ != name:
                continue
            if value not in (ServiceError, RemoteError):
                found[(package_of(value), value.reason)] = value
    return found


REFUSALS_FROM = 20
"""Reasons from this number on are the ledger's outcomes; one class renders them all."""


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (str(enum.file.package), name)
        for enum, name in reasons()
        if (enum.file.package, name) != AT_THE_EDGE
        and not (
            enum.file.package == "croupier.wallet.v1"
            and enum.values_by_name[name].number >= REFUSALS_FROM
        )
    ],
)
def test_reason_has_an_error_class(package: str, reason: str) -> None:
    assert (package, reason) in error_classes()


def test_error_classes_have_declared_reasons() -> None:
    declared = {(str(enum.file.package), name) for enum, name in reasons()}
    raised = {
        key
        for key in error_classes()
        if key[1] != "ERROR_REASON_INTERNAL" or key[0] == "croupier.type.v1"
    }
    assert raised <= declared


def test_each_reason_is_seen_by_a_test() -> None:
    declared = {(str(enum.file.package), name) for enum, name in reasons()}
    assert witnesses().keys() == declared


@pytest.mark.parametrize(
    ("reason", "test"),
    [(reason, test) for (_, reason), test in witnesses().items()],
    ids=str,
)
def test_test_of_a_reason_is_there_and_tells_it(reason: str, test: str) -> None:
    file, _, name = test.partition("[")[0].partition("::")
    text = Path(file).read_text()
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"no test {test}"
    if not test.startswith(OUTCOMES_TEST):
        short = reason.removeprefix(PREFIX)
        assert re.search(rf"\b({PREFIX})?{short}\b", text), f"{file} does not tell {short}"


def test_test_that_does_not_see_its_reason_fails() -> None:
    test = witnesses()[("croupier.game.v1", "ERROR_REASON_GAME_NOT_FOUND")]
    for name in (test, f"{test}[sqlite]", f"{OUTCOMES_TEST}[LIMIT_REACHED]"):
        with pytest.raises(AssertionError, match="did not see"), held_to_its_reasons(name):
            pass


@pytest.mark.parametrize("reason", reasons(), ids=lambda pair: str(pair[1]))
def test_reason_shows_its_json(reason: tuple[object, str]) -> None:
    enum, name = reason
    text = (Path("protos") / enum.file.name).read_text()  # type: ignore[attr-defined]
    comment = text[: text.index(f"\n  {name} =")].rpartition(";\n")[2]
    assert f'"reason": "{name}", "domain": "croupier"' in comment
    assert re.search(r"// [A-Z_]+: ", comment), "the comment begins with the status code"


def test_each_service_reads_like_the_others() -> None:
    expected = {
        "README.md",
        "__init__.py",
        "__main__.py",
        "settings.py",
        "errors.py",
        "migrations",
    }
    either = [
        ("servicer.py", "servicer"),
        ("service.py", "service"),
        ("domain.py", "domain"),
        ("store.py", "store"),
        ("tables.py", "tables"),
    ]
    for name in ("analytics", "game", "player", "security", "wallet"):
        present = {path.name for path in (Path("services") / name).iterdir()}
        assert expected <= present, name
        for file, package in either:
            assert {file, package} & present, f"{name}: {file}"


def test_service_pages_are_short() -> None:
    for page in Path("services").glob("*/README.md"):
        assert len(page.read_text().splitlines()) <= 40, page


def test_every_service_is_served() -> None:
    served = "\n".join(path.read_text() for path in Path("services").glob("*/*.py"))
    # Providers implement the launch service; Croupier only calls it.
    ours = [service for service in services() if service.name != "LaunchService"]
    assert [s.full_name for s in ours if f"add_{s.name}Servicer_to_server" not in served] == []
