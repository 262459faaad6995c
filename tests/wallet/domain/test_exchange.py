"""What an amount buys: whole units, rounded down, and the rest told to the digit."""

import pytest

from services.kit.money import Money
from services.wallet.domain.exchange import exchange


@pytest.mark.parametrize(
    ("given", "minor_units", "to", "rate", "received", "rest"),
    [
        ("EUR", 100, "USD", "1.1", 110, "0"),
        ("EUR", 1, "USD", "1.19", 1, "0.19"),
        ("EUR", 333, "USD", "0.333", 110, "0.889"),
        ("EUR", 1, "USD", "0.001", 0, "0.001"),
        ("EUR", 199, "USD", "1", 199, "0"),
        ("EUR", 100, "JPY", "160", 160, "0"),
        ("EUR", 1, "JPY", "160", 1, "0.6"),
        ("JPY", 1, "EUR", "0.006", 0, "0.6"),
        ("JPY", 160, "EUR", "0.00625", 100, "0"),
        ("EUR", 100, "USD", "2", 200, "0"),
        ("EUR", 105, "USD", "1.01", 106, "0.05"),
    ],
)
def test_an_amount_buys_whole_units_and_the_rest_is_told(
    given: str, minor_units: int, to: str, rate: str, received: int, rest: str
) -> None:
    bought = exchange(Money(currency_code=given, minor_units=minor_units), to, rate)
    assert bought.received == Money(currency_code=to, minor_units=received)
    assert bought.rounded_off == rest
