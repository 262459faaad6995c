"""What followers of a restored ledger are told, by the whole service."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.wallet.backup import back_up
from tests.conftest import Connect
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.backups import CLOCK, ignore, restored, scalar, write
from tests.wallet.running import RunningWallet, running_wallet

BACKED_UP = 6
LOST = 4


@pytest.fixture
async def first_incarnation(wallet_url: str, tmp_path: Path) -> str:
    """Loses the last transfers of a ledger; returns the mark that it had before."""
    await write(wallet_url, range(BACKED_UP - 1))
    made = await back_up(wallet_url, tmp_path / "backup.db", clock=CLOCK, tell=ignore)
    await write(wallet_url, range(BACKED_UP - 1 + LOST))
    incarnation = await scalar(wallet_url, "SELECT incarnation FROM shard")
    done = await restored(made.path, wallet_url, replace=True)
    assert (done.last_seq, done.lost) == (BACKED_UP, LOST)
    return str(incarnation)


@pytest.fixture
async def wallet(  # noqa: PLR0917 (fixtures arrive as arguments)
    first_incarnation: str,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    wallet_url: str,
    tmp_path: Path,
) -> AsyncIterator[RunningWallet]:
    del first_incarnation

    def url_of(package: str) -> str:
        return wallet_url if package == "services.wallet" else database_url(package)

    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=url_of,
        folder=tmp_path,
    ) as running:
        yield running


def follow(wallet: RunningWallet, *, after_seq: int, incarnation: str) -> Any:
    stub = feed_service_pb2_grpc.FeedServiceStub(wallet.analytics_channel)
    request = feed_service_pb2.SubscribeRequest(after_seq=after_seq, incarnation=incarnation)
    return stub.Subscribe(request)


@pytest.mark.parametrize("after_seq", [BACKED_UP + LOST, BACKED_UP, 2])
async def test_follower_of_the_lost_log_is_stopped_wherever_it_was(
    wallet: RunningWallet, first_incarnation: str, wallet_url: str, after_seq: int
) -> None:
    stream = follow(wallet, after_seq=after_seq, incarnation=first_incarnation)
    refused = await refusal(stream.read())
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_INCARNATION_CHANGED"
    now = await scalar(wallet_url, "SELECT incarnation FROM shard")
    assert refused.metadata == {"incarnation": now}


async def test_follower_that_saw_nothing_that_is_lost_goes_on_under_the_new_mark(
    wallet: RunningWallet, wallet_url: str
) -> None:
    now = await scalar(wallet_url, "SELECT incarnation FROM shard")
    stream = follow(wallet, after_seq=2, incarnation=now)
    seen: list[int] = []
    while len(seen) < BACKED_UP - 2:
        response = await stream.read()
        assert response.incarnation == now
        seen += [event.seq for event in response.events]
    assert seen == list(range(3, BACKED_UP + 1))
    stream.cancel()


async def test_follower_that_is_ahead_is_stopped_under_the_new_mark_too(
    wallet: RunningWallet, wallet_url: str
) -> None:
    now = await scalar(wallet_url, "SELECT incarnation FROM shard")
    stream = follow(wallet, after_seq=BACKED_UP + 1, incarnation=now)
    refused = await refusal(stream.read())
    assert refused.code is grpc.StatusCode.OUT_OF_RANGE
    assert refused.reason == "ERROR_REASON_SEQ_NOT_AVAILABLE"
    assert refused.metadata == {"first_seq": "1", "last_seq": str(BACKED_UP)}
