"""Exchange between currencies: exact integers, rounded down, and what that costs is told."""

from dataclasses import dataclass

from services.kit.money import Money, currency


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What an exchange comes to.

    Attributes:
        received: Whole minor units; 0 if the amount is too small to buy one.
        rounded_off: What is missing to the exact product, in minor units of the currency received,
            as a decimal: the house keeps it.
    """

    received: Money
    rounded_off: str


def exchange(given: Money, to_currency_code: str, rate: str) -> Exchanged:
    """Computes what an amount buys.

    Args:
        given: What is paid.
        to_currency_code: What is bought.
        rate: Main units bought by one main unit, as plain digits with at most one point.
    """
    whole, _, fraction = rate.partition(".")
    decimals = currency(given.currency_code).exponent + len(fraction)
    exact = given.minor_units * int(whole + fraction) * 10 ** currency(to_currency_code).exponent
    received, rest = divmod(exact, 10**decimals)
    digits = str(rest).rjust(decimals, "0").rstrip("0") if rest else ""
    return Exchanged(
        received=Money(currency_code=to_currency_code, minor_units=received),
        rounded_off=f"0.{digits}" if digits else "0",
    )
