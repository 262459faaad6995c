"""Decides whether the caller may call the method, by what the contract declares."""

from services.kit.call import Caller
from services.kit.contract import Level, Method
from services.kit.errors import CallerNotAllowedError

EDGE = "edge"


def authorize(caller: Caller, method: Method) -> None:
    """Admits or refuses.

    People and providers come through the edge; a service that holds somebody's token may not use
    it. A PUBLIC method admits every service of the mesh.

    Raises:
        CallerNotAllowedError: The contract does not admit the caller.
    """
    if method.level is Level.SERVICE:
        allowed = caller.service in method.callers
    elif method.level is Level.PUBLIC:
        allowed = True
    elif method.level is Level.OPERATOR:
        allowed = caller.service == EDGE and not caller.roles.isdisjoint(method.roles)
    else:
        allowed = caller.service == EDGE
    if not allowed:
        who = caller.subject_id or caller.provider_id or caller.service
        raise CallerNotAllowedError(caller=who, method=method.full_name)
