"""Transactions, group commit and column types. Contains no domain logic."""

from app.storage.database import NO_CLINIC, Database, DatabaseError, is_passing, open_engine
from app.storage.joining import Joined, Transact
from app.storage.keys import derived_key, key_for
from app.storage.keyset import below
from app.storage.rights import Rights, grant, rights, rights_of, secure
from app.storage.roles import role_faults
from app.storage.rows import insert, row_maker, set_column, upsert
from app.storage.streams import Stream
from app.storage.types import Moment, Repeated, Transaction, document, key, new_id

__all__ = [
    "NO_CLINIC",
    "Database",
    "DatabaseError",
    "Joined",
    "Moment",
    "Repeated",
    "Rights",
    "Stream",
    "Transact",
    "Transaction",
    "below",
    "derived_key",
    "document",
    "grant",
    "insert",
    "is_passing",
    "key",
    "key_for",
    "new_id",
    "open_engine",
    "rights",
    "rights_of",
    "role_faults",
    "row_maker",
    "secure",
    "set_column",
    "upsert",
]
