import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples",
        type=int,
        default=1,
        help="How many times as many histories the state machine of the ledger tries.",
    )
