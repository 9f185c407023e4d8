"""Transactions, group commit and column types. Contains no domain logic."""

from app.storage.database import NO_CLINIC, Database, DatabaseError
from app.storage.engines import open_engine
from app.storage.faults import is_disk_full, is_lost, is_passing, sentence_of
from app.storage.joining import Joined, Transact
from app.storage.keyring import WrongSecretError
from app.storage.keys import Keyring, NoSuchKeyError, derived_key, key_for, key_id, key_id_of, keys_for
from app.storage.keyset import below
from app.storage.lookups import Lookup, look_up
from app.storage.rights import Rights, grant, rights, rights_of, secure
from app.storage.roles import role_faults
from app.storage.rows import insert, row_maker, savepoint, set_columns, upsert
from app.storage.streams import Stream
from app.storage.types import Moment, Repeated, TextId, Transaction, Uid, document, key, new_id

__all__ = [
    "NO_CLINIC",
    "Database",
    "DatabaseError",
    "Joined",
    "Keyring",
    "Lookup",
    "Moment",
    "NoSuchKeyError",
    "Repeated",
    "Rights",
    "Stream",
    "TextId",
    "Transact",
    "Transaction",
    "Uid",
    "WrongSecretError",
    "below",
    "derived_key",
    "document",
    "grant",
    "insert",
    "is_disk_full",
    "is_lost",
    "is_passing",
    "key",
    "key_for",
    "key_id",
    "key_id_of",
    "keys_for",
    "look_up",
    "new_id",
    "open_engine",
    "rights",
    "rights_of",
    "role_faults",
    "row_maker",
    "savepoint",
    "secure",
    "sentence_of",
    "set_columns",
    "upsert",
]
