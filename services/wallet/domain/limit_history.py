"""Limits and what was used of them, added up anew from transfers alone."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from services.wallet.domain.limits import window_end
from services.wallet.domain.rows import Transfer
from services.wallet.domain.values import LimitKind, Micros, Period, Scope

Columns = dict[str, Any]
"""Columns of a row, by name."""
Identity = tuple[Any, ...]
"""The primary key of a row."""


class LimitHistory:
    """Keeps the rows of `limit_counter` as history has them."""

    def __init__(self, rows: dict[Identity, Columns]) -> None:
        self._rows = rows
        self._by_kind: defaultdict[tuple[bytes, LimitKind, str], list[tuple[Period, Columns]]]
        self._by_kind = defaultdict(list)

    def set(self, transfer: Transfer) -> None:
        """Adds a change of a limit."""
        detail = detail_of(transfer)
        kind, scope = LimitKind(detail["limit_kind"]), Scope(detail["scope"])
        currency_code, period = transfer.currency_code or "", Period(detail["period"])
        identity = (transfer.player_id, int(scope), int(kind), currency_code, int(period))
        limit = self._rows.get(identity)
        if limit is None:
            limit = self._rows[identity] = {
                "max_amount": None,
                "used": 0,
                "window_seq": 0,
                "window_end": 0,
                "next_max": None,
                "next_time": None,
            }
            self._by_kind[transfer.player_id, kind, currency_code].append((period, limit))
        _bring_up_to_date(limit, transfer.create_time)
        start_time = detail.get("start_time")
        if start_time is None or start_time <= transfer.create_time:
            limit["max_amount"] = detail.get("max_amount")
            limit["next_max"] = limit["next_time"] = None
        else:
            limit["next_max"], limit["next_time"] = detail.get("max_amount"), start_time

    def count(self, transfer: Transfer, amounts: dict[LimitKind, int]) -> None:
        """Adds amounts to the open windows, or to new ones."""
        now = transfer.create_time
        for limit, period, amount in self._limits_of(transfer, amounts):
            _bring_up_to_date(limit, now)
            if now >= limit["window_end"]:
                limit["used"], limit["window_seq"] = 0, transfer.seq
                limit["window_end"] = window_end(now, period)
            limit["used"] += amount

    def take_back(self, transfer: Transfer, amounts: dict[LimitKind, int], *, since: int) -> None:
        """Takes off what was counted by a transfer that the open window contains."""
        for limit, _, amount in self._limits_of(transfer, amounts):
            if limit["window_seq"] <= since and transfer.create_time < limit["window_end"]:
                limit["used"] -= amount

    def _limits_of(
        self, transfer: Transfer, amounts: dict[LimitKind, int]
    ) -> Iterable[tuple[Columns, Period, int]]:
        for kind, amount in amounts.items():
            name = (transfer.player_id, kind, transfer.currency_code or "")
            if not amount:
                continue
            for period, limit in self._by_kind.get(name, ()):
                yield limit, period, amount


def _bring_up_to_date(limit: Columns, now: Micros) -> None:
    if limit["next_time"] is not None and now >= limit["next_time"]:
        limit["max_amount"] = limit["next_max"]
        limit["next_max"] = limit["next_time"] = None


def detail_of(transfer: Transfer) -> dict[str, Any]:
    """Reads the content that has no column of its own."""
    detail: dict[str, Any] = json.loads(transfer.detail or "{}")
    return detail
