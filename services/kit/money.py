"""Amounts of money: integers in a currency's minor unit, and the scale of each currency.

Floats never come near money. An amount that a currency's scale cannot hold is refused, never
rounded in silence.
"""

from dataclasses import dataclass
from enum import StrEnum

MINOR_UNITS_MAX = 10**15
"""The largest single amount: below 2**53, so that a client that reads JSON as doubles is exact."""


class CurrencyKind(StrEnum):
    """What stands behind a currency."""

    FIAT = "fiat"
    CRYPTO = "crypto"
    STABLECOIN = "stablecoin"


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and its scale: one main unit is ``10 ** exponent`` minor units."""

    code: str
    exponent: int
    kind: CurrencyKind


class UnknownCurrencyError(ValueError):
    """A code that is not in the registry."""

    def __init__(self, code: str) -> None:
        """Names the code."""
        super().__init__(f"unknown currency {code!r}")
        self.code = code


# ISO 4217 exponents. ETH and SOL carry 9 decimals, not the chain's 18 or more: 64 bits hold
# 4.6 thousand million ETH in gwei, and only 4.6 in wei once a counter may reach 2**62.
_FIAT = {
    0: "CLP ISK JPY KRW PYG UGX VND XAF XOF",
    2: (
        "AED ALL AMD ARS AUD AZN BAM BDT BGN BRL CAD CHF CNY COP CZK DKK DOP EGP EUR GBP GEL GHS "
        "GTQ HKD HUF IDR ILS INR KES KZT LKR MAD MDL MKD MXN MYR NGN NOK NZD PEN PHP PKR PLN RON "
        "RSD SAR SEK SGD THB TRY TWD TZS UAH USD UYU UZS ZAR ZMW"
    ),
    3: "BHD JOD KWD OMR TND",
}
_CRYPTO = {6: "TRX XRP", 8: "BCH BTC DOGE LTC", 9: "BNB ETH SOL TON"}
_STABLECOIN = {6: "DAI USDC USDT"}


def _registry() -> dict[str, Currency]:
    kinds = (
        (CurrencyKind.FIAT, _FIAT),
        (CurrencyKind.CRYPTO, _CRYPTO),
        (CurrencyKind.STABLECOIN, _STABLECOIN),
    )
    return {
        code: Currency(code=code, exponent=exponent, kind=kind)
        for kind, scales in kinds
        for exponent, codes in scales.items()
        for code in codes.split()
    }


CURRENCIES: dict[str, Currency] = _registry()
"""Every currency that Croupier knows, by code."""


def currency(code: str) -> Currency:
    """Looks a currency up.

    Raises:
        UnknownCurrencyError: The registry does not have it. Codes are upper case.
    """
    found = CURRENCIES.get(code)
    if found is None:
        raise UnknownCurrencyError(code)
    return found


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of a currency. Negative where a balance may be."""

    currency_code: str
    minor_units: int

    def __str__(self) -> str:
        """Renders the amount in main units, as `12.30 EUR`."""
        return f"{to_decimal(self)} {self.currency_code}"


def to_decimal(money: Money) -> str:
    """Renders an amount in main units with all the decimals of its currency, as `-0.05`."""
    exponent = currency(money.currency_code).exponent
    sign = "-" if money.minor_units < 0 else ""
    digits = str(abs(money.minor_units)).rjust(exponent + 1, "0")
    if exponent == 0:
        return f"{sign}{digits}"
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"
