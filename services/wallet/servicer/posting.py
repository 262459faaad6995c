"""PostingService: movements in numbers, in batches and on a stream."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from croupier.wallet.v1 import posting_service_pb2, posting_service_pb2_grpc

from services.kit.errors import InvalidRequestError, ServiceError, UnavailableError, status_of
from services.kit.interceptors.validation import InvalidMessageError
from services.wallet.domain import Answer, Group, Operation
from services.wallet.domain.validation import GROUP_MAX
from services.wallet.messages import result_message
from services.wallet.service import WalletService
from services.wallet.servicer import operations
from services.wallet.servicer.operations import Trace

_BATCH_MAX = 1_000
_UNDER_WAY_MAX = 256
_LAST_WORDS = timedelta(seconds=1)
_CLOSE_TIMEOUT_S = 1.0

_Request = posting_service_pb2.PostStreamRequest
_Response = posting_service_pb2.PostStreamResponse
_Unit = posting_service_pb2.Unit
_Outcome = posting_service_pb2.OperationOutcome


class PostingServicer(posting_service_pb2_grpc.PostingServiceServicer):
    """Translates batches and streams of movements."""

    def __init__(self, service: WalletService, *, last_words: timedelta = _LAST_WORDS) -> None:
        """Takes the ledger.

        Args:
            service: The ledger's use cases.
            last_words: For how long a stream still answers what comes after the server began to
                drain. Then it is ended.
        """
        self._service = service
        self._last_words_s = last_words.total_seconds()
        self._streams: set[_Stream] = set()
        self._draining = False

    def drain(self) -> None:
        """Admits nothing more and ends all streams soon, for `Server.on_drain`."""
        self._draining = True
        for stream in self._streams:
            stream.drain(within_s=self._last_words_s)

    async def PostBatch(
        self, request: posting_service_pb2.PostBatchRequest, context: Any
    ) -> posting_service_pb2.PostBatchResponse:
        """Posts the movements of a batch."""
        del context
        if sum(len(unit.operations) for unit in request.units) > _BATCH_MAX:
            raise InvalidRequestError({"units": f"must hold at most {_BATCH_MAX} movements"})
        trace = operations.running_trace()
        batch = [_unit(unit, trace, f"units[{at}]") for at, unit in enumerate(request.units)]
        answers = await self._service.submit_batch(batch)
        return posting_service_pb2.PostBatchResponse(outcomes=map(_outcome, answers))

    async def PostStream(
        self, request_iterator: AsyncIterator[_Request], context: Any
    ) -> AsyncIterator[_Response]:
        """Posts units as they come."""
        del context
        stream = _Stream(self._service)
        self._streams.add(stream)
        if self._draining:
            stream.drain(within_s=self._last_words_s)
        try:
            async for response in stream.answers(request_iterator):
                yield response
        finally:
            self._streams.discard(stream)


class _Stream:
    """One client's stream: a task reads and submits, the call itself answers in the same order.

    The ledger has one queue, so what was sent first is decided first, whoever's it is.
    """

    def __init__(self, service: WalletService) -> None:
        self._service = service
        self._slots = asyncio.Semaphore(_UNDER_WAY_MAX)
        # No bound of its own: whoever puts something in holds a slot.
        self._pending: asyncio.Queue[tuple[int, asyncio.Task[list[_Outcome]]] | None] = (
            asyncio.Queue()
        )
        # A unit that was admitted goes on when its client has gone, so its task needs an owner.
        self._under_way: set[asyncio.Task[list[_Outcome]]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._draining = False

    def drain(self, *, within_s: float) -> None:
        """Answers UNAVAILABLE to what is read from now on, and stops reading soon."""
        self._draining = True
        asyncio.get_running_loop().call_later(within_s, self._stop_reading)

    async def answers(self, requests: AsyncIterator[_Request]) -> AsyncIterator[_Response]:
        """Yields the answer to each request.

        Raises:
            InvalidRequestError: The client sent what is no request, and cannot be answered.
            UnavailableError: The server drained, and the client had not ended the stream.
        """
        reading = self._reading = asyncio.create_task(self._read(requests), name="posting-stream")
        try:
            while (pending := await self._pending.get()) is not None:
                tag, task = pending
                # Shielded: when the client goes, the unit does not.
                yield _Response(tag=tag, outcomes=await asyncio.shield(task))
                self._slots.release()
            await asyncio.wait({reading})
            if reading.cancelled():
                raise UnavailableError(dependency="ledger (draining)")
            reading.result()
        finally:
            reading.cancel()
            await asyncio.wait({reading}, timeout=_CLOSE_TIMEOUT_S)

    async def _read(self, requests: AsyncIterator[_Request]) -> None:
        trace = operations.running_trace()
        requests = aiter(requests)
        ended = object()
        try:
            while True:
                await self._slots.acquire()
                invalid: InvalidMessageError | None = None
                try:
                    request: Any = await anext(requests, ended)
                except InvalidMessageError as error:
                    invalid, request = error, error.request
                if request is ended:
                    return
                # Tasks begin in the order in which they are made, and so are the units admitted.
                task = asyncio.create_task(self._post(request.unit, trace, invalid))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                self._pending.put_nowait((request.tag, task))
        finally:
            self._pending.put_nowait(None)

    async def _post(
        self, unit: _Unit, trace: Trace, invalid: InvalidMessageError | None
    ) -> list[_Outcome]:
        try:
            if invalid is not None:
                raise invalid
            if self._draining:
                raise UnavailableError(dependency="ledger (draining)")
            answers = await self._service.submit_batch([_unit(unit, trace, "unit")])
        except ServiceError as error:
            return [_outcome(error)] * _outcomes_of(unit)
        return [_outcome(answer) for answer in answers]

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()


def _outcomes_of(unit: _Unit) -> int:
    """Tells how many outcomes an error of a whole unit is told by."""
    count = len(unit.operations)
    return count if 1 <= count <= GROUP_MAX else 1


def _unit(unit: _Unit, trace: Trace, path: str) -> Operation | Group:
    movements = tuple(operations.movement(each, trace) for each in unit.operations)
    if len(movements) == 1:
        return movements[0]
    if len({each.player_id for each in movements}) > 1:
        raise InvalidRequestError({f"{path}.operations": "must be of one player"})
    return Group(movements)


def _outcome(answer: Answer | ServiceError) -> _Outcome:
    if isinstance(answer, ServiceError):
        return _Outcome(error=status_of(answer))
    return _Outcome(result=result_message(answer.result), replayed=answer.replayed)
