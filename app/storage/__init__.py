"""Transactions, group commit and column types. Knows no business word."""

from app.storage.database import NO_CLINIC, Database, is_passing, open_engine
from app.storage.group_commit import GroupCommit
from app.storage.keyset import below
from app.storage.types import Moment, document, key, new_id
from app.storage.upsert import upsert

__all__ = [
    "NO_CLINIC",
    "Database",
    "GroupCommit",
    "Moment",
    "below",
    "document",
    "is_passing",
    "key",
    "new_id",
    "open_engine",
    "upsert",
]
