"""The rules and values of identity: no store, no network, no clock."""
