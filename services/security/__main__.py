"""Runs Security: `python -m services.security`."""

from services.kit import server
from services.security.build import build
from services.security.settings import SecuritySettings

if __name__ == "__main__":
    server.main("security", SecuritySettings, build)
