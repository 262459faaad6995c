"""A provider for development and tests: it asks nobody."""

import asyncio

from services.player.identity.provider import Claim, Verdict

_REFUSED = "REFUSE"
_SILENT = "TIMEOUT"


class SandboxProvider:
    """Confirms everybody, but for documents whose number asks for another answer.

    A number that begins with `REFUSE` is not confirmed; to one that begins with `TIMEOUT` there is
    never an answer.
    """

    name = "sandbox"

    async def check(self, claim: Claim) -> Verdict:
        """Decides by the document's number alone."""
        if claim.document_number.startswith(_SILENT):
            await asyncio.Event().wait()
        if claim.document_number.startswith(_REFUSED):
            return Verdict(cause="document_unknown")
        return Verdict()
