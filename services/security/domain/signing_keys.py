"""Signing keys: which one signs, which ones verify, and when the next one is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

CLOCK_DIFFERENCE_MAX = timedelta(minutes=5)
"""How far the clocks of replicas may be apart."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; the private half is sealed."""

    signing_key_id: str
    number: int
    x: str
    y: str
    private_key_sealed: bytes = field(repr=False)
    activate_time: datetime
    expire_time: datetime | None
    """When nothing that it signed is valid any more; None while it has no successor."""


@dataclass(frozen=True, slots=True)
class RotationRules:
    """How keys follow each other."""

    life: timedelta
    """For how long a key signs."""
    lead: timedelta
    """How long a key is published before it signs, so that every cache of verifiers has it."""
    access_life: timedelta
    """How long an access token lives."""


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Returns the key that signs now: the newest that is active.

    The first key of all signs at once, also where a replica's clock is behind that of its maker.

    Raises:
        ValueError: There is no key.
    """
    in_order = sorted(keys, key=lambda key: key.number)
    if not in_order:
        raise ValueError("there is no signing key")
    active = [key for key in in_order if key.activate_time <= now]
    return active[-1] if active else in_order[0]


def published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """Returns the keys that verifiers need, newest first."""
    needed = (key for key in keys if key.expire_time is None or now < key.expire_time)
    return sorted(needed, key=lambda key: key.number, reverse=True)


def next_activation(
    keys: Sequence[SigningKey], now: datetime, rules: RotationRules
) -> datetime | None:
    """Tells when a key that is made now would begin to sign; None if none is due."""
    if not keys:
        return now
    newest = max(keys, key=lambda key: key.number)
    if now < newest.activate_time + rules.life - rules.lead:
        return None
    return now + rules.lead


def predecessor_expiry(activate_time: datetime, rules: RotationRules) -> datetime:
    """Tells when nothing is valid any more that was signed before `activate_time`."""
    return activate_time + rules.access_life + CLOCK_DIFFERENCE_MAX
