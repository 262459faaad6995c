"""Providers and games."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, false, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.game.domain import Game, GameId, Provider, ProviderId
from services.game.errors import GameNotFoundError
from services.game.tables import GAME, GAME_CURRENCY, PROVIDER


async def find_provider(connection: AsyncConnection, provider_id: ProviderId) -> Provider | None:
    """Returns a provider, or None if there is none of this id."""
    rows = await connection.execute(select(PROVIDER).where(PROVIDER.c.provider_id == provider_id))
    row = rows.mappings().one_or_none()
    return None if row is None else Provider(**row)


async def insert_provider(connection: AsyncConnection, provider: Provider) -> None:
    """Adds a provider."""
    await connection.execute(
        insert(PROVIDER).values(
            provider_id=provider.provider_id,
            display_name=provider.display_name,
            launch_address=provider.launch_address,
            create_time=provider.create_time,
        )
    )


async def find_game(connection: AsyncConnection, game_id: GameId) -> Game | None:
    """Returns a game, or None if there is none of this id."""
    rows = await connection.execute(select(GAME).where(GAME.c.game_id == game_id))
    found = await _games(connection, rows.mappings().all())
    return found[0] if found else None


async def get_game(connection: AsyncConnection, game_id: GameId) -> Game:
    """Returns a game.

    Raises:
        GameNotFoundError: There is none of this id.
    """
    found = await find_game(connection, game_id)
    if found is None:
        raise GameNotFoundError(game_id=game_id)
    return found


async def insert_game(connection: AsyncConnection, game: Game) -> None:
    """Adds a game."""
    await connection.execute(
        insert(GAME).values(
            game_id=game.game_id,
            provider_id=game.provider_id,
            display_name=game.display_name,
            disabled=game.disabled,
            wager_weight_bp=game.wager_weight_bp,
            create_time=game.create_time,
        )
    )
    await connection.execute(
        insert(GAME_CURRENCY),
        [{"game_id": game.game_id, "currency_code": code} for code in game.currency_codes],
    )


async def set_disabled(connection: AsyncConnection, game_id: GameId, *, disabled: bool) -> None:
    """Disables or enables a game.

    Raises:
        GameNotFoundError: There is none of this id.
    """
    changed = await connection.execute(
        update(GAME).where(GAME.c.game_id == game_id).values(disabled=disabled)
    )
    if changed.rowcount != 1:
        raise GameNotFoundError(game_id=game_id)


async def page_enabled_games(
    connection: AsyncConnection, *, after: GameId | None, limit: int
) -> list[Game]:
    """Returns the enabled games by display name, those that follow `after`, at most `limit`."""
    query = (
        select(GAME)
        .where(GAME.c.disabled == false())
        .order_by(GAME.c.display_name, GAME.c.game_id)
        .limit(limit)
    )
    if after is not None:
        # By the id alone: a name would not fit into a page token. Games are never removed.
        last = select(GAME.c.display_name, GAME.c.game_id).where(GAME.c.game_id == after)
        name, game_id = (await connection.execute(last)).one()
        query = query.where(tuple_(GAME.c.display_name, GAME.c.game_id) > tuple_(name, game_id))
    rows = await connection.execute(query)
    return await _games(connection, rows.mappings().all())


async def _games(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Game]:
    if not rows:
        return []
    currencies = await connection.execute(
        select(GAME_CURRENCY)
        .where(GAME_CURRENCY.c.game_id.in_([row["game_id"] for row in rows]))
        .order_by(GAME_CURRENCY.c.game_id, GAME_CURRENCY.c.currency_code)
    )
    codes: dict[str, list[str]] = {}
    for game_id, currency_code in currencies:
        codes.setdefault(game_id, []).append(currency_code)
    return [_game(row, codes.get(row["game_id"], ())) for row in rows]


def _game(row: RowMapping, currency_codes: Sequence[str]) -> Game:
    # Sorted here, since an order by text follows the database's language.
    return Game(**row, currency_codes=tuple(sorted(currency_codes)))
