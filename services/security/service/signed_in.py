"""Whether the login session of an access token is still open.

An access token outlives a logout by minutes. Where it could take an account over, or let somebody
in, it must not.
"""

from services.kit.clock import Clock
from services.kit.database import Transaction
from services.kit.errors import CredentialInvalidError
from services.security.domain.credentials import Credential, SubjectId
from services.security.domain.sessions import LoginSessionId
from services.security.store import credentials, sessions


async def require_signed_in(
    connection: Transaction, login_session_id: LoginSessionId, *, clock: Clock
) -> None:
    """Looks whether a login session is open.

    Raises:
        CredentialInvalidError: It is not.
    """
    session = await sessions.find(connection, login_session_id)
    if session is None or not session.is_open(clock.now()):
        raise CredentialInvalidError


async def lock_signed_in(
    connection: Transaction,
    subject_id: SubjectId,
    login_session_id: LoginSessionId,
    *,
    clock: Clock,
) -> Credential:
    """Locks the credential of whoever is logged in, then the login session, and returns the first.

    Raises:
        CredentialInvalidError: The login session has ended.
    """
    credential = await credentials.lock(connection, subject_id)
    session = await sessions.lock(connection, login_session_id)
    if credential is None or session is None or not session.is_open(clock.now()):
        raise CredentialInvalidError
    return credential
