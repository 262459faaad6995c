"""The use cases of Player, by what they are about."""

from services.player.service.followup import FollowUp
from services.player.service.limits import LimitService
from services.player.service.players import PlayerService
from services.player.service.records import Records
from services.player.service.registration import Registration
from services.player.service.upkeep import Upkeep

__all__ = ["FollowUp", "LimitService", "PlayerService", "Records", "Registration", "Upkeep"]
