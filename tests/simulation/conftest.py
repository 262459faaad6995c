import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples",
        type=int,
        default=1,
        help="How many times as many histories the state machine of the ledger tries.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    times = int(config.getoption("--examples", default=1))
    for item in items:
        if times > 1 and "test_the_engine_and_the_model_agree" in item.name:
            item.add_marker(pytest.mark.timeout(300 * times), append=False)
