"""The page: one HTML document without anything from elsewhere, and the policy that keeps it so."""

import base64
import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_ASSETS = Path(__file__).parent / "assets"


class Page:
    """Put together once from the three files in `assets/`."""

    def __init__(self) -> None:
        style = (_ASSETS / "page.css").read_text("utf-8")
        script = (_ASSETS / "page.js").read_text("utf-8")
        document = (_ASSETS / "page.html").read_text("utf-8")
        self._content = document.replace("/*style*/", style).replace("/*script*/", script).encode()
        # The browser runs this script and no other, even if a span's text got into the document.
        policy = (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
        self._headers = {
            "content-security-policy": "; ".join(policy),
            "cache-control": "no-cache",
        }

    def routes(self) -> list[Route]:
        """Lists the addresses: a trace and the map have their own, to be sent to others."""
        return [
            Route("/", self._answer),
            Route("/search", self._answer),
            Route("/map", self._answer),
            Route("/trace/{trace_id}", self._answer),
        ]

    async def _answer(self, request: Request) -> Response:
        del request
        return Response(self._content, headers=self._headers, media_type="text/html")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
