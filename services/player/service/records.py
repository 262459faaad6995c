"""Writes down what became of a player, with everything that must follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from services.kit.clock import Clock
from services.kit.database import Database, Transaction
from services.kit.feed import Outbox
from services.kit.ids import new_id
from services.player.domain import (
    EXCLUSION_OVER,
    UNKNOWN_ORIGIN,
    Change,
    LimitSetting,
    Origin,
    Player,
    Restrictions,
)
from services.player.store import outstanding, players


@dataclass(frozen=True, slots=True)
class Records:
    """The store of players, its event log, and the clock that both go by."""

    database: Database
    outbox: Outbox
    clock: Clock

    async def save(
        self,
        connection: Transaction,
        player: Player,
        limit: LimitSetting | None = None,
        /,
        *,
        was: Player,
        now: datetime,
        origin: Origin | None = None,
        **event: Mapping[str, object],
    ) -> Player:
        """Saves a player, whom the transaction has locked. It is the transaction's last step.

        If other restrictions follow from the new facts than from the old ones, the change that the
        wallet must learn is saved too: no use case can forget it.

        Args:
            connection: The transaction.
            player: The new facts.
            limit: What the wallet must learn of a limit, if one was changed.
            was: The facts as they were locked.
            now: The time of the transaction.
            origin: Who wants other restrictions, and why; None: nobody. They may change all the
                same, since an exclusion ends by itself.
            **event: What followers shall learn, as for `Outbox.append`.

        Returns:
            The player as saved.
        """
        restrictions = player.restrictions_at(now)
        told: list[tuple[Restrictions | LimitSetting, Origin]] = []
        if restrictions != was.restrictions:
            told.append((restrictions, origin or _unwanted(was, now)))
        if limit is not None:
            told.append((limit, UNKNOWN_ORIGIN))
        saved = replace(
            player, restrictions=restrictions, change_number=was.change_number + len(told)
        )
        await players.save(connection, saved)
        for number, (content, wanted) in enumerate(told, start=was.change_number + 1):
            change = Change(
                change_id=new_id(),
                player_id=saved.player_id,
                number=number,
                content=content,
                attempted=False,
                origin=wanted,
            )
            await outstanding.add_change(connection, change, now=now)
        # The log's end is locked from here to the commit.
        if saved.registered and not was.registered:
            await self.outbox.append(
                connection,
                player_registered={
                    "player_id": saved.player_id,
                    "country_code": saved.country_code,
                    "currency_code": saved.currency_code,
                },
            )
        if event:
            await self.outbox.append(connection, **event)
        return saved


def _unwanted(was: Player, now: datetime) -> Origin:
    """Tells why the restrictions change though nobody wants them to."""
    over = was.exclusion is not None and was.exclusion_at(now) is None
    return EXCLUSION_OVER if over else UNKNOWN_ORIGIN
