"""Croupier's services. Each folder is one process; `kit` is what all of them need."""
