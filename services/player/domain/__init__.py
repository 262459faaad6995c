"""Pure rules and values of players."""

from services.player.domain.changes import Change, Step, next_step
from services.player.domain.countries import COUNTRIES, age_min
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
    "Application",
    "Change",
    "CountryPolicy",
    "Exclusion",
    "IdentityState",
    "Player",
    "Restriction",
    "Restrictions",
    "State",
    "Step",
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
