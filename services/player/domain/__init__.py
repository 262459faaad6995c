"""Pure rules and values of players."""

from services.player.domain.changes import RESTRICTIONS, Change, Step, Subject, next_step
from services.player.domain.countries import COUNTRIES, age_min
from services.player.domain.limits import (
    LOOSENING_DELAY,
    Limit,
    LimitKind,
    LimitName,
    LimitPeriod,
    LimitSetting,
    LimitWish,
    PendingMaximum,
)
from services.player.domain.person import (
    age_on,
    is_credible_birth,
    is_one_line,
    normalized_name,
)
from services.player.domain.player import (
    EXCLUSION_MIN,
    Application,
    CountryPolicy,
    Exclusion,
    IdentityState,
    Player,
    Restriction,
    Restrictions,
    State,
    check_age,
    check_play,
    prolonged,
)

__all__ = [
    "COUNTRIES",
    "EXCLUSION_MIN",
    "LOOSENING_DELAY",
    "RESTRICTIONS",
    "Application",
    "Change",
    "CountryPolicy",
    "Exclusion",
    "IdentityState",
    "Limit",
    "LimitKind",
    "LimitName",
    "LimitPeriod",
    "LimitSetting",
    "LimitWish",
    "PendingMaximum",
    "Player",
    "Restriction",
    "Restrictions",
    "State",
    "Step",
    "Subject",
    "age_min",
    "age_on",
    "check_age",
    "check_play",
    "is_credible_birth",
    "is_one_line",
    "next_step",
    "normalized_name",
    "prolonged",
]
