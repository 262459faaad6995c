"""Each outcome of the ledger, as it leaves through the servicer."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import error_reason_pb2, wallet_pb2, wallet_service_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.contract import Level
from services.kit.ids import new_id
from services.kit.interceptors.authentication import PeerAuthenticator
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.wallet.domain import (
    Answer,
    Available,
    BonusId,
    HoldId,
    KeyScope,
    Kind,
    LimitFacts,
    LimitKind,
    Micros,
    Operation,
    Outcome,
    Period,
    PlayerId,
    Result,
    Scope,
    pack_id,
)
from services.wallet.servicer import WalletServicer
from tests.conftest import Connect
from tests.kit.refusals import refusal
from tests.wallet.requests import bet, rollback

REFUSALS = [outcome for outcome in Outcome if not outcome.success]
PROTO = Path("protos/croupier/wallet/v1/error_reason.proto")
PLAYER_ID = new_id()
ABOUT_HOLDS = {
    Outcome.HOLD_NOT_FOUND,
    Outcome.HOLD_ALREADY_POSTED,
    Outcome.HOLD_ALREADY_VOIDED,
    Outcome.HOLD_EXPIRED,
    Outcome.CAPTURE_TOO_LARGE,
}
LIMIT = LimitFacts(
    scope=Scope.PLAYER,
    kind=LimitKind.LOSS,
    period=Period.DAY,
    max_amount=10_000,
    used=9_900,
    window_end=None,
)


class LedgerDouble:
    """Has judged each operation already, as the test says."""

    def __init__(self) -> None:
        self.outcome = Outcome.APPLIED

    async def submit(self, operation: Operation) -> Answer:
        result = Result(
            key=operation.key,
            kind=Kind(operation.KIND),
            shard=0,
            seq=7,
            outcome=self.outcome,
            player_id=PlayerId(pack_id(PLAYER_ID)),
            currency_code="EUR",
            amount=1_000,
            bonus_amount=0,
            moved=(),
            available=Available(cash=200, bonus=50, locked=0),
            hold_id=HoldId(pack_id(new_id())) if self.outcome in ABOUT_HOLDS else None,
            bonus_id=BonusId(pack_id(new_id())),
            round_id=None,
            round_state=None,
            original_seq=None,
            reversal_no=None,
            group_no=None,
            wager_delta=0,
            limit=LIMIT if self.outcome is Outcome.LIMIT_REACHED else None,
            shortfall=0,
            settled=False,
            game_id="plinko",
            effective_time=None,
            create_time=Micros(1_700_000_000_000_000),
            detail={"max_bet": 500, "source": "acme", "scope_in_use": int(KeyScope.SOURCE)},
        )
        return Answer(result, replayed=False)


@pytest.fixture
async def ledger(
    authority: DevelopmentAuthority, connect: Connect
) -> AsyncIterator[tuple[LedgerDouble, Any]]:
    identity = authority.identity("wallet")
    settings = ServerSettings(
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        tls_authority=identity.authority,
    )
    double: Any = LedgerDouble()
    streams: Any = None
    servicer = WalletServicer(double, streams)
    async with AsyncExitStack() as stack:
        server = Server(settings, authenticators=dict.fromkeys(Level, PeerAuthenticator()))
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, servicer)
        port = await server.start()
        stack.push_async_callback(server.stop)
        channel = connect(port, to="wallet", as_service="game")
        yield double, wallet_service_pb2_grpc.WalletServiceStub(channel)


def documented(reason: str) -> dict[str, str]:
    """Reads the metadata that the contract shows for a reason."""
    text = PROTO.read_text()
    comment = text[: text.index(f"\n  {reason} =")].rpartition(";\n")[2]
    shown = re.search(r"\{.*\}", comment.replace("//", ""), re.DOTALL)
    assert shown is not None
    metadata: dict[str, str] = json.loads(shown[0])["metadata"]
    return metadata


def test_outcomes_and_reasons_have_the_same_numbers() -> None:
    reasons = {
        value.name.removeprefix("ERROR_REASON_"): value.number
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
        if value.number >= Outcome.TOMBSTONED
    }
    assert reasons == {outcome.name: outcome.value for outcome in REFUSALS}
    outcomes = {
        value.name.removeprefix("OUTCOME_"): value.number
        for value in wallet_pb2.Outcome.DESCRIPTOR.values
        if value.number
    }
    assert outcomes == {outcome.name: outcome.value for outcome in Outcome}


@pytest.mark.parametrize("outcome", REFUSALS, ids=lambda outcome: str(outcome.name))
async def test_refusal_is_told_as_its_contract_shows_it(
    ledger: tuple[LedgerDouble, Any], outcome: Outcome
) -> None:
    double, stub = ledger
    double.outcome = outcome
    reason = f"ERROR_REASON_{outcome.name}"
    shown = documented(reason)
    call = (
        stub.Rollback(rollback(PLAYER_ID, "t-1", transaction_id="t-2"), timeout=20)
        if "reference" in shown
        else stub.Bet(bet(PLAYER_ID, 1_000, "t-2", round_id="r-1"), timeout=20)
    )
    told = await refusal(call)
    assert told.code is grpc.StatusCode.FAILED_PRECONDITION
    assert told.reason == reason
    assert told.metadata.keys() == shown.keys() | {"source", "transaction_id"}
    assert told.metadata["transaction_id"] == "t-2"
    # What the contract shows of amounts, references and the like is what stands above.
    for name, value in shown.items():
        if not name.endswith("_id") or name == "round_id":
            assert told.metadata[name] == value, name
    result = told.detail(wallet_pb2.Result)
    assert wallet_pb2.Outcome.Name(result.outcome) == f"OUTCOME_{outcome.name}"


@pytest.mark.parametrize(
    "outcome",
    [outcome for outcome in Outcome if outcome.success],
    ids=lambda outcome: str(outcome.name),
)
async def test_success_is_an_answer(ledger: tuple[LedgerDouble, Any], outcome: Outcome) -> None:
    double, stub = ledger
    double.outcome = outcome
    answer = await stub.Bet(bet(PLAYER_ID, 1_000), timeout=20)
    assert wallet_pb2.Outcome.Name(answer.result.outcome) == f"OUTCOME_{outcome.name}"
