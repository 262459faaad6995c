"""Checkouts and the webhooks that are under way, in one SQLite file.

The driver is called on the event loop: each statement touches a few rows of a local file, and a
sandbox has one merchant.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.sandbox.psp.checkouts import Checkout, Order

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkout (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount_minor_units INTEGER NOT NULL CHECK (typeof(amount_minor_units) = 'integer'),
    currency TEXT NOT NULL,
    return_url TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'succeeded', 'failed')),
    authorization_number TEXT NOT NULL,
    failure TEXT NOT NULL,
    create_us INTEGER NOT NULL,
    expire_us INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS checkout_open ON checkout (expire_us) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS delivery (
    event_id TEXT PRIMARY KEY,
    checkout_id TEXT NOT NULL REFERENCES checkout (id),
    body BLOB NOT NULL,
    create_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_us INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (next_us) WHERE next_us IS NOT NULL;
"""
_MICROSECONDS = 1_000_000


class KeyReusedError(Exception):
    """The idempotency key was used for another order."""


class CheckoutClosedError(Exception):
    """The checkout is paid, refused or expired already."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that the merchant has not confirmed yet."""

    event_id: str
    body: bytes
    create_time: datetime
    attempts: int


class Store:
    """The file; one connection, used by one event loop."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if it is missing."""
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def open_checkout(self, key: str, order: Order, now: datetime) -> Checkout:
        """Opens a checkout, or returns the one that this key opened before.

        Raises:
            KeyReusedError: The key opened one for another order.
        """
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT * FROM checkout WHERE idempotency_key = ?", (key,)
            ).fetchone()
            if known is not None:
                if known["fingerprint"] != order.fingerprint:
                    raise KeyReusedError
                return _checkout(known)
            checkout = Checkout.opened(order, now)
            connection.execute(
                "INSERT INTO checkout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    checkout.id,
                    key,
                    order.fingerprint,
                    order.reference,
                    order.amount_minor_units,
                    order.currency,
                    order.return_url,
                    checkout.state,
                    checkout.authorization_number,
                    checkout.failure,
                    _microseconds(checkout.create_time),
                    _microseconds(checkout.expire_time),
                ),
            )
            return checkout

    def find_checkout(self, checkout_id: str) -> Checkout | None:
        """Finds a checkout by its id."""
        row = self._connection.execute(
            "SELECT * FROM checkout WHERE id = ?", (checkout_id,)
        ).fetchone()
        return None if row is None else _checkout(row)

    def close_checkout(self, closed: Checkout, now: datetime) -> None:
        """Records how a checkout ended, and the event that tells it, in one transaction.

        Raises:
            CheckoutClosedError: It had ended before.
        """
        event_id, body = closed.event(now)
        with self._transaction() as connection:
            updated = connection.execute(
                "UPDATE checkout SET state = ?, authorization_number = ?, failure = ?"
                " WHERE id = ? AND state = 'open'",
                (closed.state, closed.authorization_number, closed.failure, closed.id),
            )
            if updated.rowcount == 0:
                raise CheckoutClosedError
            connection.execute(
                "INSERT INTO delivery (event_id, checkout_id, body, create_us, next_us)"
                " VALUES (?, ?, ?, ?, ?)",
                (event_id, closed.id, body, _microseconds(now), _microseconds(now)),
            )

    def list_expired(self, now: datetime, *, limit: int) -> list[Checkout]:
        """Lists open checkouts whose time is over."""
        rows = self._connection.execute(
            "SELECT * FROM checkout WHERE state = 'open' AND expire_us <= ? LIMIT ?",
            (_microseconds(now), limit),
        )
        return [_checkout(row) for row in rows]

    def list_due(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Lists deliveries that are to be attempted now, the longest due first."""
        rows = self._connection.execute(
            "SELECT * FROM delivery WHERE next_us <= ? ORDER BY next_us LIMIT ?",
            (_microseconds(now), limit),
        )
        return [
            Delivery(
                event_id=row["event_id"],
                body=row["body"],
                create_time=_moment(row["create_us"]),
                attempts=row["attempts"],
            )
            for row in rows
        ]

    def find_next_due_time(self) -> datetime | None:
        """Returns when the next delivery is due; None if none is left."""
        row = self._connection.execute("SELECT min(next_us) AS next_us FROM delivery").fetchone()
        return None if row["next_us"] is None else _moment(row["next_us"])

    def record_attempt(self, event_id: str, *, next_time: datetime | None) -> None:
        """Counts an attempt; without a next one, the delivery is over."""
        self._connection.execute(
            "UPDATE delivery SET attempts = attempts + 1, next_us = ? WHERE event_id = ?",
            (None if next_time is None else _microseconds(next_time), event_id),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _checkout(row: Any) -> Checkout:
    return Checkout(
        id=row["id"],
        order=Order(
            reference=row["reference"],
            amount_minor_units=row["amount_minor_units"],
            currency=row["currency"],
            return_url=row["return_url"],
        ),
        state=row["state"],
        authorization_number=row["authorization_number"],
        failure=row["failure"],
        create_time=_moment(row["create_us"]),
        expire_time=_moment(row["expire_us"]),
    )


def _microseconds(moment: datetime) -> int:
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * _MICROSECONDS + moment.microsecond


def _moment(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, _MICROSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
