"""Every SQL statement of the wallet, and the two ways to run them."""

from services.wallet.store.currencies import ExponentChangedError, sync_currencies
from services.wallet.store.policies import PolicyVersions
from services.wallet.store.reader import Balance, LogHead, Reader, StatementLine
from services.wallet.store.reports import (
    Liability,
    PastBalance,
    Period,
    Reports,
    Statement,
    StatementQuery,
)
from services.wallet.store.session import (
    CommitUnknownError,
    ConnectionLostError,
    DeposedError,
    LeaseTakenError,
    RaceLostError,
    Recorder,
    RowExistsError,
    Session,
    StatementTiming,
    UnsafeSettingsError,
    open_session,
)
from services.wallet.store.shard import LostUpdateError, ShardState, ShardStore

__all__ = [
    "Balance",
    "CommitUnknownError",
    "ConnectionLostError",
    "DeposedError",
    "ExponentChangedError",
    "LeaseTakenError",
    "Liability",
    "LogHead",
    "LostUpdateError",
    "PastBalance",
    "Period",
    "PolicyVersions",
    "RaceLostError",
    "Reader",
    "Recorder",
    "Reports",
    "RowExistsError",
    "Session",
    "ShardState",
    "ShardStore",
    "Statement",
    "StatementLine",
    "StatementQuery",
    "StatementTiming",
    "UnsafeSettingsError",
    "open_session",
    "sync_currencies",
]
