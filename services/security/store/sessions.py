"""Login sessions and their refresh tokens. The lock of a session guards its tokens too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.security.domain.credentials import SubjectId, SubjectKind
from services.security.domain.sessions import LoginSession, LoginSessionId
from services.security.tables import CREDENTIAL, LOGIN_SESSION, REFRESH_TOKEN

_JOINED = LOGIN_SESSION.join(CREDENTIAL, LOGIN_SESSION.c.subject_id == CREDENTIAL.c.subject_id)
_COLUMNS = (
    LOGIN_SESSION.c.login_session_id,
    LOGIN_SESSION.c.subject_id,
    CREDENTIAL.c.kind,
    LOGIN_SESSION.c.expire_time,
    LOGIN_SESSION.c.life_end_time,
    LOGIN_SESSION.c.token_expire_time,
    LOGIN_SESSION.c.end_time,
    LOGIN_SESSION.c.games_end_time,
    LOGIN_SESSION.c.second_factor_time,
)
_Query = Select[
    str,
    str,
    str,
    datetime,
    datetime,
    datetime,
    datetime | None,
    datetime | None,
    datetime | None,
]


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What is stored of a refresh token."""

    login_session_id: LoginSessionId
    used: bool


async def add(
    connection: AsyncConnection,
    session: LoginSession,
    *,
    client_address: str,
    create_time: datetime,
) -> None:
    """Stores a new login session."""
    await connection.execute(
        insert(LOGIN_SESSION).values(
            login_session_id=session.login_session_id,
            subject_id=session.subject_id,
            client_address=client_address,
            create_time=create_time,
            expire_time=session.expire_time,
            life_end_time=session.life_end_time,
            token_expire_time=session.token_expire_time,
            second_factor_time=session.second_factor_time,
        )
    )


async def find(
    connection: AsyncConnection, login_session_id: LoginSessionId
) -> LoginSession | None:
    """Finds a login session as it is now; it may end at any moment."""
    query = _selected().where(LOGIN_SESSION.c.login_session_id == login_session_id)
    found = await _read(connection, query)
    return found[0] if found else None


async def lock(
    connection: AsyncConnection, login_session_id: LoginSessionId
) -> LoginSession | None:
    """Finds a login session, and keeps others from changing it."""
    query = _selected().where(LOGIN_SESSION.c.login_session_id == login_session_id)
    found = await _read(connection, query.with_for_update(of=LOGIN_SESSION))
    return found[0] if found else None


async def lock_open(
    connection: AsyncConnection,
    subject_id: SubjectId,
    *,
    kind: SubjectKind,
    but: LoginSessionId | None = None,
    limit: int,
) -> Sequence[LoginSession]:
    """Finds login sessions of a subject that were not ended, and keeps others from changing them.

    Args:
        connection: The transaction.
        subject_id: The subject.
        kind: What the subject must be; nothing is found of another kind.
        but: A session that is left out.
        limit: How many are found at the most.
    """
    query = _selected().where(
        LOGIN_SESSION.c.subject_id == subject_id,
        LOGIN_SESSION.c.end_time.is_(None),
        CREDENTIAL.c.kind == kind,
    )
    if but is not None:
        query = query.where(LOGIN_SESSION.c.login_session_id != but)
    query = query.order_by(LOGIN_SESSION.c.login_session_id).limit(limit)
    return await _read(connection, query.with_for_update(of=LOGIN_SESSION))


async def list_open_but_newest(
    connection: AsyncConnection, subject_id: SubjectId, *, newest: int, limit: int
) -> Sequence[LoginSessionId]:
    """Lists the login sessions of a subject that were not ended, without the newest so many."""
    # Ids tell the order of creation.
    query = (
        select(LOGIN_SESSION.c.login_session_id)
        .where(LOGIN_SESSION.c.subject_id == subject_id, LOGIN_SESSION.c.end_time.is_(None))
        .order_by(LOGIN_SESSION.c.login_session_id.desc())
        .offset(newest)
        .limit(limit)
    )
    found = (await connection.execute(query)).scalars()
    return [LoginSessionId(login_session_id) for login_session_id in found]


async def lock_expired(
    connection: AsyncConnection, now: datetime, *, limit: int
) -> Sequence[LoginSession]:
    """Finds login sessions that expired and were not ended, and keeps others from changing them.

    Those that somebody else is changing are left to the next time.
    """
    query = (
        _selected()
        .where(LOGIN_SESSION.c.end_time.is_(None), LOGIN_SESSION.c.expire_time <= now)
        .order_by(LOGIN_SESSION.c.expire_time)
        .limit(limit)
    )
    return await _read(connection, query.with_for_update(of=LOGIN_SESSION, skip_locked=True))


async def list_with_open_games(
    connection: AsyncConnection,
    *,
    login_session_id: LoginSessionId | None = None,
    subject_id: SubjectId | None = None,
    limit: int,
) -> Sequence[LoginSession]:
    """Lists ended login sessions of which Game does not know yet, oldest first."""
    query = _selected().where(
        LOGIN_SESSION.c.end_time.is_not(None), LOGIN_SESSION.c.games_end_time.is_(None)
    )
    if login_session_id is not None:
        query = query.where(LOGIN_SESSION.c.login_session_id == login_session_id)
    if subject_id is not None:
        query = query.where(LOGIN_SESSION.c.subject_id == subject_id)
    return await _read(connection, query.order_by(LOGIN_SESSION.c.end_time).limit(limit))


async def extend(
    connection: AsyncConnection,
    login_session_id: LoginSessionId,
    *,
    expire_time: datetime,
    token_expire_time: datetime,
) -> None:
    """Notes a refresh."""
    await connection.execute(
        update(LOGIN_SESSION)
        .where(LOGIN_SESSION.c.login_session_id == login_session_id)
        .values(expire_time=expire_time, token_expire_time=token_expire_time)
    )


async def end(
    connection: AsyncConnection,
    login_session_id: LoginSessionId,
    *,
    end_time: datetime,
    games_end_time: datetime | None,
) -> None:
    """Ends a login session that was locked; its tokens go with it."""
    await connection.execute(
        update(LOGIN_SESSION)
        .where(LOGIN_SESSION.c.login_session_id == login_session_id)
        .values(end_time=end_time, games_end_time=games_end_time)
    )
    await connection.execute(
        delete(REFRESH_TOKEN).where(REFRESH_TOKEN.c.login_session_id == login_session_id)
    )


async def delete_over(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Forgets login sessions that ended long ago and of whose end Game knows.

    They have no tokens any more: those go when a session ends. Returns how many there were.
    """
    oldest = (
        select(LOGIN_SESSION.c.login_session_id)
        .where(LOGIN_SESSION.c.games_end_time.is_not(None), LOGIN_SESSION.c.end_time <= before)
        .order_by(LOGIN_SESSION.c.end_time)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = (await connection.execute(oldest)).scalars().all()
    if found:
        await connection.execute(
            delete(LOGIN_SESSION).where(LOGIN_SESSION.c.login_session_id.in_(found))
        )
    return len(found)


async def record_second_factor(
    connection: AsyncConnection,
    login_session_id: LoginSessionId,
    *,
    second_factor_time: datetime,
) -> None:
    """Notes that the session has proved a second factor."""
    await connection.execute(
        update(LOGIN_SESSION)
        .where(LOGIN_SESSION.c.login_session_id == login_session_id)
        .values(second_factor_time=second_factor_time)
    )


async def record_games_ended(
    connection: AsyncConnection,
    login_session_ids: Sequence[LoginSessionId],
    *,
    games_end_time: datetime,
) -> None:
    """Notes that Game has ended the game sessions of these login sessions."""
    await connection.execute(
        update(LOGIN_SESSION)
        .where(LOGIN_SESSION.c.login_session_id.in_(sorted(login_session_ids)))
        .values(games_end_time=games_end_time)
    )


async def find_refresh_token(connection: AsyncConnection, digest: bytes) -> RefreshToken | None:
    """Finds a refresh token. What it says holds only under the lock of its session."""
    query = select(REFRESH_TOKEN.c.login_session_id, REFRESH_TOKEN.c.use_time).where(
        REFRESH_TOKEN.c.token_digest == digest
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    login_session_id, use_time = row
    return RefreshToken(LoginSessionId(login_session_id), used=use_time is not None)


async def add_refresh_token(
    connection: AsyncConnection,
    digest: bytes,
    login_session_id: LoginSessionId,
    *,
    create_time: datetime,
) -> None:
    """Stores a new refresh token."""
    await connection.execute(
        insert(REFRESH_TOKEN).values(
            token_digest=digest, login_session_id=login_session_id, create_time=create_time
        )
    )


async def use_refresh_token(
    connection: AsyncConnection, digest: bytes, *, use_time: datetime
) -> None:
    """Uses up a refresh token."""
    await connection.execute(
        update(REFRESH_TOKEN)
        .where(REFRESH_TOKEN.c.token_digest == digest)
        .values(use_time=use_time)
    )


def _selected() -> _Query:
    return select(*_COLUMNS).select_from(_JOINED)


async def _read(connection: AsyncConnection, query: _Query) -> list[LoginSession]:
    return [
        LoginSession(
            login_session_id=LoginSessionId(login_session_id),
            subject_id=SubjectId(subject_id),
            kind=SubjectKind(kind),
            expire_time=expire_time,
            life_end_time=life_end_time,
            token_expire_time=token_expire_time,
            end_time=end_time,
            games_end_time=games_end_time,
            second_factor_time=second_factor_time,
        )
        for (
            login_session_id,
            subject_id,
            kind,
            expire_time,
            life_end_time,
            token_expire_time,
            end_time,
            games_end_time,
            second_factor_time,
        ) in await connection.execute(query)
    ]
