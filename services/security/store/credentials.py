"""Credentials, their failures and their second factors."""

from datetime import datetime

from sqlalchemy import Select, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.security.domain.credentials import Credential, Lockout, SubjectId, SubjectKind
from services.security.domain.totp import TotpFactor
from services.security.tables import CREDENTIAL, LOGIN_FAILURE, OPERATOR_ROLE, TOTP_FACTOR

_COLUMNS = (
    CREDENTIAL.c.subject_id,
    CREDENTIAL.c.kind,
    CREDENTIAL.c.email,
    CREDENTIAL.c.password_hash,
    CREDENTIAL.c.last_login_time,
    CREDENTIAL.c.unlock_time,
)
_Query = Select[str, str, str, str, datetime | None, datetime | None]


async def find_password_hash(connection: AsyncConnection, email: str) -> str | None:
    """Returns the hash that a password for this address is compared with."""
    query = select(CREDENTIAL.c.password_hash).where(CREDENTIAL.c.email == email)
    return (await connection.execute(query)).scalar_one_or_none()


async def lock_by_email(connection: AsyncConnection, email: str) -> Credential | None:
    """Finds a credential by its address, and keeps others from changing it."""
    query = select(*_COLUMNS).where(CREDENTIAL.c.email == email).with_for_update()
    return await _read_one(connection, query)


async def lock(connection: AsyncConnection, subject_id: SubjectId) -> Credential | None:
    """Finds a credential by its subject, and keeps others from changing it."""
    query = select(*_COLUMNS).where(CREDENTIAL.c.subject_id == subject_id).with_for_update()
    return await _read_one(connection, query)


async def get(connection: AsyncConnection, subject_id: SubjectId) -> Credential:
    """Reads the credential of a subject that has one.

    Raises:
        LookupError: It has none.
    """
    query = select(*_COLUMNS).where(CREDENTIAL.c.subject_id == subject_id)
    found = await _read_one(connection, query)
    if found is None:
        raise LookupError(f"no credential of {subject_id}")
    return found


async def find_equal(
    connection: AsyncConnection, subject_id: SubjectId, email: str
) -> Credential | None:
    """Finds a credential that stands in the way of a new one: same subject or same address."""
    query = (
        select(*_COLUMNS)
        .where(or_(CREDENTIAL.c.subject_id == subject_id, CREDENTIAL.c.email == email))
        .order_by(CREDENTIAL.c.email != email)
        .limit(1)
    )
    return await _read_one(connection, query)


async def has_operator(connection: AsyncConnection) -> bool:
    """Tells whether anybody can log in as an operator."""
    query = select(CREDENTIAL.c.subject_id).where(CREDENTIAL.c.kind == SubjectKind.OPERATOR)
    return (await connection.execute(query.limit(1))).first() is not None


async def add(
    connection: AsyncConnection, credential: Credential, *, create_time: datetime
) -> None:
    """Stores a new credential and its roles."""
    await connection.execute(
        insert(CREDENTIAL).values(
            subject_id=credential.subject_id,
            kind=credential.kind.value,
            email=credential.email,
            password_hash=credential.password_hash,
            create_time=create_time,
        )
    )
    if credential.roles:
        await connection.execute(
            insert(OPERATOR_ROLE),
            [
                {"subject_id": credential.subject_id, "role": role}
                for role in sorted(credential.roles)
            ],
        )


async def record_login(
    connection: AsyncConnection, subject_id: SubjectId, *, login_time: datetime
) -> None:
    """Notes a login that succeeded; the failures before it do not count any more."""
    await connection.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.subject_id == subject_id)
        .values(last_login_time=login_time, unlock_time=None)
    )
    await connection.execute(delete(LOGIN_FAILURE).where(LOGIN_FAILURE.c.subject_id == subject_id))


async def save_lockout(
    connection: AsyncConnection, subject_id: SubjectId, lockout: Lockout
) -> None:
    """Stores the failures that count and the lock."""
    await connection.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.subject_id == subject_id)
        .values(unlock_time=lockout.unlock_time)
    )
    await connection.execute(delete(LOGIN_FAILURE).where(LOGIN_FAILURE.c.subject_id == subject_id))
    if lockout.failure_times:
        await connection.execute(
            insert(LOGIN_FAILURE),
            [
                {"subject_id": subject_id, "number": number, "create_time": create_time}
                for number, create_time in enumerate(lockout.failure_times, start=1)
            ],
        )


async def replace_password_hash(
    connection: AsyncConnection, email: str, *, old: str, new: str
) -> None:
    """Stores another hash of the same password, unless the password has changed meanwhile."""
    await connection.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.email == email, CREDENTIAL.c.password_hash == old)
        .values(password_hash=new)
    )


async def set_password(
    connection: AsyncConnection, subject_id: SubjectId, password_hash: str
) -> None:
    """Stores the hash of another password of a credential that was locked."""
    await connection.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.subject_id == subject_id)
        .values(password_hash=password_hash)
    )


async def find_totp(connection: AsyncConnection, subject_id: SubjectId) -> TotpFactor | None:
    """Returns the second factor, pending or confirmed. Changes only under the credential's lock."""
    query = select(
        TOTP_FACTOR.c.secret_sealed, TOTP_FACTOR.c.confirm_time, TOTP_FACTOR.c.last_step
    ).where(TOTP_FACTOR.c.subject_id == subject_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    secret_sealed, confirm_time, last_step = row
    return TotpFactor(
        secret_sealed=secret_sealed, confirmed=confirm_time is not None, last_step=last_step
    )


async def replace_totp(
    connection: AsyncConnection,
    subject_id: SubjectId,
    factor: TotpFactor,
    *,
    create_time: datetime,
) -> None:
    """Stores a pending second factor in place of one that was pending."""
    await connection.execute(delete(TOTP_FACTOR).where(TOTP_FACTOR.c.subject_id == subject_id))
    await connection.execute(
        insert(TOTP_FACTOR).values(
            subject_id=subject_id,
            secret_sealed=factor.secret_sealed,
            create_time=create_time,
            last_step=factor.last_step,
        )
    )


async def confirm_totp(
    connection: AsyncConnection, subject_id: SubjectId, *, confirm_time: datetime
) -> None:
    """Turns the second factor on."""
    await connection.execute(
        update(TOTP_FACTOR)
        .where(TOTP_FACTOR.c.subject_id == subject_id)
        .values(confirm_time=confirm_time)
    )


async def use_totp_step(connection: AsyncConnection, subject_id: SubjectId, *, step: int) -> None:
    """Uses up the codes until this time step."""
    await connection.execute(
        update(TOTP_FACTOR).where(TOTP_FACTOR.c.subject_id == subject_id).values(last_step=step)
    )


async def _read_one(connection: AsyncConnection, query: _Query) -> Credential | None:
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    subject_id, kind, email, password_hash, last_login_time, unlock_time = row
    failures = await connection.execute(
        select(LOGIN_FAILURE.c.create_time)
        .where(LOGIN_FAILURE.c.subject_id == subject_id)
        .order_by(LOGIN_FAILURE.c.number)
    )
    roles = await connection.execute(
        select(OPERATOR_ROLE.c.role).where(OPERATOR_ROLE.c.subject_id == subject_id)
    )
    return Credential(
        subject_id=SubjectId(subject_id),
        kind=SubjectKind(kind),
        email=email,
        password_hash=password_hash,
        last_login_time=last_login_time,
        lockout=Lockout(unlock_time=unlock_time, failure_times=tuple(failures.scalars())),
        roles=frozenset(roles.scalars()),
    )
