"""The use cases of Security, by noun. Each opens its transactions; nothing else does."""

from services.security.service.api_keys import ApiKeys
from services.security.service.credentials import Credentials
from services.security.service.passwords import Passwords
from services.security.service.proof import Proof
from services.security.service.recovery import Recovery
from services.security.service.second_factor import SecondFactor
from services.security.service.sessions import LoginSessions
from services.security.service.signing_keys import SigningKeys

__all__ = [
    "ApiKeys",
    "Credentials",
    "LoginSessions",
    "Passwords",
    "Proof",
    "Recovery",
    "SecondFactor",
    "SigningKeys",
]
