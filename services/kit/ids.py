"""Identifiers: UUIDv7, so that rows made together lie together in an index."""

import re

import uuid_utils

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """Makes a UUIDv7 in canonical lower-case form."""
    return str(uuid_utils.uuid7())


def is_canonical_uuid(text: str) -> bool:
    """Tells whether `text` is a UUID in the one form that we write: lower case, with hyphens."""
    return _CANONICAL.fullmatch(text) is not None
