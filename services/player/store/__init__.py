"""Every SQL statement of Player, by what it is about."""
