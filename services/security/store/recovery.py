"""Password resets, and the record of what operators did."""

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.ids import new_id
from services.security.domain.credentials import SubjectId
from services.security.domain.recovery import Action, ActionKind, PasswordReset
from services.security.tables import OPERATOR_ACTION, PASSWORD_RESET


async def find_reset(connection: AsyncConnection, digest: bytes) -> PasswordReset | None:
    """Finds a password reset by its token. Changes only under the lock of its credential."""
    query = select(PASSWORD_RESET.c.subject_id, PASSWORD_RESET.c.expire_time).where(
        PASSWORD_RESET.c.token_digest == digest
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    subject_id, expire_time = row
    return PasswordReset(SubjectId(subject_id), token_digest=digest, expire_time=expire_time)


async def replace_reset(
    connection: AsyncConnection, reset: PasswordReset, *, create_time: datetime
) -> None:
    """Stores a password reset in place of an earlier one of the same subject."""
    await delete_reset(connection, reset.subject_id)
    await connection.execute(
        insert(PASSWORD_RESET).values(
            subject_id=reset.subject_id,
            token_digest=reset.token_digest,
            create_time=create_time,
            expire_time=reset.expire_time,
        )
    )


async def delete_reset(connection: AsyncConnection, subject_id: SubjectId) -> None:
    """Forgets the password reset of a subject, if there is one."""
    await connection.execute(
        delete(PASSWORD_RESET).where(PASSWORD_RESET.c.subject_id == subject_id)
    )


async def delete_expired_resets(connection: AsyncConnection, now: datetime) -> None:
    """Forgets the password resets that nobody used in time; there are few."""
    await connection.execute(delete(PASSWORD_RESET).where(PASSWORD_RESET.c.expire_time <= now))


async def find_action(connection: AsyncConnection, request_id: str) -> Action | None:
    """Finds what a request has done already."""
    query = select(
        OPERATOR_ACTION.c.kind,
        OPERATOR_ACTION.c.operator_id,
        OPERATOR_ACTION.c.subject_id,
        OPERATOR_ACTION.c.reason,
    ).where(OPERATOR_ACTION.c.request_id == request_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    kind, operator_id, subject_id, reason = row
    return Action(
        kind=ActionKind(kind),
        operator_id=SubjectId(operator_id),
        subject_id=SubjectId(subject_id),
        reason=reason,
        request_id=request_id,
    )


async def add_action(connection: AsyncConnection, action: Action, *, create_time: datetime) -> None:
    """Records what an operator did; fails if another action has its request id."""
    await connection.execute(
        insert(OPERATOR_ACTION).values(
            operator_action_id=new_id(),
            kind=action.kind.value,
            request_id=action.request_id,
            operator_id=action.operator_id,
            subject_id=action.subject_id,
            reason=action.reason,
            create_time=create_time,
        )
    )
