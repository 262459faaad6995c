"""The sessions that bets were last placed in, so that a bet needs no query of its own.

Exact in one process: whatever changes a session or its game forgets it here after its commit and
before it answers. A lookup that read the database before that cannot bring the old state back,
since it may store only what it read if nothing was forgotten in the meantime.
"""

from collections import OrderedDict

from services.game.domain import GameId, LoginSessionId, Play, PlayerId, TokenHash

_Scope = tuple[str, ...]


class SessionCache:
    """At most so many sessions, the least recently used of which goes first."""

    def __init__(self, plays_max: int) -> None:
        """Makes an empty cache.

        Args:
            plays_max: How many it holds; 0 for none.
        """
        self._plays_max = plays_max
        self._plays: OrderedDict[TokenHash, Play] = OrderedDict()
        self._scopes: dict[_Scope, set[TokenHash]] = {}
        self._forgotten = 0

    def mark(self) -> int:
        """Returns what `put` needs, to be taken before the database is read."""
        return self._forgotten

    def find(self, token_hash: TokenHash) -> Play | None:
        """Returns a session with its game, if it is here."""
        found = self._plays.get(token_hash)
        if found is not None:
            self._plays.move_to_end(token_hash)
        return found

    def put(self, token_hash: TokenHash, play: Play, *, mark: int) -> None:
        """Keeps what was read, unless something was forgotten since `mark`."""
        if mark != self._forgotten or not self._plays_max:
            return
        self._plays[token_hash] = play
        self._plays.move_to_end(token_hash)
        for scope in _scopes_of(play):
            self._scopes.setdefault(scope, set()).add(token_hash)
        if len(self._plays) > self._plays_max:
            self._remove(next(iter(self._plays)))

    def forget_login(self, login_session_id: LoginSessionId) -> None:
        """Forgets the sessions of a login session."""
        self._forget(("login", login_session_id))

    def forget_player_at_game(self, player_id: PlayerId, game_id: GameId) -> None:
        """Forgets the sessions of a player at a game."""
        self._forget(("player", player_id, game_id))

    def forget_game(self, game_id: GameId) -> None:
        """Forgets all sessions at a game."""
        self._forget(("game", game_id))

    def _forget(self, scope: _Scope) -> None:
        self._forgotten += 1
        for token_hash in list(self._scopes.get(scope, ())):
            self._remove(token_hash)

    def _remove(self, token_hash: TokenHash) -> None:
        for scope in _scopes_of(self._plays.pop(token_hash)):
            members = self._scopes[scope]
            members.discard(token_hash)
            if not members:
                del self._scopes[scope]


def _scopes_of(play: Play) -> tuple[_Scope, ...]:
    session = play.session
    return (
        ("login", session.login_session_id),
        ("player", session.player_id, session.game_id),
        ("game", session.game_id),
    )
