"""What a step is, and what makes it fail."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the world holds what steps leave behind, and knows them not
    from scripts.flow.world import World


class StepFailedError(Exception):
    """A step did not hold."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the flow."""

    stage: str
    """The part of the flow that it belongs to, by the name that the documentation uses."""
    name: str
    """What happens, as a sentence without a subject or with its own."""
    run: Callable[["World"], Awaitable[str]]
    """Plays it, and returns a word about the outcome."""


def check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (as with assert)
    """Raises if something does not hold.

    Raises:
        StepFailedError: It does not.
    """
    if not holds:
        raise StepFailedError(otherwise)
