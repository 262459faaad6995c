from datetime import UTC, datetime

import pytest

from services.game.domain import (
    GameId,
    GameSession,
    GameSessionId,
    LoginSessionId,
    Play,
    PlayerId,
    ProviderId,
    SessionState,
    TokenHash,
)
from services.game.session_cache import SessionCache


def hashed(name: str) -> TokenHash:
    return TokenHash(name.encode())


def play(name: str, *, player: str = "p", game: str = "g", login: str = "l") -> Play:
    return Play(
        session=GameSession(
            game_session_id=GameSessionId(name),
            player_id=PlayerId(player),
            game_id=GameId(game),
            provider_id=ProviderId("acme"),
            currency_code="EUR",
            login_session_id=LoginSessionId(login),
            state=SessionState.OPEN,
            create_time=datetime(2027, 1, 1, tzinfo=UTC),
            expire_time=datetime(2027, 1, 2, tzinfo=UTC),
        ),
        game_disabled=False,
        wager_weight_bp=10_000,
    )


def filled(plays_max: int = 10) -> SessionCache:
    cache = SessionCache(plays_max)
    for name, found in PLAYS.items():
        cache.put(hashed(name), found, mark=cache.mark())
    return cache


PLAYS = {
    "a": play("a"),
    "b": play("b", game="h"),
    "c": play("c", player="q", login="m"),
}


def held(cache: SessionCache) -> set[str]:
    return {name for name in PLAYS if cache.find(hashed(name)) is not None}


def test_what_was_put_is_found() -> None:
    assert filled().find(hashed("a")) == PLAYS["a"]
    assert filled().find(hashed("x")) is None


def test_each_change_forgets_what_it_touches() -> None:
    cache = filled()
    cache.forget_login(LoginSessionId("l"))
    assert held(cache) == {"c"}
    cache = filled()
    cache.forget_player_at_game(PlayerId("p"), GameId("g"))
    assert held(cache) == {"b", "c"}
    cache = filled()
    cache.forget_game(GameId("g"))
    assert held(cache) == {"b"}


def test_lookup_that_began_before_a_change_stores_nothing() -> None:
    cache = filled()
    mark = cache.mark()
    cache.forget_login(LoginSessionId("l"))
    cache.put(hashed("a"), PLAYS["a"], mark=mark)
    assert cache.find(hashed("a")) is None
    cache.put(hashed("a"), PLAYS["a"], mark=cache.mark())
    assert cache.find(hashed("a")) == PLAYS["a"]


def test_least_recently_used_goes_first() -> None:
    cache = filled(2)
    assert held(cache) == {"b", "c"}
    cache.find(hashed("b"))
    cache.put(hashed("a"), PLAYS["a"], mark=cache.mark())
    assert held(cache) == {"a", "b"}


@pytest.mark.parametrize("plays_max", [0, 1, 3])
def test_cache_never_holds_more_than_its_bound_nor_remembers_what_is_gone(plays_max: int) -> None:
    cache = SessionCache(plays_max)
    for number in range(50):
        name = f"s-{number}"
        cache.put(hashed(name), play(name, login=name, game=f"g-{number}"), mark=cache.mark())
        assert len(cache._plays) <= plays_max
        assert len(cache._scopes) <= 3 * plays_max
    for number in range(50):
        cache.forget_login(LoginSessionId(f"s-{number}"))
    assert cache._plays == {}
    assert cache._scopes == {}
