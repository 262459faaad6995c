"""The steps of the flow, in order."""

from scripts.flow.step import Step
from scripts.flow.steps import authorization, bets, deposit, launch, results, updates

STEPS: tuple[Step, ...] = (
    *authorization.BEGIN,
    *deposit.STEPS,
    updates.BEFORE,
    *launch.STEPS,
    *bets.OPEN,
    *bets.STEPS,
    *results.STEPS,
    *updates.STEPS,
    authorization.LOG_OUT,
    bets.AFTER_LOGOUT,
    authorization.EXPIRED,
)
