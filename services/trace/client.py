"""Asks a backend that speaks Jaeger's query API: this one, Jaeger, or another."""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from services.trace.domain import TRANSACTION_ID_KEY

_ANSWER_S_MAX = 10.0
_SERVICES_MAX = 100

Json = Mapping[str, Any]


class BackendError(Exception):
    """The backend cannot be reached, or does not answer as Jaeger does."""


class TraceClient:
    """Reads traces. Close it, or use it as a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        host = httpx.URL(url).host
        # A proxy for the outside world cannot reach a server on this machine.
        self._http = httpx.Client(timeout=_ANSWER_S_MAX, trust_env=not _is_loopback(host))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def find_trace(self, trace_id: str) -> Json | None:
        """Gets a trace by its id; None if the backend has no span of it.

        Raises:
            BackendError: There is no usable answer.
        """
        traces = self._ask(f"/api/traces/{quote(trace_id, safe='')}", missing=(404, 400))
        return traces[0] if traces else None

    def find_transaction(self, transaction_id: str, *, limit: int = 20) -> list[Json]:
        """Finds the traces with a span that carries the transaction id, earliest first.

        Jaeger only searches within a service; then each service is asked.

        Raises:
            BackendError: There is no usable answer.
        """
        parameters = {"tags": json.dumps({TRANSACTION_ID_KEY: transaction_id}), "limit": str(limit)}
        found = self._ask("/api/traces", parameters, missing=(400,))
        if found is None:
            found = []
            services = self._ask("/api/services") or []
            for service in services[:_SERVICES_MAX]:
                found += self._ask("/api/traces", {**parameters, "service": service}) or []
        traces = {trace["traceID"]: trace for trace in found if trace["spans"]}
        return sorted(traces.values(), key=_start_us)[-limit:]

    def _ask(
        self, path: str, parameters: dict[str, str] | None = None, *, missing: tuple[int, ...] = ()
    ) -> list[Any] | None:
        try:
            answer = self._http.get(self._url + path, params=parameters)
        except httpx.HTTPError as error:
            raise BackendError(f"{self._url} cannot be reached: {error}") from error
        if answer.status_code in missing:
            return None
        try:
            body = answer.json() if answer.is_success else None
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("data") or [], list):
            raise BackendError(
                f"{self._url}{path} answered {answer.status_code}, not as Jaeger's query API does"
            )
        return body.get("data") or []


def _start_us(trace: Json) -> int:
    return min(int(span["startTime"]) for span in trace["spans"])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
