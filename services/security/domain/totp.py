"""Time-based one-time passwords (RFC 6238), each good for one use."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyotp

from services.kit.clock import EPOCH

_STEP = timedelta(seconds=30)
# The player's clock may be one step off, either way.
_WINDOW_STEPS = 1
NO_STEP = -1
"""Before the first code that was accepted."""


@dataclass(frozen=True, slots=True)
class TotpFactor:
    """A second factor, pending until it is confirmed."""

    secret_sealed: bytes = field(repr=False)
    confirmed: bool
    last_step: int
    """The time step of the last code that was accepted."""


def matching_step(secret: str, code: str, *, now: datetime, after_step: int) -> int | None:
    """Returns the time step whose code was given; None if it is wrong, too old or already used.

    Args:
        secret: The shared secret, base32.
        code: What the player typed.
        now: The present.
        after_step: The step of the last code that was accepted; older codes are used up with it.
    """
    totp = pyotp.TOTP(secret)
    present = (now - EPOCH) // _STEP
    matching = None
    for step in range(present - _WINDOW_STEPS, present + _WINDOW_STEPS + 1):
        # Every step is compared, so that the time taken does not tell which one matched.
        if hmac.compare_digest(totp.generate_otp(step), code) and step > after_step:
            matching = step
    return matching


def otpauth_uri(secret: str, *, account: str, issuer: str) -> str:
    """Renders what an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)
