"""Who plays in a simulated ledger, and by which policies."""

from typing import Any

from services.wallet.domain import (
    Key,
    KeyScope,
    PlayerId,
    SetPolicy,
    SpendOrder,
    Stance,
    WinShort,
)

TENANT = "t"
PLAYERS = [PlayerId(bytes(15) + bytes((number,))) for number in (1, 2)]
STRANGER = PlayerId(bytes(15) + b"\x09")
HOUR = 3_600_000_000
DAY = 24 * HOUR
SOURCES = ("studio", "strict", "sports")
SCOPES = {"sports": KeyScope.SOURCE_AND_KIND}
SWITCHES: dict[str, dict[str, Any]] = {
    "strict": {
        "rollback_unknown": Stance.REFUSE,
        "rollback_win_short": WinShort.REFUSE,
        "rollback_settled_bet": Stance.REFUSE,
        "win_without_reference": Stance.REFUSE,
        "win_after_close": Stance.REFUSE,
        "spend_order": SpendOrder.BONUS_FIRST,
        "split_stake": False,
    },
    "sports": {
        "rollback_win_short": WinShort.DEBT,
        "debt_limit": 70,
        "spend_order": SpendOrder.BONUS_FIRST,
        "partial_rollback": True,
        "key_scope": SCOPES["sports"],
    },
}


def first_policies() -> list[SetPolicy]:
    """How the sources differ in the beginning; `studio` is judged by the default."""
    return [
        SetPolicy(
            key=Key(TENANT, "office", f"policy-{source}"),
            source=source,
            reason="as its protocol has it",
            actor="a",
            **switches,
        )
        for source, switches in SWITCHES.items()
    ]
