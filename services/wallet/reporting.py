"""The use cases that only read, for operators: the past, what is owed, and the policies."""

from dataclasses import dataclass

from services.kit.clock import Clock, to_micros
from services.kit.database import Database
from services.kit.errors import InvalidRequestError
from services.kit.paging import page_position, page_token
from services.wallet.domain import Micros, PlayerId, PolicyVersion, unpack_id
from services.wallet.errors import AccountNotFoundError, PlayerNotFoundError
from services.wallet.store import (
    Liability,
    PastBalance,
    Period,
    PolicyVersions,
    Reports,
    StatementLine,
    StatementQuery,
)

PAGE_SIZE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class StatementPage:
    """A page of a statement, and the token of the page after; empty on the last."""

    lines: list[StatementLine]
    opening_balance: int
    closing_balance: int
    next_page_token: str


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """Versions of policies, newest first, and the token of the page after; empty on the last."""

    versions: list[PolicyVersion]
    next_page_token: str


class ReportingService:
    """Answers from committed state, on connections of its own; nothing waits for the writer."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Takes the ledger's read side, and the clock that tells what is past."""
        self._reports = Reports(database)
        self._policies = PolicyVersions(database)
        self._clock = clock

    async def get_balance_at(
        self, player_id: PlayerId, currency_code: str, time: Micros
    ) -> PastBalance:
        """Returns a balance as it was at a moment, with all that was recorded up to then.

        Raises:
            InvalidRequestError: The moment is to come.
            PlayerNotFoundError: The ledger does not know the player.
            AccountNotFoundError: The player has no wallet in the currency.
        """
        if time > to_micros(self._clock.now()):
            raise InvalidRequestError({"time": "must not be in the future"})
        balance = await self._reports.find_balance_at(player_id, currency_code, Micros(time + 1))
        if balance is None:
            raise await self._not_found(player_id, currency_code)
        return balance

    async def get_statement(
        self, query: StatementQuery, *, page_size: int, token: str = ""
    ) -> StatementPage:
        """Returns entries of one of a player's accounts in a period, oldest first.

        The first page settles where a period ends that is still running, so that all pages agree.

        Raises:
            InvalidRequestError: The period ends before it begins.
            PageTokenInvalidError: The token was not made for this statement.
            PlayerNotFoundError: The ledger does not know the player.
            AccountNotFoundError: The player has no wallet in the currency.
        """
        if query.end < query.start:
            raise InvalidRequestError({"end_time": "must not be before start_time"})
        bound: list[int | str] = [
            query.player_id.hex(),
            query.currency_code,
            int(query.bucket),
            query.start,
            query.end,
        ]
        position = page_position(token, query=bound, shape=(int, int, int))
        if position is None:
            period = await self._reports.find_period(query)
            if period is None:
                raise await self._not_found(query.player_id, query.currency_code)
            after = period.first
        else:
            first, last, after = map(int, position)
            period = Period(first, last)
        size = max(1, min(page_size, PAGE_SIZE_MAX))
        statement = await self._reports.page_statement(query, period, after=after, limit=size + 1)
        lines = statement.lines[:size]
        return StatementPage(
            lines=lines,
            opening_balance=statement.opening_balance,
            closing_balance=statement.closing_balance,
            next_page_token=""
            if len(statement.lines) <= size
            else page_token(
                [period.first, period.last, lines[-1].entry.account_version], query=bound
            ),
        )

    async def get_liabilities(self) -> tuple[list[Liability], int]:
        """Returns what is owed to all players, by currency, and the last transfer counted."""
        return await self._reports.sum_liabilities()

    async def get_policy(self, tenant: str, source: str) -> PolicyVersion:
        """Returns the version that judges a source, its own or the default."""
        return await self._policies.get_newest(tenant, source)

    async def list_policies(
        self, tenant: str, source: str, *, page_size: int, token: str = ""
    ) -> PolicyPage:
        """Returns all versions of a tenant's policies, or of one source's, newest first.

        Raises:
            PageTokenInvalidError: The token was not made for this list.
        """
        query: list[int | str] = ["policies", tenant, source]
        position = page_position(token, query=query, shape=(int,))
        size = max(1, min(page_size, PAGE_SIZE_MAX))
        versions = await self._policies.page_versions(
            tenant,
            source,
            before_id=None if position is None else int(position[0]),
            limit=size + 1,
        )
        if len(versions) <= size:
            return PolicyPage(versions, "")
        versions = versions[:size]
        return PolicyPage(versions, page_token([versions[-1].policy_id], query=query))

    async def _not_found(
        self, player_id: PlayerId, currency_code: str
    ) -> PlayerNotFoundError | AccountNotFoundError:
        if await self._reports.is_known(player_id):
            return AccountNotFoundError(currency_code)
        return PlayerNotFoundError(unpack_id(player_id))
