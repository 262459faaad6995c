"""What Player wants of whoever checks identities."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from services.kit.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who somebody says to be, and the document that shall prove it. Nothing for a log."""

    given_name: str = field(repr=False)
    family_name: str = field(repr=False)
    date_of_birth: date = field(repr=False)
    country_code: str
    postal_address: str = field(repr=False)
    document_number: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the provider says."""

    cause: str = ""
    """Why it does not confirm the person, in a word; empty if it does."""

    @property
    def verified(self) -> bool:
        """Whether the person is who was claimed."""
        return not self.cause


class IdentityProvider(Protocol):
    """Checks identities. An adapter speaks one provider's protocol and nothing else."""

    name: str

    async def check(self, claim: Claim) -> Verdict:
        """Asks the provider.

        Raises:
            UnavailableError: There is no verdict. It is safe to ask again.
        """


class Deadline:
    """Another provider, which has only so much time."""

    def __init__(self, provider: IdentityProvider, *, timeout: timedelta) -> None:
        """Wraps a provider.

        Args:
            provider: Who really checks.
            timeout: How long a check may take.
        """
        self.name = provider.name
        self._provider = provider
        self._timeout_s = timeout.total_seconds()

    async def check(self, claim: Claim) -> Verdict:
        """Asks the provider, and gives up in time.

        Raises:
            UnavailableError: There is no verdict.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._provider.check(claim)
        except TimeoutError:
            raise UnavailableError(dependency="identity-provider") from None
