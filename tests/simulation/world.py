"""Who plays in a simulated ledger, and by which policies."""

from services.wallet.domain import (
    KeyScope,
    PlayerId,
    Policy,
    SpendOrder,
    Stance,
    WinShort,
)

TENANT = "t"
PLAYERS = [PlayerId(bytes(15) + bytes((number,))) for number in (1, 2)]
STRANGER = PlayerId(bytes(15) + b"\x09")
HOUR = 3_600_000_000
DAY = 24 * HOUR
POLICIES = [
    Policy(
        policy_id=2,
        tenant=TENANT,
        source="strict",
        rollback_unknown=Stance.REFUSE,
        rollback_win_short=WinShort.REFUSE,
        rollback_settled_bet=Stance.REFUSE,
        win_without_reference=Stance.REFUSE,
        win_after_close=Stance.REFUSE,
        spend_order=SpendOrder.BONUS_FIRST,
        split_stake=False,
    ),
    Policy(
        policy_id=3,
        tenant=TENANT,
        source="sports",
        rollback_win_short=WinShort.DEBT,
        debt_limit=70,
        spend_order=SpendOrder.BONUS_FIRST,
        partial_rollback=True,
        key_scope=KeyScope.SOURCE_AND_KIND,
    ),
]
