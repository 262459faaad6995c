"""The use cases of the ledger.

Everything that moves money passes the writer of its shard; everything that only reads is served
from committed state beside it. One shard for now: its number is in every key and column.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.kit.background import repeat_in_background
from services.kit.clock import SteadyClock, to_micros
from services.kit.database import Database, retry_on_race
from services.kit.errors import (
    InvalidRequestError,
    OverloadedError,
    ServiceError,
    UnavailableError,
)
from services.kit.paging import page_position, page_token
from services.wallet.domain import validation
from services.wallet.domain.operations import Bet, Group, Operation, Win
from services.wallet.domain.planner import Unit, lookup_of, submission_of, unit_of
from services.wallet.domain.result import Answer, Reused
from services.wallet.domain.rows import Posting
from services.wallet.domain.values import Bucket, Key, Kind, Micros, PlayerId, unpack_id
from services.wallet.errors import (
    AccountNotFoundError,
    KeyReusedError,
    PlayerNotFoundError,
    TransferNotFoundError,
)
from services.wallet.store import (
    Balance,
    LogHead,
    Reader,
    Session,
    StatementLine,
    open_session,
    sync_currencies,
)
from services.wallet.writer import (
    Notifier,
    OnBatch,
    TooManyWatchesError,
    Writer,
    WriterOptions,
    WriterState,
)

_SHARD = 0
_DUE_PLAYERS_MAX = 100
_FEED_PAGE = 500
_WATCH_RETRY = timedelta(seconds=1)
PAGE_SIZE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries, newest first, and the token of the page after; empty on the last."""

    lines: list[StatementLine]
    next_page_token: str


class WalletService:
    """The ledger as the rest of the service uses it."""

    def __init__(
        self,
        database_url: str,
        clock: SteadyClock,
        *,
        options: WriterOptions | None = None,
        on_batch: OnBatch | None = None,
        session: Session | None = None,
    ) -> None:
        """Prepares the ledger; `start` connects.

        Args:
            database_url: A migrated database.
            clock: Stamps batches, as long as it can be believed.
            options: The bounds of the writer.
            on_batch: Told of each batch that holds a traced operation.
            session: The writer's own connection, if it is not to be made from the address.
        """
        self._clock = clock
        self._options = options if options is not None else WriterOptions()
        self._database = Database(database_url, schema="wallet")
        self._reader = Reader(self._database)
        self._notifier = Notifier()
        self._writer = Writer(
            session if session is not None else open_session(database_url),
            shard=_SHARD,
            clock=clock,
            notifier=self._notifier,
            options=self._options,
            on_batch=on_batch,
        )
        self._background = contextlib.AsyncExitStack()

    @property
    def state(self) -> WriterState:
        """What the writer is doing."""
        return self._writer.state

    def check(self) -> None:
        """Raises while nothing can be written, for health.

        Raises:
            UnavailableError: Says why.
        """
        self._writer.check()

    async def wait_ended(self) -> WriterState:
        """Returns once the writer serves no more, whether it was told to or not."""
        return await self._writer.wait_ended()

    @property
    def database(self) -> Database:
        """The read side's database, for health checks and instrumentation."""
        return self._database

    async def start(self) -> None:
        """Takes the shard and begins to serve.

        Raises:
            LeaseTakenError: Another process writes this ledger.
            UnsafeSettingsError: The database would lose acknowledged transfers.
            ExponentChangedError: A currency has not the exponent that the ledger knows.
        """
        await self._sync_currencies()
        await self._writer.start()
        repeat_in_background(
            {"sweep ledger": self._sweep}, self._background, every=self._options.sweep_every
        )

    async def stop(self, grace: timedelta = timedelta(seconds=10)) -> None:
        """Drains: commits and answers what was admitted, then gives the shard up."""
        await self._background.aclose()
        await self._writer.stop(grace)
        await self._database.close()

    # Moving money.

    async def submit(self, operation: Operation, *, timeout_s: float | None = None) -> Answer:
        """Runs one operation. A refusal is an answer; look at its outcome.

        Args:
            operation: What to do.
            timeout_s: How long it may wait in the queue before it is dropped.

        Raises:
            InvalidRequestError: The operation breaks a rule of form.
            KeyReusedError: Its key names an operation with other content.
            OverloadedError: Too much waits already.
            UnavailableError: The ledger does not serve.
            DeadlineExceededError: It waited too long.
            InternalError: It cannot be written.
        """
        unit = self._unit(operation)
        [answer] = await self._writer.submit(unit, deadline=_deadline(timeout_s))
        return _told(answer)

    async def submit_group(self, group: Group, *, timeout_s: float | None = None) -> list[Answer]:
        """Runs linked operations of one player: all are applied, or none. Raises as `submit`."""
        answers = await self.submit_batch([group], timeout_s=timeout_s)
        for answer in answers:
            if isinstance(answer, ServiceError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Answer)]

    async def bet_win(self, bet: Bet, win: Win) -> list[Answer]:
        """Takes a stake and pays its win, whole or not at all, in that order.

        Raises:
            InvalidRequestError: Both have one key. Otherwise as `submit`.
        """
        policies = self._writer.policies
        if submission_of(bet, policies).name == submission_of(win, policies).name:
            # Refused before it burns the key.
            raise InvalidRequestError({"win_transaction_id": "must differ from bet_transaction_id"})
        return await self.submit_group(Group((bet, win)))

    async def submit_batch(
        self, batch: Sequence[Operation | Group], *, timeout_s: float | None = None
    ) -> list[Answer | ServiceError]:
        """Runs up to 1,000 operations; those of one player in their order.

        It is admitted whole or not at all. Each operation has its own answer or error, in order,
        those of a group one after the other.

        Raises:
            InvalidRequestError: The batch breaks a rule of form.
            OverloadedError: Too much waits already.
            UnavailableError: The ledger does not serve.
        """
        try:
            validation.check_units(list(batch))
        except validation.InvalidOperationError as error:
            raise _request_error(error) from None
        units = [self._unit(each) for each in batch]
        futures = self._writer.submit_all(units, deadline=_deadline(timeout_s))
        ended = await asyncio.gather(*futures, return_exceptions=True)
        answers: list[Answer | ServiceError] = []
        for unit, answered in zip(units, ended, strict=True):
            if isinstance(answered, ServiceError):
                answers += [answered] * len(unit.submissions)
            elif isinstance(answered, BaseException):
                raise answered
            else:
                answers += [
                    _reused(each) if isinstance(each, Reused) else each for each in answered
                ]
        return answers

    async def get_transfer(self, key: Key, *, kind: Kind | None = None) -> Answer:
        """Tells what is recorded under a key.

        It waits behind what was admitted before it, so "not found" is final for all of that.

        Args:
            key: The key.
            kind: What the operation is, for sources that use one id for several kinds.

        Raises:
            TransferNotFoundError: Nothing is.
            InvalidRequestError: The kind is missing, and the source has such ids.
            UnavailableError: The ledger does not serve.
        """
        try:
            lookup = lookup_of(key, kind, self._writer.policies)
        except validation.InvalidOperationError as error:
            raise _request_error(error) from None
        answers = await self._writer.submit(Unit(lookup=lookup))
        if not answers or isinstance(answers[0], Reused):
            raise TransferNotFoundError(source=key.source, transaction_id=key.id)
        return answers[0]

    @retry_on_race
    async def _sync_currencies(self) -> None:
        await sync_currencies(self._database)

    # Reading.

    async def list_balances(self, player_id: PlayerId) -> list[Balance]:
        """Returns a player's balances as committed, by currency.

        Raises:
            PlayerNotFoundError: The ledger does not know the player.
        """
        balances = await self._reader.find_balances(player_id)
        if balances is None:
            raise PlayerNotFoundError(unpack_id(player_id))
        return balances

    async def get_balance(self, player_id: PlayerId, currency_code: str) -> Balance:
        """Returns one balance as committed.

        Raises:
            PlayerNotFoundError: The ledger does not know the player.
            AccountNotFoundError: The player has no wallet in the currency.
        """
        for balance in await self.list_balances(player_id):
            if balance.currency_code == currency_code:
                return balance
        raise AccountNotFoundError(currency_code)

    async def watch_balances(
        self, player_id: PlayerId, *, after_seq: int = 0
    ) -> AsyncGenerator[Balance, None]:
        """Yields a player's balances: those changed after a seq, then each when it changes.

        A reader that is slow misses what lies between, and always gets the newest.

        Raises:
            PlayerNotFoundError: The ledger does not know the player.
            OverloadedError: Too many watch already.
        """
        try:
            with self._notifier.watch(player_id) as watch:
                # Watching begins first, so that no change falls between the two.
                shown: dict[str, int] = {}
                for balance in await self.list_balances(player_id):
                    shown[balance.currency_code] = balance.seq
                    if balance.seq > after_seq or not after_seq:
                        yield balance
                while True:
                    for balance in await watch.take():
                        if balance.seq > shown.get(balance.currency_code, 0):
                            shown[balance.currency_code] = balance.seq
                            yield balance
        except TooManyWatchesError:
            raise OverloadedError(retry_after=_WATCH_RETRY) from None

    async def list_entries(
        self,
        player_id: PlayerId,
        currency_code: str,
        *,
        bucket: Bucket = Bucket.CASH,
        page_size: int = 50,
        token: str = "",
    ) -> EntryPage:
        """Returns entries of one of a player's accounts, newest first.

        Raises:
            PageTokenInvalidError: The token was not made for this account.
        """
        query: list[int | str] = [player_id.hex(), currency_code, int(bucket)]
        position = page_position(token, query=query, shape=(int,))
        size = max(1, min(page_size, PAGE_SIZE_MAX))
        lines = await self._reader.page_entries(
            player_id,
            currency_code,
            bucket,
            before_version=None if position is None else int(position[0]),
            limit=size + 1,
        )
        if len(lines) <= size:
            return EntryPage(lines, "")
        lines = lines[:size]
        return EntryPage(lines, page_token([lines[-1].entry.account_version], query=query))

    # The feed.

    async def get_log_head(self, shard: int = _SHARD) -> LogHead | None:
        """Tells how far a shard's log reaches; None if there is no such shard."""
        return await self._reader.find_log_head(shard)

    async def read_log(
        self, *, after_seq: int, limit: int = _FEED_PAGE, shard: int = _SHARD
    ) -> list[Posting]:
        """Returns transfers with their entries after a seq, in order and without a gap."""
        return await self._reader.page_log(shard, after_seq=after_seq, limit=limit)

    async def wait_for_seq(self, seq: int) -> None:
        """Returns once the log has a transfer of this seq."""
        await self._notifier.wait_beyond(seq - 1)

    def _unit(self, operation: Operation | Group) -> Unit:
        try:
            return unit_of(operation, self._writer.policies)
        except validation.InvalidOperationError as error:
            raise _request_error(error) from None

    async def _sweep(self) -> None:
        """Wakes idle players whose holds or bonuses are due; the writer does the rest.

        If that fails, the next sweep finds them again, or their next operation.
        """
        try:
            self._writer.check()
        except UnavailableError:
            # The writer has said why, and need not every second.
            return
        now = Micros(to_micros(self._clock.now()))
        due = await self._reader.find_due_players(_SHARD, now, limit=_DUE_PLAYERS_MAX)
        if due:
            futures = self._writer.submit_all([Unit(wake=player_id) for player_id in due])
            await asyncio.gather(*futures)


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s


def _told(answer: Answer | Reused) -> Answer:
    if isinstance(answer, Reused):
        raise _reused(answer)
    return answer


def _reused(reused: Reused) -> KeyReusedError:
    key = reused.key
    return KeyReusedError(source=key.source, transaction_id=key.id, fields=reused.fields)


def _request_error(error: validation.InvalidOperationError) -> InvalidRequestError:
    return InvalidRequestError({error.field: error.rule})
