"""Login sessions, as far as launches ask for them, and game sessions."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.game.domain import (
    GameId,
    GameSession,
    GameSessionId,
    LoginSessionId,
    Play,
    PlayerId,
    SessionState,
    TokenHash,
)
from services.game.tables import GAME, GAME_SESSION, LOGIN_SESSION
from services.kit.database import upsert

_PRUNED_MAX = 1000

# On the path of every movement, so it is built once.
_PLAY = (
    select(
        GAME_SESSION.c.game_session_id,
        GAME_SESSION.c.player_id,
        GAME_SESSION.c.game_id,
        GAME_SESSION.c.provider_id,
        GAME_SESSION.c.currency_code,
        GAME_SESSION.c.login_session_id,
        GAME_SESSION.c.state,
        GAME_SESSION.c.create_time,
        GAME_SESSION.c.expire_time,
        GAME.c.disabled,
        GAME.c.wager_weight_bp,
    )
    .join(GAME, GAME.c.game_id == GAME_SESSION.c.game_id)
    .where(GAME_SESSION.c.token_hash == bindparam("token_hash"))
)


async def find_play(connection: AsyncConnection, token_hash: TokenHash) -> Play | None:
    """Returns the session of a token with what its game allows, or None if it is unknown."""
    row = (await connection.execute(_PLAY, {"token_hash": token_hash})).one_or_none()
    if row is None:
        return None
    return Play(
        session=GameSession(
            game_session_id=row.game_session_id,
            player_id=row.player_id,
            game_id=row.game_id,
            provider_id=row.provider_id,
            currency_code=row.currency_code,
            login_session_id=row.login_session_id,
            state=SessionState(row.state),
            create_time=row.create_time,
            expire_time=row.expire_time,
        ),
        game_disabled=row.disabled,
        wager_weight_bp=row.wager_weight_bp,
    )


async def has_login_ended(connection: AsyncConnection, login_session_id: LoginSessionId) -> bool:
    """Tells whether a logout was reported for a login session."""
    ended = await connection.scalar(
        select(LOGIN_SESSION.c.ended).where(LOGIN_SESSION.c.login_session_id == login_session_id)
    )
    return bool(ended)


async def lock_login(
    connection: AsyncConnection,
    login_session_id: LoginSessionId,
    *,
    keep_time: datetime,
) -> bool:
    """Locks a login session against a logout that meets this launch.

    Returns:
        Whether it has ended.
    """
    new = upsert(connection, LOGIN_SESSION).values(
        login_session_id=login_session_id, ended=False, keep_time=keep_time
    )
    # A row that is there already is updated to what it is: that locks it, and only a locked
    # row is told.
    found = new.on_conflict_do_update(
        index_elements=[LOGIN_SESSION.c.login_session_id],
        set_={"ended": LOGIN_SESSION.c.ended},
    ).returning(LOGIN_SESSION.c.ended)
    return bool(await connection.scalar(found))


async def lock_player_at_game(
    connection: AsyncConnection, player_id: PlayerId, game_id: GameId
) -> None:
    """Lets the launches of a game by a player take place one after the other.

    Without it each of them would end the session that it sees, and all but one would then meet
    the new session of another in the unique index, however often they tried again.
    """
    if connection.dialect.name == "postgresql":
        # What there is not yet has no row to lock. On SQLite there is one writer at a time.
        await connection.execute(
            select(func.pg_advisory_xact_lock(func.hashtextextended(f"{player_id} {game_id}", 0)))
        )


async def end_logins(
    connection: AsyncConnection,
    login_session_ids: Collection[LoginSessionId],
    *,
    keep_time: datetime,
) -> None:
    """Notes that login sessions have ended, and locks them."""
    wanted = sorted(login_session_ids)
    rows = await connection.execute(
        select(LOGIN_SESSION.c.login_session_id)
        .where(LOGIN_SESSION.c.login_session_id.in_(wanted))
        .order_by(LOGIN_SESSION.c.login_session_id)
        .with_for_update()
    )
    known = set(rows.scalars())
    if known:
        await connection.execute(
            update(LOGIN_SESSION)
            .where(LOGIN_SESSION.c.login_session_id.in_(wanted))
            .values(ended=True)
        )
        await connection.execute(
            update(LOGIN_SESSION)
            .where(
                LOGIN_SESSION.c.login_session_id.in_(wanted),
                LOGIN_SESSION.c.keep_time < keep_time,
            )
            .values(keep_time=keep_time)
        )
    unknown = [each for each in wanted if each not in known]
    if unknown:
        await connection.execute(
            insert(LOGIN_SESSION),
            [{"login_session_id": each, "ended": True, "keep_time": keep_time} for each in unknown],
        )


async def prune_logins(connection: AsyncConnection, *, before: datetime) -> None:
    """Forgets login sessions whose access tokens have all expired, some at a time."""
    old = (
        select(LOGIN_SESSION.c.login_session_id)
        .where(LOGIN_SESSION.c.keep_time < before)
        .order_by(LOGIN_SESSION.c.keep_time)
        .limit(_PRUNED_MAX)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(LOGIN_SESSION).where(LOGIN_SESSION.c.login_session_id.in_(old)))


async def insert_session(
    connection: AsyncConnection, session: GameSession, token_hash: TokenHash
) -> None:
    """Adds an open session."""
    await connection.execute(
        insert(GAME_SESSION).values(
            game_session_id=session.game_session_id,
            token_hash=token_hash,
            player_id=session.player_id,
            game_id=session.game_id,
            provider_id=session.provider_id,
            currency_code=session.currency_code,
            login_session_id=session.login_session_id,
            state=session.state,
            create_time=session.create_time,
            expire_time=session.expire_time,
        )
    )


async def end_session_of(
    connection: AsyncConnection, player_id: PlayerId, game_id: GameId, *, now: datetime
) -> None:
    """Ends the player's open session of a game, if there is one."""
    await connection.execute(
        update(GAME_SESSION)
        .where(
            GAME_SESSION.c.player_id == player_id,
            GAME_SESSION.c.game_id == game_id,
            GAME_SESSION.c.state == SessionState.OPEN,
        )
        .values(state=SessionState.ENDED, end_time=now)
    )


async def end_session(
    connection: AsyncConnection, game_session_id: GameSessionId, *, now: datetime
) -> None:
    """Ends one session, if it is open."""
    await connection.execute(
        update(GAME_SESSION)
        .where(
            GAME_SESSION.c.game_session_id == game_session_id,
            GAME_SESSION.c.state == SessionState.OPEN,
        )
        .values(state=SessionState.ENDED, end_time=now)
    )


async def end_sessions_of_logins(
    connection: AsyncConnection,
    login_session_ids: Collection[LoginSessionId],
    *,
    now: datetime,
) -> int:
    """Ends the open sessions that were launched from login sessions, and counts them."""
    ended = await connection.execute(
        update(GAME_SESSION)
        .where(
            GAME_SESSION.c.login_session_id.in_(sorted(login_session_ids)),
            GAME_SESSION.c.state == SessionState.OPEN,
        )
        .values(state=SessionState.ENDED, end_time=now)
    )
    return int(ended.rowcount)
