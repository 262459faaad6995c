"""Rounds as the ledger keeps them, recomputed by its own audit."""

from typing import Any

import pytest

from services.kit.database import Database
from services.wallet.domain import Bet, CloseRound, Deposit, Key, OpenWallet, Outcome, Rollback, Win
from services.wallet.service import WalletService
from tests.kit.clock import ManualClock
from tests.wallet.teller import PLAYER, corrected, findings, rows_of


def fields(id_: str, **values: Any) -> dict[str, Any]:
    return {"key": Key("t", "studio", id_), "player_id": PLAYER, "currency_code": "EUR"} | values


@pytest.mark.parametrize("close_round", [False, True])
async def test_a_rollback_that_names_a_round_which_its_bet_did_not_leaves_the_ledger_sound(
    wallet_url: str, clock: ManualClock, close_round: object
) -> None:
    service = WalletService(wallet_url, clock)
    await service.start()
    for operation in (
        OpenWallet(**fields("open")),
        Deposit(amount=100, **fields("deposit")),
        Bet(amount=10, **fields("alone")),
        Bet(amount=20, round_key="r", **fields("bet")),
        Rollback(reference="alone", round_key="r", **fields("undo", close_round=close_round)),
    ):
        answer = await service.submit(operation)
        assert answer.result.outcome is Outcome.APPLIED
    await service.stop()
    database = Database(wallet_url, schema="wallet")
    [played] = await rows_of(database, "round", "round_id")
    assert (played["staked_cash"], played["state"]) == (20, 2 if close_round else 1)
    assert await findings(database) == []
    assert await corrected(database) == 0
    await database.close()


async def test_stakes_and_wins_of_a_round_are_net_of_what_was_taken_back(
    wallet_url: str, clock: ManualClock
) -> None:
    service = WalletService(wallet_url, clock)
    await service.start()
    for operation in (
        OpenWallet(**fields("open")),
        Deposit(amount=100, **fields("deposit")),
        Bet(amount=10, round_key="r", **fields("b1")),
        Bet(amount=20, round_key="r", **fields("b2")),
        Win(amount=50, round_key="r", **fields("w1")),
        Win(amount=7, round_key="r", **fields("w2")),
        Rollback(reference="w1", round_key="r", **fields("undo-w1")),
        Rollback(reference="b2", **fields("undo-b2")),
        CloseRound(round_key="r", **fields("close")),
    ):
        answer = await service.submit(operation)
        assert answer.result.outcome is Outcome.APPLIED
    await service.stop()
    database = Database(wallet_url, schema="wallet")
    [played] = await rows_of(database, "round", "round_id")
    sums = (played["staked_cash"], played["won_cash"], played["wins"], played["state"])
    assert sums == (10, 7, 2, 2)
    assert await findings(database) == []
    await database.close()
