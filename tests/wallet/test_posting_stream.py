"""A stream's bounds and its end, on a real ledger without a network between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from croupier.wallet.v1 import posting_service_pb2

from services.kit.errors import UnavailableError
from services.wallet.domain import Deposit, Key, OpenWallet, Outcome, PlayerId, unpack_id
from services.wallet.service import WalletService
from services.wallet.servicer import PostingServicer
from services.wallet.sources import BACK_OFFICE, TENANT
from tests.kit.clock import ManualClock
from tests.wallet.requests import bet, reason_of, unit

PATIENCE_S = 60
PLAYER = PlayerId(bytes(15) + b"\x01")

_Message = posting_service_pb2.PostStreamRequest


class Sending:
    """A client's side of a stream that counts how far it was read."""

    def __init__(self, units: list[Any], *, ends: bool = True) -> None:
        self._units = units
        self._ends = ends
        self._more = asyncio.Event()
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        for tag, each in enumerate(self._units):
            self.read += 1
            self._more.set()
            yield _Message(tag=tag, unit=each)
        if not self._ends:
            await asyncio.get_running_loop().create_future()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.read < count:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def ledger(wallet_url: str, clock: ManualClock) -> AsyncIterator[WalletService]:
    service = WalletService(wallet_url, clock)
    await service.start()
    for operation in (
        OpenWallet(key=Key(TENANT, BACK_OFFICE, "o"), player_id=PLAYER, currency_code="EUR"),
        Deposit(
            key=Key(TENANT, BACK_OFFICE, "d"), player_id=PLAYER, currency_code="EUR", amount=10_000
        ),
    ):
        await service.submit(operation)
    yield service
    await service.stop()


def stakes(count: int) -> list[Any]:
    return [unit(bet(unpack_id(PLAYER), 1, f"s{number}")) for number in range(count)]


async def balance_of(ledger: WalletService) -> int:
    return (await ledger.get_balance(PLAYER, "EUR")).cash


async def test_server_reads_256_units_ahead_of_its_answers_and_no_further(
    ledger: WalletService,
) -> None:
    sending = Sending(stakes(600))
    stream = PostingServicer(ledger).PostStream(aiter(sending), None)
    assert (await anext(stream)).tag == 0
    await sending.wait_for(256)
    # By the time that all of these are booked, more would have been read if it could be.
    await ledger.wait_for_seq(2 + 256)
    assert sending.read == 256
    tags = [response.tag async for response in stream]
    assert tags == list(range(1, 600))
    assert await balance_of(ledger) == 9_400


async def test_client_that_goes_does_not_undo_what_was_admitted(ledger: WalletService) -> None:
    sending = Sending(stakes(50), ends=False)
    stream: Any = PostingServicer(ledger).PostStream(aiter(sending), None)
    async with aclosing(stream):
        await anext(stream)
        await sending.wait_for(50)
    found = await ledger.get_transfer(Key(TENANT, "acme", "s49"))
    assert found.result.outcome is Outcome.APPLIED
    assert await balance_of(ledger) == 9_950


async def test_units_that_come_while_the_server_drains_are_turned_away(
    ledger: WalletService,
) -> None:
    servicer = PostingServicer(ledger)
    servicer.drain()
    stream = servicer.PostStream(aiter(Sending(stakes(3))), None)
    answers = [response async for response in stream]
    assert [each.tag for each in answers] == [0, 1, 2]
    assert {reason_of(each.outcomes[0].error).reason for each in answers} == {
        "ERROR_REASON_UNAVAILABLE"
    }
    assert await balance_of(ledger) == 10_000


async def test_stream_that_stays_open_ends_when_the_server_drains(ledger: WalletService) -> None:
    servicer = PostingServicer(ledger, last_words=timedelta(0))
    stream = servicer.PostStream(aiter(Sending(stakes(3), ends=False)), None)
    assert [(await anext(stream)).tag for _ in range(3)] == [0, 1, 2]
    servicer.drain()
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(PATIENCE_S):
            await anext(stream)
    assert await balance_of(ledger) == 9_997
