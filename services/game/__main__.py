"""`python -m services.game`: serves until it is told to stop."""

from services.game.application import build
from services.game.settings import Settings
from services.kit.server import main

if __name__ == "__main__":
    main("game", Settings, build)
