"""The writer of a shard."""

import asyncio
import dataclasses
import enum
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import structlog

from services.kit.clock import SteadyClock
from services.kit.errors import DeadlineExceededError, InternalError, UnavailableError
from services.wallet.domain.book import Book, KeyName
from services.wallet.domain.chain import Batch, seal
from services.wallet.domain.checks import InvariantViolationError, check_batch
from services.wallet.domain.planner import Planner, Unit, needs_of
from services.wallet.domain.policy import Policies
from services.wallet.domain.result import Answer, Reused
from services.wallet.domain.values import Micros
from services.wallet.store import (
    Balance,
    CommitUnknownError,
    ConnectionLostError,
    DeposedError,
    LeaseTakenError,
    LostUpdateError,
    RaceLostError,
    Recorder,
    RowExistsError,
    Session,
    ShardState,
    ShardStore,
)
from services.wallet.writer.admission import Queue, Waiting, WriterOptions
from services.wallet.writer.ledger_time import ClockAheadError, LedgerTime
from services.wallet.writer.notifier import Notifier
from services.wallet.writer.telemetry import BatchReport, OnBatch

_log = structlog.get_logger()
_DEPENDENCY = "ledger"
_CLOCK = "ledger (clock)"
_TRIES_MAX = 3
_RECONNECTS_MAX = 5
_RECONNECT_PAUSE_S = 0.1
_RECONNECT_PAUSE_MAX_S = 1.0
_LEASE_PAUSE_S = 0.2
_QUARANTINED_MAX = 10_000
# How many units are planned between two looks at the clock.
_PLANNED_AT_ONCE = 16
# How many passes of the loop in which nobody comes end the wait for those who have arrived; a
# request needs several from its socket to the queue. And how many passes there are in all.
_GATHER_IDLE_PASSES = 16
_GATHER_PASSES_MAX = 64


class WriterState(enum.Enum):
    """What a writer is doing."""

    NEW = "new"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"
    """It was told to stop."""
    DEPOSED = "deposed"
    """Another writer has taken the shard. Only a new one, with a reign of its own, can serve."""
    HALTED = "halted"
    """A promise of the ledger would have been broken. A human must look, so nothing starts it
    again by itself."""


class _HaltError(Exception):
    """The writer must not go on."""

    def __init__(self, state: WriterState) -> None:
        super().__init__(state.value)
        self.state = state


class Writer:
    """Decides all operations of one shard, in order, and commits them in batches.

    A batch takes all that waits, so load makes batches grow and an idle ledger answers at once.
    No answer leaves before its batch is durable.
    """

    def __init__(
        self,
        session: Session,
        *,
        shard: int,
        clock: SteadyClock,
        notifier: Notifier,
        options: WriterOptions,
        on_batch: OnBatch | None = None,
    ) -> None:
        self._store = ShardStore(session, shard=shard)
        self._time = LedgerTime(clock, ahead_max=options.clock_ahead_max)
        self._notifier = notifier
        self._options = options
        self._on_batch = on_batch
        self._queue = Queue(options)
        self._quarantine: dict[KeyName, float] = {}
        self._alone = True
        self._task: asyncio.Task[None] | None = None
        self._state = WriterState.NEW
        self._head = ShardState(shard, 0, "", 0, 0, b"", Micros(0))
        self.policies = Policies([])

    @property
    def state(self) -> WriterState:
        """What the writer is doing."""
        return self._state

    @property
    def depth(self) -> int:
        """How many operations wait."""
        return self._queue.depth

    async def start(self) -> None:
        """Takes the shard and begins to serve.

        Raises:
            LeaseTakenError: Another process kept it for all of `lease_wait`.
        """
        self._head = await self._begin_reign()
        self.policies = await self._store.load_policies()
        self._notifier.publish(self._head.last_seq, ())
        self._time.begin(self._head.last_time)
        self._state = WriterState.SERVING
        self._task = asyncio.create_task(self._serve(), name=f"ledger-writer-{self._store.shard}")

    async def stop(self, grace: timedelta) -> None:
        """Refuses new work, commits and answers what was admitted, and gives the shard up."""
        if self._state is WriterState.SERVING:
            self._state = WriterState.DRAINING
        self._queue.wake()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace.total_seconds())
            for task in late:
                task.cancel()
                await asyncio.wait({task})
        self._fail_waiting()
        await self._store.close()
        if self._state is WriterState.DRAINING:
            self._state = WriterState.STOPPED

    def check(self) -> None:
        """Raises while nothing can be written, which is not for what a single batch meets.

        Raises:
            UnavailableError: Names what the writer is doing, or its clock.
        """
        if self._state is not WriterState.SERVING:
            raise UnavailableError(dependency=f"{_DEPENDENCY} ({self._state.value})")
        try:
            self._time.check()
        except ClockAheadError:
            raise UnavailableError(dependency=_CLOCK) from None

    async def wait_ended(self) -> WriterState:
        """Returns once the writer serves no more and all that waited is answered."""
        if self._task is not None:
            await asyncio.wait({self._task})
        return self._state

    def submit(
        self, unit: Unit, *, deadline: float | None = None
    ) -> asyncio.Future[list[Answer | Reused]]:
        """Takes a unit in and returns the future of its answers.

        Args:
            unit: The operation, or the linked group.
            deadline: By the loop's clock. A unit that is still waiting then is dropped; one that
                is being written is not.

        Raises:
            OverloadedError: Too much waits already.
            UnavailableError: The writer does not serve.
        """
        return self.submit_all([unit], deadline=deadline)[0]

    def submit_all(
        self, units: list[Unit], *, deadline: float | None = None
    ) -> list[asyncio.Future[list[Answer | Reused]]]:
        """Takes several units in, all or none, one right after the other.

        A unit with a key in quarantine is answered with InternalError and harms no other.

        Raises:
            OverloadedError: Too much waits already.
            UnavailableError: The writer does not serve.
        """
        if self._state is not WriterState.SERVING:
            raise UnavailableError(dependency=_DEPENDENCY)
        loop = asyncio.get_running_loop()
        waiting = [
            Waiting(
                unit=unit,
                answer=loop.create_future(),
                deadline=deadline,
                size=max(len(unit.submissions), 1),
            )
            for unit in units
        ]
        barred = [each for each in waiting if self._quarantine and self._is_barred(each.unit)]
        self._queue.admit([each for each in waiting if each not in barred] if barred else waiting)
        for each in barred:
            each.answer.set_exception(_internal_error(each.unit))
        return [each.answer for each in waiting]

    # Serving.

    async def _serve(self) -> None:
        try:
            while self._queue.depth or self._state is WriterState.SERVING:
                await self._queue.wait()
                await self._gather()
                batch = self._drop_late(self._queue.take())
                self._alone = len(batch) == 1
                if batch:
                    try:
                        await self._process(batch)
                    finally:
                        # Whoever is left over, a half that was not begun when the other one
                        # brought the writer to a halt, must not wait for ever.
                        _fail(batch)
        except _HaltError as halt:
            self._state = halt.state
        except Exception as error:  # noqa: BLE001 (a writer that has failed must not look alive)
            self._state = self._halt(error).state
        finally:
            self._fail_waiting()

    async def _gather(self) -> None:
        """Lets those in who have arrived already, and whom the busy loop has not come to yet.

        Without it a batch begins with the first of them and its fixed cost is borne by few. It
        ends when nobody has come for some passes of the loop; no timer, so an idle loop is through
        in microseconds, and a caller alone goes at once.
        """
        depth = self._queue.depth
        if depth == 1 and self._alone:
            return
        idle = 0
        for _ in range(_GATHER_PASSES_MAX):
            await asyncio.sleep(0)
            idle = idle + 1 if self._queue.depth == depth else 0
            depth = self._queue.depth
            if idle == _GATHER_IDLE_PASSES or depth >= self._options.batch_max:
                return

    async def _process(self, batch: list[Waiting]) -> None:
        """Commits a batch and answers it.

        A batch that fails for a reason of its own is halved until the one unit that cannot be
        written stands alone; the others commit. Halves stay in order.
        """
        durable = self._head.last_batch
        try:
            await self._commit(batch)
        except (_HaltError, asyncio.CancelledError):
            _fail(batch)
            raise
        except Exception as error:
            if self._head.last_batch != durable:
                # It came after the COMMIT: nobody may be told that nothing was stored.
                raise self._halt(error) from error
            # Whatever it is, one unit of the batch causes it.
            await self._store.rollback()
            if len(batch) == 1:
                self._quarantine_unit(batch[0], error)
                return
            middle = len(batch) // 2
            await self._process(batch[:middle])
            await self._process(batch[middle:])

    async def _commit(self, batch: list[Waiting]) -> None:
        """Tries a batch again after lost races and lost connections, a bounded number of times.

        Raises:
            RowExistsError: The last try too found a row that it was to add. No race is lost so
                often: some unit of the batch can never be written.
        """
        failure: Exception | None = None
        try:
            for _ in range(_TRIES_MAX):
                failure = await self._attempt(batch)
                if failure is None:
                    return
        except ClockAheadError:
            # It comes before anything else of a try.
            _fail(batch, _CLOCK)
            return
        except DeposedError:
            await self._store.rollback()
            _log.error("ledger deposed", shard=self._store.shard)
            raise _HaltError(WriterState.DEPOSED) from None
        except (InvariantViolationError, LostUpdateError) as error:
            await self._store.rollback()
            raise self._halt(error) from error
        if isinstance(failure, RowExistsError):
            raise failure
        _fail(batch)

    async def _attempt(self, batch: list[Waiting]) -> Exception | None:
        """Tries a batch once. Returns None if it is done, else why nothing of it was recorded."""
        try:
            await self._run(batch)
        except RaceLostError as error:
            await self._store.rollback()
            return error
        except ConnectionLostError as error:
            _log.warning("ledger lost its connection", shard=self._store.shard, error=repr(error))
            await self._reconnect(tries=_RECONNECTS_MAX)
            return error
        return None

    async def _run(self, batch: list[Waiting]) -> None:
        head = self._head
        began = time.perf_counter()
        now = self._time.stamp(head.last_time)
        traces = self._traces_of(batch)
        recorder = Recorder([]) if traces else None
        self._store.record(recorder)
        await self._store.begin_batch(epoch=head.epoch, batch_no=head.last_batch + 1)
        loaded = await self._store.load(needs_of(each.unit for each in batch))
        book = Book(
            loaded,
            self.policies,
            shard=head.shard,
            next_seq=head.last_seq + 1,
            now=now,
        )
        answers = await self._plan(book, batch)
        if book.transfers:
            await self._write(book)
        else:
            # Replays and questions only: nothing is new, so nothing needs to be made durable.
            await self._store.end_reading()
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        operations = sum(each.size for each in batch)
        self._queue.measure(operations, time.perf_counter() - began)
        if recorder is not None:
            self._report(BatchReport(traces, tuple(recorder.timings), operations))

    def _report(self, report: BatchReport) -> None:
        if self._on_batch is None:
            return
        try:
            self._on_batch(report)
        except Exception:  # noqa: BLE001 (the batch is durable; a listener must not undo that)
            _log.exception("listener of batches failed", shard=self._store.shard)

    async def _plan(self, book: Book, batch: list[Waiting]) -> list[list[Answer | Reused]]:
        """Decides the units in order, with a pause after each slice for the rest of the loop."""
        planner = Planner(book)
        slice_s = self._options.slice_max.total_seconds()
        slice_ends = time.perf_counter() + slice_s
        answers: list[list[Answer | Reused]] = []
        for waiting in batch:
            answers.append(planner.plan(waiting.unit))
            if len(answers) % _PLANNED_AT_ONCE == 0 and time.perf_counter() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.perf_counter() + slice_s
        return answers

    async def _write(self, book: Book) -> None:
        head = self._head
        check_batch(book)
        batch = seal(
            shard=head.shard,
            batch_no=head.last_batch + 1,
            epoch=head.epoch,
            transfers=book.transfers,
            entries=book.entries,
            prev_hash=head.head_hash,
        )
        await self._store.write(book, batch)
        try:
            await self._store.commit()
        except CommitUnknownError as error:
            _log.warning("commit in doubt", shard=self._store.shard, error=repr(error))
            await self._resolve(batch)
        # The writer's memory moves only now that the batch is durable.
        self._head = dataclasses.replace(
            head,
            last_seq=batch.last_seq,
            last_batch=batch.batch_no,
            head_hash=batch.hash,
            last_time=batch.create_time,
        )
        self._store.remember(book)
        if book.policies_set:
            self.policies = book.policies
            sources = {(each.tenant, each.source) for each in book.policies_set}
            self._queue.renew(self.policies, sources)
        self._notifier.publish(batch.last_seq, _changed_balances(book))

    # Trouble.

    async def _resolve(self, batch: Batch) -> None:
        """Finds out whether a batch was committed. It never guesses, however long that takes.

        Raises:
            RaceLostError: It was not, and may be planned again.
        """
        await self._reconnect(doubt=batch)
        if self._head.last_batch != batch.batch_no:
            message = "the commit did not arrive"
            raise RaceLostError(message)

    async def _reconnect(self, *, tries: int | None = None, doubt: Batch | None = None) -> None:
        """Connects again and makes sure that this writer still reigns.

        Args:
            tries: How often it may fail; None is for ever. What cannot be reached then may be
                later.
            doubt: The batch of which nobody knows whether it was committed.

        Raises:
            DeposedError: Another writer has taken the shard.
        """
        began = time.monotonic()
        failed = waited = 0
        while tries is None or failed < tries:
            try:
                state = await self._store.reopen()
            except (ConnectionLostError, RaceLostError) as error:
                # The transaction that was lost may still hold the shard's row for a while.
                _log.warning("ledger not reached", shard=self._store.shard, error=repr(error))
                failed += 1
            except LeaseTakenError:
                # The server may not have noticed yet that the old connection is gone. It is
                # reached, so this is no failure: either it lets go, or somebody else has it.
                if time.monotonic() - began > self._options.lease_wait.total_seconds():
                    raise DeposedError from None
            except Exception as error:
                # No operation is to blame for it, and what was sent to COMMIT is still in doubt.
                raise self._halt(error) from error
            else:
                self._head = self._agree(state, doubt)
                return
            waited += 1
            await asyncio.sleep(min(_RECONNECT_PAUSE_S * waited, _RECONNECT_PAUSE_MAX_S))

    def _halt(self, error: Exception) -> _HaltError:
        _log.critical(
            "ledger halted",
            shard=self._store.shard,
            advice="it takes nothing more until a human has looked: run `./scripts/ledger verify`,"
            " and start the wallet again only when it is known what happened",
            exc_info=error,
        )
        return _HaltError(WriterState.HALTED)

    def _agree(self, found: ShardState, doubt: Batch | None) -> ShardState:
        """Compares what the database holds with what this writer last knew."""
        head = self._head
        if found.epoch != head.epoch:
            raise DeposedError
        as_known = (found.last_batch, found.head_hash) == (head.last_batch, head.head_hash)
        committed = doubt is not None and (found.last_batch, found.head_hash) == (
            doubt.batch_no,
            doubt.hash,
        )
        if not as_known and not committed:
            raise DeposedError
        return found

    def _quarantine_unit(self, waiting: Waiting, error: Exception) -> None:
        _log.error("operation not written", shard=self._store.shard, exc_info=error)
        until = asyncio.get_running_loop().time() + self._options.quarantine.total_seconds()
        for submission in waiting.unit.submissions:
            if len(self._quarantine) >= _QUARANTINED_MAX:
                del self._quarantine[next(iter(self._quarantine))]
            self._quarantine[submission.name] = until
        if not waiting.answer.done():
            waiting.answer.set_exception(_internal_error(waiting.unit))

    def _is_barred(self, unit: Unit) -> bool:
        """Tells whether a key of the unit is in quarantine."""
        now = asyncio.get_running_loop().time()
        for submission in unit.submissions:
            until = self._quarantine.get(submission.name)
            if until is None:
                continue
            if now < until:
                return True
            del self._quarantine[submission.name]
        return False

    def _drop_late(self, batch: list[Waiting]) -> list[Waiting]:
        """Drops units whose caller has gone or whose deadline has passed: nothing was planned."""
        now = asyncio.get_running_loop().time()
        in_time = []
        for waiting in batch:
            if waiting.answer.done():
                continue
            if waiting.deadline is not None and waiting.deadline <= now:
                waiting.answer.set_exception(DeadlineExceededError())
            else:
                in_time.append(waiting)
        return in_time

    def _fail_waiting(self) -> None:
        while left := self._queue.take():
            _fail(left)

    # Beginning.

    async def _begin_reign(self) -> ShardState:
        began = time.monotonic()
        while True:
            try:
                return await self._store.begin_reign()
            except LeaseTakenError:
                if time.monotonic() - began > self._options.lease_wait.total_seconds():
                    raise
            await asyncio.sleep(_LEASE_PAUSE_S)

    def _traces_of(self, batch: list[Waiting]) -> tuple[Any, ...]:
        if self._on_batch is None:
            return ()
        return tuple(
            submission.operation.trace
            for waiting in batch
            for submission in waiting.unit.submissions
            if submission.operation.trace is not None
        )


def _internal_error(unit: Unit) -> InternalError:
    ids = (submission.operation.key.id for submission in unit.submissions)
    return InternalError(request_id=next(ids, ""))


def _fail(batch: Iterable[Waiting], dependency: str = _DEPENDENCY) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(UnavailableError(dependency=dependency))


def _changed_balances(book: Book) -> Iterator[Balance]:
    """Tells the balances of the wallets that a batch changed. Read only if somebody watches."""
    latest = {entry.account_id: entry.seq for entry in book.entries}
    for (player_id, currency_code), wallet in book.wallets.items():
        accounts = (wallet.cash, wallet.bonus, wallet.locked)
        seqs = [latest[each.account_id] for each in accounts if each.account_id in latest]
        if seqs:
            yield Balance(
                player_id=player_id,
                currency_code=currency_code,
                cash=wallet.cash.available,
                bonus=wallet.bonus.available,
                locked=wallet.locked.available,
                pending_out=sum(each.debits_pending for each in accounts),
                pending_in=sum(each.credits_pending for each in accounts),
                seq=max(seqs),
            )
