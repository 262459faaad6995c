import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

import services.trace.page

ASSETS = Path(services.trace.page.__file__).parent / "assets"


@pytest.mark.parametrize("path", ["/", "/search?service=game", "/map", "/trace/abc"])
async def test_every_view_is_the_same_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (await http.get("/")).text


async def test_the_policy_allows_this_script_and_nothing_else(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    policy = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    script = re.search(r"<script>(.*)</script>", answer.text, re.DOTALL)
    style = re.search(r"<style>(.*)</style>", answer.text, re.DOTALL)
    assert script
    assert style
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'{digest(script[1])}'",
        "style-src": f"'{digest(style[1])}'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def test_the_page_needs_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    text = (await http.get("/")).text
    # The one name that looks like an address is SVG's namespace, which nobody fetches.
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "/*script*/" not in text
    assert "@import" not in text
    assert " url(" not in text


@pytest.mark.parametrize(
    "way", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"]
)
def test_the_script_never_turns_text_into_markup(way: str) -> None:
    assert way not in (ASSETS / "page.js").read_text("utf-8")
