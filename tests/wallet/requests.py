"""Requests with sane defaults; each test names what matters to it."""

from typing import Any

from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import posting_service_pb2, wallet_service_pb2
from google.rpc import error_details_pb2, status_pb2

from services.kit.ids import new_id
from tests.kit.tokens import TokenIssuer
from tests.wallet.running import RunningWallet


async def funded_player(
    wallet: RunningWallet, tokens: TokenIssuer, minor_units: int = 10_000, *, player_id: str = ""
) -> str:
    """Makes a player with cash in EUR; the usual 100.00."""
    player_id = player_id or new_id()
    await wallet.player.OpenWallet(open_wallet(player_id))
    await wallet.edge.Deposit(deposit(player_id, minor_units), metadata=tokens.operator("cashier"))
    return player_id


def open_wallet(player_id: str, currency_code: str = "EUR") -> Any:
    return wallet_service_pb2.OpenWalletRequest(player_id=player_id, currency_code=currency_code)


def euros(minor_units: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="EUR", minor_units=minor_units)


def deposit(player_id: str, amount: int, **fields: Any) -> wallet_service_pb2.DepositRequest:
    return wallet_service_pb2.DepositRequest(
        **{
            "request_id": new_id(),
            "player_id": player_id,
            "amount": euros(amount),
            "authorization_number": "bank-1",
            **fields,
        }
    )


def bet(player_id: str, minor_units: int, transaction_id: str = "", **fields: Any) -> Any:
    return wallet_service_pb2.BetRequest(
        **{
            "source": "acme",
            "transaction_id": transaction_id or new_id(),
            "player_id": player_id,
            "amount": euros(minor_units),
            "round_id": "round-1",
            "game_id": "plinko",
            "wager_weight_bp": 10_000,
            **fields,
        }
    )


def win(player_id: str, amount: int, transaction_id: str = "", **fields: Any) -> Any:
    return wallet_service_pb2.WinRequest(
        **{
            "source": "acme",
            "transaction_id": transaction_id or new_id(),
            "player_id": player_id,
            "amount": euros(amount),
            "round_id": "round-1",
            "game_id": "plinko",
            **fields,
        }
    )


def bet_win(player_id: str, stake: int, won: int, **fields: Any) -> Any:
    return wallet_service_pb2.BetWinRequest(
        **{
            "source": "acme",
            "bet_transaction_id": new_id(),
            "win_transaction_id": new_id(),
            "player_id": player_id,
            "bet_amount": euros(stake),
            "win_amount": euros(won),
            "round_id": "round-1",
            "game_id": "plinko",
            "wager_weight_bp": 10_000,
            **fields,
        }
    )


def rollback(player_id: str, original: str, **fields: Any) -> Any:
    return wallet_service_pb2.RollbackRequest(
        **{
            "source": "acme",
            "transaction_id": new_id(),
            "player_id": player_id,
            "currency_code": "EUR",
            "original_transaction_id": original,
            "round_id": "round-1",
            "game_id": "plinko",
            **fields,
        }
    )


async def cash(wallet: RunningWallet, player_id: str) -> int:
    request = wallet_service_pb2.GetBalanceRequest(player_id=player_id, currency_code="EUR")
    answer = await wallet.game.GetBalance(request)
    return int(answer.balance.cash_minor_units)


def unit(*requests: Any) -> posting_service_pb2.Unit:
    """One movement, or several that are linked."""
    names = {"BetRequest": "bet", "WinRequest": "win", "RollbackRequest": "rollback"}
    return posting_service_pb2.Unit(
        operations=[
            posting_service_pb2.Operation(**{names[each.DESCRIPTOR.name]: each})
            for each in requests
        ]
    )


def reason_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Finds the reason in the status of one movement."""
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info
