import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

import services
from services.kit.money import CURRENCIES
from services.wallet.domain import Outcome
from tests.docs.pages import DOCS, names, rows

ROOT = DOCS.parent
TESTS = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
OURS = re.compile(r"rpc_server|password_hash|feed_|outbox_")
PAGES = [
    *(page for page in ROOT.glob("*.md")),
    *DOCS.rglob("*.md"),
    *(ROOT / "services").rglob("*.md"),
]


def test_ledger_page_has_each_currency_with_its_scale() -> None:
    told = {
        code: (int(exponent), kind)
        for exponent, kind, codes in rows("ledger.md", heading="Decimals")
        for code in codes.split()
    }
    assert told == {each.code: (each.exponent, each.kind) for each in CURRENCIES.values()}


def test_ledger_page_has_each_outcome_in_the_order_of_the_checks() -> None:
    told = [name for cells in rows("ledger.md", heading="Outcome") for name in names(cells[0])]
    assert told == [each.name for each in Outcome]


def test_telemetry_page_has_each_metric_with_its_labels() -> None:
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    told = {
        names(metric)[0]: tuple(names(labels))
        for metric, labels, _ in rows("telemetry.md", heading="Metric")
    }
    registered: Any = REGISTRY._collector_to_names
    found = {
        each._name: each._labelnames
        for each in registered
        if OURS.match(getattr(each, "_name", ""))
    }
    assert told == found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_at_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    # Paths as code, from the root, as in `services/kit/telemetry.py`; not those with a placeholder.
    paths = re.findall(
        r"`\.?/?((?:services|scripts|tests|docs|protos|envoy|generated)/[^\s`*<>…:]*)", text
    )
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tests = re.findall(r"`(test_\w+)`", text)
    assert [test for test in tests if f"def {test}(" not in TESTS] == []
