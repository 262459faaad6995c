"""The call that is being served: who called, until when, and as part of which trace."""

from contextvars import ContextVar
from datetime import datetime
from typing import NamedTuple

import grpc

from services.kit.contract import Method
from services.kit.ids import is_canonical_uuid, new_id


class Caller(NamedTuple):
    """Who called. `service` is always known; the rest depends on the method's level.

    A tuple, since one is made for each call.
    """

    service: str
    """The mesh service at the other end of the connection, by its certificate: `edge`, `game`."""
    subject_id: str = ""
    """The player or operator, by the access token."""
    provider_id: str = ""
    """The game provider, by its API key."""
    roles: frozenset[str] = frozenset()
    """The operator's roles."""
    login_session_id: str = ""
    """The login session of the access token."""
    expire_time: datetime | None = None
    """When the access token expires."""
    client_address: str = ""
    """The client's address, as the edge saw it."""


class Call:
    """One call on its way through the interceptors."""

    __slots__ = ("_request_id", "caller", "context", "deadline", "metadata", "method")

    def __init__(
        self,
        method: Method,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> None:
        """Reads the metadata once; keys are lower case, and of a repeated key the last counts."""
        self.method = method
        self.context = context
        self.metadata: dict[str, str | bytes] = dict(context.invocation_metadata() or ())
        self.caller: Caller | None = None
        self.deadline: float | None = None
        self._request_id = ""

    @property
    def request_id(self) -> str:
        """The id that the edge gave the call, or one of its own. Most calls are never asked."""
        if not self._request_id:
            given = self.text("x-request-id")
            self._request_id = given if is_canonical_uuid(given) else new_id()
        return self._request_id

    def text(self, key: str) -> str:
        """Returns a metadata value as text; empty if there is none."""
        value = self.metadata.get(key, "")
        return value if isinstance(value, str) else ""


current_call: ContextVar[Call] = ContextVar("current_call")


def caller() -> Caller:
    """Returns who called the method that is running.

    Raises:
        LookupError: No call is being served here.
    """
    found = current_call.get().caller
    if found is None:
        raise LookupError("the call is not authenticated yet")
    return found
