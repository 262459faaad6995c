"""Commands for those who run and develop Croupier. Each executable here has a `--help`."""
