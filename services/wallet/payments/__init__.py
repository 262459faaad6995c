"""Payments: how money comes in from payment providers (PSPs). Layered like a service.

It keeps its own store: on SQLite the ledger's file has one writer, which must never wait.
"""
