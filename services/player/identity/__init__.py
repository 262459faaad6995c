"""Identity providers: who confirms that players are who they say."""

from collections.abc import Callable, Mapping

from services.player.identity.provider import Claim, Deadline, IdentityProvider, Verdict
from services.player.identity.sandbox import SandboxProvider

PROVIDERS: Mapping[str, Callable[[], IdentityProvider]] = {SandboxProvider.name: SandboxProvider}
"""Every provider that there is an adapter for, by its name in the settings."""

__all__ = ["PROVIDERS", "Claim", "Deadline", "IdentityProvider", "Verdict"]
