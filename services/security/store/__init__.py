"""Every SQL statement of Security, by noun. The functions take a connection and never commit."""
