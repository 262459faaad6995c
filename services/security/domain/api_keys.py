"""API keys of providers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

ApiKeyId = NewType("ApiKeyId", str)

DEFAULT_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The record of a key; the secret is stored as a digest only, and not shown here."""

    api_key_id: ApiKeyId
    provider_id: str
    display_name: str
    create_time: datetime
    expire_time: datetime
    revoke_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Tells whether it is accepted."""
        return self.revoke_time is None and now < self.expire_time
