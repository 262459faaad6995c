"""`python -m services.analytics`: the Analytics service."""

from services.analytics.assembly import build
from services.analytics.settings import Settings
from services.kit.server import main

if __name__ == "__main__":
    main("analytics", Settings, build)
