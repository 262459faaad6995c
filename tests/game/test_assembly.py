import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from croupier.game.v1 import game_pb2, launch_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.game.__main__ import build
from services.game.clients import ProviderClient
from services.game.domain import (
    GameId,
    Launch,
    LoginSessionId,
    PlayerId,
    PlayerSummary,
    Provider,
    ProviderId,
    RoundState,
    SessionState,
    new_session_token,
)
from services.game.errors import ProviderUnavailableError
from services.game.servicer import messages
from services.kit import migrations
from services.kit.errors import RemoteError
from tests.factories import game as factory
from tests.game.doubles import LaunchDouble
from tests.game.house import House
from tests.kit.clock import ManualClock
from tests.kit.postgres import shared_server
from tests.kit.waiting import until

TIMEOUT = timedelta(seconds=20)


async def test_sqlite_file_is_made_at_start(closed_house: House, tmp_path: Path) -> None:
    await closed_house.start_neighbours()
    await closed_house.start_game(database_url=f"sqlite+aiosqlite:///{tmp_path}/new/game.db")
    await closed_house.stock()


@pytest.mark.postgresql
async def test_postgresql_is_migrated_only_if_settings_say_so(closed_house: House) -> None:
    url = shared_server().create_database(f"empty_{uuid4().hex}")
    await closed_house.start_neighbours()
    with pytest.raises(migrations.NotMigratedError):
        async with AsyncExitStack() as stack:
            await build(closed_house.settings(database_url=url), stack)
    await closed_house.start_game(database_url=url, migrate=True)
    await closed_house.stock()


async def test_server_is_healthy_while_the_wallet_is_away_and_not_once_its_log_is_another(
    stocked: House,
) -> None:
    health = health_pb2_grpc.HealthStub(stocked.connect(stocked.port, to="game", as_service="edge"))

    async def serving() -> bool:
        answer = await health.Check(health_pb2.HealthCheckRequest())
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    token = await stocked.launch()
    await stocked.place_bet(token)
    await stocked.followed()
    port = int(stocked.addresses["wallet"].rpartition(":")[2])
    await stocked.servers["wallet"].stop()
    assert await serving()
    stocked.wallet.log.incarnation = "another"
    await stocked.start_wallet(port=port)

    async def stopped() -> bool:
        return not await serving()

    await until(stopped, seconds=30)


def test_every_state_has_its_message() -> None:
    sessions = set(game_pb2.GameSession.State.values()) - {0}
    assert {messages._SESSION_STATES[state] for state in SessionState} == sessions
    rounds = set(game_pb2.Round.State.values()) - {0}
    assert {messages._ROUND_STATES[state] for state in RoundState} == rounds


# The channels to providers.

LAUNCH = Launch(
    player_id=PlayerId(factory.PLAYER_ID),
    login_session_id=LoginSessionId(factory.OTHER_PLAYER_ID),
    game_id=GameId("plinko"),
    currency_code="EUR",
    locale="",
    return_url="",
)
PLAYER = PlayerSummary(
    player_id=PlayerId(factory.PLAYER_ID), country_code="MT", currency_code="EUR"
)


async def test_provider_that_is_let_go_answers_the_launch_under_way(
    closed_house: House, authority: DevelopmentAuthority, clock: ManualClock
) -> None:
    """One channel at the most, and a second provider is called meanwhile."""
    add = launch_service_pb2_grpc.add_LaunchServiceServicer_to_server
    doubles = {"acme": LaunchDouble(), "bolt": LaunchDouble()}
    for name, double in doubles.items():
        await closed_house.start(name, (add, double))
    client = ProviderClient(identity=authority.identity("game"), timeout=TIMEOUT, channels_max=1)

    async def open_game(name: str) -> str:
        provider = Provider(
            provider_id=ProviderId(name),
            display_name=name,
            launch_address=closed_house.addresses[name],
            create_time=clock.now(),
        )
        return await client.open_game(
            provider, launch=LAUNCH, token=new_session_token(), player=PLAYER
        )

    doubles["acme"].held = asyncio.Event()
    slow = asyncio.ensure_future(open_game("acme"))
    await asyncio.wait_for(doubles["acme"].entered.wait(), 10)
    assert (await open_game("bolt")).startswith("https://")
    assert len(client._peers) == 1
    doubles["acme"].held.set()
    assert (await slow).startswith("https://")
    assert (await open_game("acme")).startswith("https://")
    await client.close()


async def test_what_a_provider_says_about_a_token_is_not_logged(
    closed_house: House,
    authority: DevelopmentAuthority,
    clock: ManualClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    double = LaunchDouble()
    add = launch_service_pb2_grpc.add_LaunchServiceServicer_to_server
    await closed_house.start("acme", (add, double))
    client = ProviderClient(identity=authority.identity("game"), timeout=TIMEOUT)
    token = new_session_token()
    double.failure = RemoteError(
        code=grpc.StatusCode.PERMISSION_DENIED, reason="NO", message=f"bad {token}", metadata={}
    )
    provider = Provider(
        provider_id=ProviderId("acme"),
        display_name="Acme",
        launch_address=closed_house.addresses["acme"],
        create_time=clock.now(),
    )
    with pytest.raises(ProviderUnavailableError):
        await client.open_game(provider, launch=LAUNCH, token=token, player=PLAYER)
    await client.close()
    logged = [line for line in capsys.readouterr().out.splitlines() if "did not open" in line]
    assert len(logged) == 1
    assert token not in logged[0]
    assert "[redacted]" in logged[0]
