"""Page tokens hold positions of one query, and nothing else that somebody writes into them."""

import base64
import hashlib
import json

import pytest

from services.kit.errors import PageTokenInvalidError
from services.kit.paging import page_position, page_token

QUERY = ("rounds", "a player")


def forged(body: str) -> str:
    """A token whose tag is right, as anybody can make who reads the code."""
    bound = json.dumps(list(QUERY), separators=(",", ":")).encode()
    tag = hashlib.blake2b(bound + b"\0" + body.encode(), digest_size=8).digest()
    return base64.urlsafe_b64encode(tag + body.encode()).decode().rstrip("=")


def test_token_holds_its_position() -> None:
    token = page_token([7, "a round"], query=QUERY)
    assert page_position(token, query=QUERY, shape=(int, str)) == [7, "a round"]


def test_forged_token_of_the_right_shape_is_only_a_position() -> None:
    assert page_position(forged("[7]"), query=QUERY, shape=(int,)) == [7]


def test_no_token_is_the_first_page() -> None:
    assert page_position("", query=QUERY, shape=(int,)) is None


def test_token_of_another_query_is_refused() -> None:
    token = page_token([7], query=("rounds", "another player"))
    with pytest.raises(PageTokenInvalidError):
        page_position(token, query=QUERY, shape=(int,))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("[]", id="nothing"),
        pytest.param("[1,2]", id="too much"),
        pytest.param('["1"]', id="a text for a number"),
        pytest.param("[true]", id="a truth for a number"),
        pytest.param("[1.0]", id="a float"),
        pytest.param("[9223372036854775808]", id="beyond 64 bits"),
        pytest.param("[-9223372036854775809]", id="below 64 bits"),
        pytest.param('{"0":1}', id="an object"),
        pytest.param("7", id="no list"),
        pytest.param("rubbish", id="no JSON"),
        pytest.param("[" * 100_000, id="a nest"),
    ],
)
def test_forged_token_of_another_shape_is_refused(body: str) -> None:
    with pytest.raises(PageTokenInvalidError):
        page_position(forged(body), query=QUERY, shape=(int,))


@pytest.mark.parametrize("token", ["!", "a", "AAAA", "é", "A" * 50])
def test_rubbish_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalidError):
        page_position(token, query=QUERY, shape=(int,))
