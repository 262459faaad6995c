from typing import Any

import grpc
import pytest
from croupier.game.v1 import game_service_pb2

from tests.factories import game as factory
from tests.game.house import House
from tests.kit.refusals import told

OPERATOR_CALLS: dict[str, Any] = {
    "CreateProvider": factory.provider(),
    "CreateGame": factory.game(),
    "DisableGame": game_service_pb2.DisableGameRequest(game_id="plinko"),
    "EnableGame": game_service_pb2.EnableGameRequest(game_id="plinko"),
}


async def listed(house: House, **changes: Any) -> Any:
    return await house.games.ListGames(
        game_service_pb2.ListGamesRequest(**changes), metadata=house.login()
    )


async def disable(house: House, game_id: str = "plinko") -> Any:
    request = game_service_pb2.DisableGameRequest(game_id=game_id)
    return (await house.games.DisableGame(request, metadata=house.operator())).game


async def enable(house: House, game_id: str = "plinko") -> Any:
    request = game_service_pb2.EnableGameRequest(game_id=game_id)
    return (await house.games.EnableGame(request, metadata=house.operator())).game


async def test_operator_calls_climb_the_ladder(house: House) -> None:
    for name, request in OPERATOR_CALLS.items():
        call = getattr(house.games, name)
        anonymous = await told(call(request))
        assert anonymous[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"), name
        player = await told(call(request, metadata=house.login()))
        assert player[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED"), name
        cashier = await told(call(request, metadata=house.operator("cashier")))
        assert cashier[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED"), name
    for name, request in OPERATOR_CALLS.items():
        await getattr(house.games, name)(request, metadata=house.operator("admin"))


async def test_provider_is_added(house: House) -> None:
    response = await house.games.CreateProvider(factory.provider(), metadata=house.operator())
    provider = response.provider
    assert (provider.provider_id, provider.display_name) == ("acme", "Acme Games")
    assert provider.launch_address == "127.0.0.1:9"
    assert provider.create_time.ToDatetime(house.clock.now().tzinfo) == house.clock.now()


async def test_provider_added_twice_is_the_first_one(house: House) -> None:
    request = factory.provider()
    first = await house.games.CreateProvider(request, metadata=house.operator())
    house.clock.time = house.clock.time.replace(hour=13)
    assert await house.games.CreateProvider(request, metadata=house.operator()) == first


@pytest.mark.parametrize("changes", [{"display_name": "B"}, {"launch_address": "127.0.0.1:8"}])
async def test_provider_with_other_content_is_refused(house: House, changes: Any) -> None:
    await house.games.CreateProvider(factory.provider(), metadata=house.operator())
    changed = factory.provider(**changes)
    assert await told(house.games.CreateProvider(changed, metadata=house.operator())) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "PROVIDER_EXISTS",
        {"provider_id": "acme"},
    )


@pytest.mark.parametrize("name", ["edge", "game", "player", "security", "wallet", "analytics"])
async def test_provider_named_as_a_service_is_refused(house: House, name: str) -> None:
    request = factory.provider(provider_id=name)
    assert await told(house.games.CreateProvider(request, metadata=house.operator())) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        {"fields": "provider_id"},
    )


@pytest.mark.parametrize(
    "address", ["", "acme.example", "https://acme.example:443", "acme.example:443/x", "a b:1"]
)
async def test_launch_address_is_host_and_port_only(house: House, address: str) -> None:
    request = factory.provider(launch_address=address)
    code, reason, metadata = await told(
        house.games.CreateProvider(request, metadata=house.operator())
    )
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": "launch_address"}


async def test_game_is_added_enabled(house: House) -> None:
    await house.games.CreateProvider(factory.provider(), metadata=house.operator())
    request = factory.game(currency_codes=["USD", "EUR"])
    game = (await house.games.CreateGame(request, metadata=house.operator())).game
    assert (game.game_id, game.provider_id, game.display_name) == ("plinko", "acme", "Plinko")
    assert list(game.currency_codes) == ["EUR", "USD"]
    assert (game.disabled, game.wager_weight_bp) == (False, 5000)


async def test_game_added_twice_is_the_first_one(stocked: House) -> None:
    reordered = factory.game(currency_codes=["USD", "EUR"])
    await disable(stocked)
    again = (await stocked.games.CreateGame(reordered, metadata=stocked.operator())).game
    assert again.disabled
    assert again == await disable(stocked)


@pytest.mark.parametrize(
    "changes",
    [
        {"display_name": "Other"},
        {"currency_codes": ["EUR"]},
        {"wager_weight_bp": 1},
        {"provider_id": "bolt"},
    ],
)
async def test_game_with_other_content_is_refused(stocked: House, changes: Any) -> None:
    changed = factory.game(**changes)
    assert await told(stocked.games.CreateGame(changed, metadata=stocked.operator())) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "GAME_EXISTS",
        {"game_id": "plinko"},
    )


async def test_game_of_an_unknown_provider_is_refused(house: House) -> None:
    request = factory.game(provider_id="nobody")
    assert await told(house.games.CreateGame(request, metadata=house.operator())) == (
        grpc.StatusCode.NOT_FOUND,
        "PROVIDER_NOT_FOUND",
        {"provider_id": "nobody"},
    )


async def test_game_in_an_unknown_currency_is_refused(stocked: House) -> None:
    request = factory.game(game_id="dice", currency_codes=["EUR", "XXY"])
    assert await told(stocked.games.CreateGame(request, metadata=stocked.operator())) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "CURRENCY_UNKNOWN",
        {"currency_code": "XXY"},
    )


async def test_game_is_disabled_and_enabled_any_number_of_times(stocked: House) -> None:
    assert (await disable(stocked)).disabled
    assert (await disable(stocked)).disabled
    assert list((await listed(stocked)).games) == []
    assert not (await enable(stocked)).disabled
    assert not (await enable(stocked)).disabled
    assert [game.game_id for game in (await listed(stocked)).games] == ["plinko"]


async def test_unknown_game_is_neither_disabled_nor_enabled(stocked: House) -> None:
    expected = (grpc.StatusCode.NOT_FOUND, "GAME_NOT_FOUND", {"game_id": "chess"})
    assert await told(disable(stocked, "chess")) == expected
    assert await told(enable(stocked, "chess")) == expected


async def test_games_are_listed_by_name_and_page_by_page(stocked: House) -> None:
    names = {"dice": "Ärger", "mines": "Plinko", "wheel": "Mines", "keno": "Z" * 100}
    for game_id, display_name in names.items():
        request = factory.game(game_id=game_id, display_name=display_name)
        await stocked.games.CreateGame(request, metadata=stocked.operator())
    await stocked.games.CreateGame(
        factory.game(game_id="long-name", display_name="名" * 100), metadata=stocked.operator()
    )
    whole = [game.game_id for game in (await listed(stocked)).games]
    assert whole[:3] == ["wheel", "mines", "plinko"]
    assert sorted(whole) == ["dice", "keno", "long-name", "mines", "plinko", "wheel"]
    paged: list[str] = []
    token = ""
    for _ in range(6):
        page = await listed(stocked, page_size=1, page_token=token)
        paged += [game.game_id for game in page.games]
        token = page.next_page_token
    assert token == ""
    assert paged == whole


async def test_page_token_of_elsewhere_is_refused(stocked: House) -> None:
    code, reason, _ = await told(listed(stocked, page_token="made-up"))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_games_are_for_players_only(stocked: House) -> None:
    request = game_service_pb2.ListGamesRequest()
    anonymous = await told(stocked.games.ListGames(request))
    assert anonymous[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    operator = await told(stocked.games.ListGames(request, metadata=stocked.operator()))
    assert operator[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
