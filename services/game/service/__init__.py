"""The use cases of the Game service, by noun."""

from services.game.service.catalogue import Catalogue
from services.game.service.launches import Launches
from services.game.service.movements import Movements
from services.game.service.rounds import Rounds

__all__ = ["Catalogue", "Launches", "Movements", "Rounds"]
