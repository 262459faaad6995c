"""Rounds: derived from the ledger, shown to players."""

from collections.abc import Sequence

from services.game.domain import Page, PlayerId, Round, RoundId, RoundKey, Step, begin_round
from services.game.store import rounds as store
from services.kit.database import Database, Transaction
from services.kit.paging import page_position, page_token


class Rounds:
    """Follows the ledger's steps, and lists what they make."""

    def __init__(self, database: Database) -> None:
        """Takes what it works with."""
        self._database = database

    async def list_rounds(self, player_id: PlayerId, *, page_size: int, token: str) -> Page[Round]:
        """Lists a player's rounds, newest first.

        Raises:
            PageTokenInvalidError: The token is not of this list.
        """
        query = ("rounds", player_id)
        position = page_position(token, query=query, shape=(int, str))
        before = None if position is None else (int(position[0]), RoundId(str(position[1])))
        async with self._database.snapshot() as connection:
            rounds = await store.page_rounds(
                connection, player_id, before=before, limit=page_size + 1
            )
        shown = rounds[:page_size]
        if len(rounds) <= page_size:
            return Page(shown, "")
        return Page(shown, page_token([shown[-1].start_seq, shown[-1].round_id], query=query))

    async def apply(self, connection: Transaction, steps: Sequence[Step]) -> None:
        """Takes rounds further, in the transaction that moves the feed's cursor.

        Args:
            connection: That transaction.
            steps: What the ledger has accepted since, in its order.
        """
        if not steps:
            return
        known = await store.find_rounds(connection, {step.key for step in steps})
        rounds: dict[RoundKey, Round] = dict(known)
        for step in steps:
            found = rounds.get(step.key)
            rounds[step.key] = begin_round(step) if found is None else found.after(step)
        made = [each for key, each in rounds.items() if key not in known]
        changed = [each for key, each in rounds.items() if key in known and each != known[key]]
        if made:
            await store.insert_rounds(connection, made)
        if changed:
            await store.update_rounds(connection, changed)
