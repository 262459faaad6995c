from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from croupier.player.v1 import player_pb2
from croupier.wallet.v1 import wallet_pb2

from services.player.domain import Exclusion, IdentityState, Player, Restriction, State
from services.player.servicer import player_message

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
PLAYER = Player(
    player_id="0198c0de-0000-7000-8000-000000000001",
    request_id="0198c0de-0000-7000-8000-000000000002",
    email="erika@example.com",
    email_digest=b"",
    given_name="Erika",
    family_name="Mustermann",
    date_of_birth=date(1990, 8, 12),
    country_code="DE",
    postal_address="Heidestraße 17",
    currency_code="EUR",
    create_time=NOW,
    credential_create_time=NOW,
    wallet_open_time=NOW,
    identity_state=IdentityState.VERIFIED,
    blocked=False,
    exclusion=None,
    restrictions=frozenset(),
    change_number=0,
)


def declared(names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith("_UNSPECIFIED")}


def test_states_are_those_of_the_contract() -> None:
    assert set(State) == declared(player_pb2.Player.State.keys())
    assert set(IdentityState) == declared(player_pb2.Player.IdentityState.keys())
    assert set(Restriction) == declared(wallet_pb2.Restriction.keys())


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.ACTIVE),
        ({"credential_create_time": None}, State.REGISTERING),
        ({"wallet_open_time": None}, State.REGISTERING),
        ({"blocked": True}, State.BLOCKED),
        ({"blocked": True, "wallet_open_time": None}, State.BLOCKED),
    ],
)
def test_state_follows_from_facts(changes: dict[str, object], state: State) -> None:
    player = replace(PLAYER, **changes)  # type: ignore[arg-type] # the row names its fields
    assert player.state is state
    message = player_message(player, now=NOW)
    assert player_pb2.Player.State.Name(message.state) == state


@pytest.mark.parametrize("identity_state", list(IdentityState))
def test_identity_state_is_shown(identity_state: IdentityState) -> None:
    message = player_message(replace(PLAYER, identity_state=identity_state), now=NOW)
    assert player_pb2.Player.IdentityState.Name(message.identity_state) == identity_state


@pytest.mark.parametrize(
    ("end_time", "shown"),
    [(None, True), (NOW + timedelta(microseconds=1), True), (NOW, False)],
)
def test_exclusion_is_shown_while_it_is_in_force(end_time: datetime | None, *, shown: bool) -> None:
    exclusion = Exclusion(start_time=NOW - timedelta(days=1), end_time=end_time)
    message = player_message(replace(PLAYER, exclusion=exclusion), now=NOW)
    assert message.HasField("exclusion") is shown
    assert message.exclusion.HasField("end_time") is (shown and end_time is not None)
