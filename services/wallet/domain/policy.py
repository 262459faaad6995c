"""What sources differ in: the switches of a policy."""

from dataclasses import dataclass
from enum import IntEnum

from services.wallet.domain.values import SpendOrder


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


DEFAULT_POLICY = Policy(policy_id=1)
"""Judges sources that have no policy of their own."""


class Policies:
    """The newest version for each tenant and source."""

    def __init__(self, versions: list[Policy]) -> None:
        self._newest: dict[tuple[str, str], Policy] = {("", ""): DEFAULT_POLICY}
        for policy in sorted(versions, key=lambda each: each.version):
            self._newest[policy.tenant, policy.source] = policy

    def of(self, tenant: str, source: str) -> Policy:
        """Returns the policy that judges a source."""
        found = self._newest.get((tenant, source))
        return found if found is not None else self._newest["", ""]
