"""The ledger in a few hundred obvious lines: what the engine is held against.

Plain values, one operation at a time, no batches, no versions, no rows. It is written from the
rules in `docs/ledger.md` and shares with the engine only the words: operations and enumerations.
Given an operation and the time of its commit it tells the outcome, and what everybody has then.
"""

from tests.simulation.model.ledger import Ledger, content
from tests.simulation.model.state import Player, Reply

__all__ = ["Ledger", "Player", "Reply", "content"]
