"""Transactions, group commit and column types. Knows no business word."""

from app.storage.database import NO_CLINIC, Database, is_passing, open_engine
from app.storage.group_commit import GroupCommit
from app.storage.keys import derived_key, key_for
from app.storage.keyset import below
from app.storage.roles import role_faults
from app.storage.types import Moment, document, key, new_id
from app.storage.upsert import upsert

__all__ = [
    "NO_CLINIC",
    "Database",
    "GroupCommit",
    "Moment",
    "below",
    "derived_key",
    "document",
    "is_passing",
    "key",
    "key_for",
    "new_id",
    "open_engine",
    "role_faults",
    "upsert",
]
