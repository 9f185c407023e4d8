"""Transactions, group commit and column types. Knows no business word."""

from app.storage.database import NO_CLINIC, Database, is_passing, open_engine
from app.storage.joining import Joined
from app.storage.keys import derived_key, key_for
from app.storage.keyset import below
from app.storage.roles import role_faults
from app.storage.rows import insert, plain, set_column, upsert
from app.storage.types import Moment, Repeated, document, key, new_id

__all__ = [
    "NO_CLINIC",
    "Database",
    "Joined",
    "Moment",
    "Repeated",
    "below",
    "derived_key",
    "document",
    "insert",
    "is_passing",
    "key",
    "key_for",
    "new_id",
    "open_engine",
    "plain",
    "role_faults",
    "set_column",
    "upsert",
]
