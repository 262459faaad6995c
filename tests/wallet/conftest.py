from collections.abc import Callable

import pytest


@pytest.fixture
def wallet_url(database_url: Callable[[str], str]) -> str:
    """The address of a fresh, migrated wallet database."""
    return database_url("services.wallet")
