"""Every SQL statement of the Game service, by noun; returns domain values."""
