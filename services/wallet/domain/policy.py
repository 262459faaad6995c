"""What sources differ in: the switches of a policy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from services.wallet.domain.rows import PolicyVersion
from services.wallet.domain.values import Micros, SpendOrder


class Stance(IntEnum):
    """Whether a doubtful operation is taken or turned down."""

    ACCEPT = 0
    REFUSE = 1


class WinShort(IntEnum):
    """What becomes of the rollback of a win that the player has spent."""

    CLAMP = 0
    DEBT = 1
    REFUSE = 2


class KeyScope(IntEnum):
    """Within what a caller's id is unique."""

    SOURCE = 0
    SOURCE_AND_KIND = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of the rules for a source. Versions are only ever added.

    Attributes:
        debt_limit: How far below zero `WinShort.DEBT` may take a player's cash.
    """

    policy_id: int
    tenant: str = ""
    source: str = ""
    version: int = 1
    rollback_unknown: Stance = Stance.ACCEPT
    rollback_win_short: WinShort = WinShort.CLAMP
    debt_limit: int = 0
    rollback_settled_bet: Stance = Stance.ACCEPT
    win_without_reference: Stance = Stance.ACCEPT
    win_after_close: Stance = Stance.ACCEPT
    spend_order: SpendOrder = SpendOrder.CASH_FIRST
    split_stake: bool = True
    partial_rollback: bool = False
    key_scope: KeyScope = KeyScope.SOURCE


_SWITCHES: dict[str, type[int]] = {
    "rollback_unknown": Stance,
    "rollback_win_short": WinShort,
    "debt_limit": int,
    "rollback_settled_bet": Stance,
    "win_without_reference": Stance,
    "win_after_close": Stance,
    "spend_order": SpendOrder,
    "split_stake": bool,
    "partial_rollback": bool,
    "key_scope": KeyScope,
}
SWITCHES = tuple(_SWITCHES)
"""The names of the switches, which a policy and the operation that sets it share."""


def write_switches(values: Mapping[str, int]) -> str:
    """Writes switches in their one canonical form, in which history is compared with them."""
    return json.dumps({name: int(values[name]) for name in SWITCHES}, sort_keys=True)


def read_switches(written: str) -> dict[str, Any]:
    """Reads switches; one that is not named is at its default."""
    stored: dict[str, int] = json.loads(written)
    return {name: _SWITCHES[name](value) for name, value in stored.items()}


DEFAULT_POLICY = Policy(policy_id=1)
"""Judges sources that have no policy of their own."""

DEFAULT_VERSION = PolicyVersion(
    policy_id=1,
    tenant="",
    source="",
    version=1,
    switches="{}",
    create_time=Micros(0),
    seq=None,
    actor="",
    reason="",
)
"""The row of the default, with which every ledger begins."""


def version_set_by(
    *, tenant: str, seq: int, create_time: Micros, detail: Mapping[str, Any]
) -> PolicyVersion:
    """Tells which version a transfer has set, by what it keeps."""
    return PolicyVersion(
        policy_id=detail["policy_id"],
        tenant=tenant,
        source=detail["source"],
        version=detail["version"],
        switches=write_switches(detail),
        create_time=create_time,
        seq=seq,
        actor=detail["actor"],
        reason=detail["reason"],
    )


def policy_of(version: PolicyVersion) -> Policy:
    """Reads the rules of a version."""
    return Policy(
        policy_id=version.policy_id,
        tenant=version.tenant,
        source=version.source,
        version=version.version,
        **read_switches(version.switches),
    )


class Policies:
    """The newest version for each tenant and source. A change makes another one of these."""

    def __init__(self, versions: list[Policy]) -> None:
        self._newest: dict[tuple[str, str], Policy] = {("", ""): DEFAULT_POLICY}
        self._last_id = DEFAULT_POLICY.policy_id
        for policy in sorted(versions, key=lambda each: each.version):
            self._newest[policy.tenant, policy.source] = policy
            self._last_id = max(self._last_id, policy.policy_id)

    def of(self, tenant: str, source: str) -> Policy:
        """Returns the policy that judges a source."""
        found = self._newest.get((tenant, source))
        return found if found is not None else self._newest["", ""]

    def next_numbers(self, tenant: str, source: str) -> tuple[int, int]:
        """Tells the id and the version of the policy that would be added for a source."""
        newest = self._newest.get((tenant, source))
        return self._last_id + 1, newest.version + 1 if newest is not None else 1

    def added(self, policy: Policy) -> "Policies":
        """Returns what holds once a version is added."""
        return Policies([*self._newest.values(), policy])
