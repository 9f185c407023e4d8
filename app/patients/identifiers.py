"""Identities of patients, encrypted under a key of each patient's own.

Identities are stored in one table and keys in another. Without its key an identity cannot be read, so erasing a
patient's identity means deleting their key. The clinical record stays, under the patient's id.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.patients import store
from app.patients.models import Identifiers, PatientKey
from app.storage import Transaction, key_for

_NONCE_BYTES = 12
_KEY_BITS = 256


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a patient is: the clinic's own number for them, the name they are known by, and their year of birth."""

    external_id: str
    label: str | None = None
    birth_year: int | None = None


def pseudonym(patient_id: UUID) -> Identity:
    """The identity that is shown for an erased patient."""
    return Identity(f"erased-{patient_id.hex[-12:]}")


def of_patients(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, Identity]:
    """The identity of each of these patients, with one query. Erased patients have their pseudonym."""
    found = {patient_id: pseudonym(patient_id) for patient_id in patient_ids}
    return found | dict(_decrypted(db, clinic_id, store.encrypted(db, clinic_id, patient_ids)))


def matching(db: Transaction, clinic_id: UUID, q: str, after: Sequence[str] | None, limit: int) -> Iterator[UUID]:
    """Patients whose external id or label has `q` in it, newest first. The database cannot search
    encrypted text: identities are decrypted one after the other until the caller has enough."""
    for rows in store.encrypted_newest_first(db, clinic_id, after, limit):
        for patient_id, identity in _decrypted(db, clinic_id, rows):
            if has(identity.external_id, identity.label, q):
                yield patient_id


def has(external_id: str, label: str | None, q: str) -> bool:
    """Whether an external id or a label contains `q`, ignoring case."""
    return q.casefold() in external_id.casefold() or q.casefold() in (label or "").casefold()


def store_identity(db: Transaction, clinic_id: UUID, patient_id: UUID, identity: Identity) -> None:
    """Stores an identity, encrypted under the patient's key; the key is made with the first one."""
    held = store.key(db, clinic_id, patient_id)
    bound = _bound(clinic_id, patient_id)
    if held is None:
        key = AESGCM.generate_key(_KEY_BITS)
        wrapped = _encrypt(key_for(db, "patient keys"), key, bound)
        db.add(PatientKey(clinic_id=clinic_id, patient_id=patient_id, wrapped=wrapped))
    else:
        key = _decrypt(key_for(db, "patient keys"), held.wrapped, bound)
    encrypted = _encrypt(key, json.dumps(asdict(identity)).encode(), bound)
    row = store.identifiers(db, clinic_id, patient_id)
    number = digest(db, clinic_id, identity.external_id)
    if row is None:
        row = Identifiers(clinic_id=clinic_id, patient_id=patient_id, external_id_digest=number, encrypted=encrypted)
    row.external_id_digest, row.encrypted = number, encrypted
    db.add(row)
    db.flush()


def digest(db: Transaction, clinic_id: UUID, text: str) -> str:
    """A keyed hash with which equal texts of a clinic are found without storing the text."""
    return hmac.digest(key_for(db, "identifiers"), clinic_id.bytes + text.encode(), hashlib.sha256).hex()


def _decrypted(
    db: Transaction, clinic_id: UUID, rows: Collection[tuple[UUID, bytes, bytes]]
) -> Iterator[tuple[UUID, Identity]]:
    master = key_for(db, "patient keys") if rows else b""
    for patient_id, encrypted, wrapped in rows:
        bound = _bound(clinic_id, patient_id)
        yield patient_id, Identity(**json.loads(_decrypt(_decrypt(master, wrapped, bound), encrypted, bound)))


def _bound(clinic_id: UUID, patient_id: UUID) -> bytes:
    """What an encrypted identity is bound to, so that it cannot be read in another patient's row."""
    return clinic_id.bytes + patient_id.bytes


def _encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _decrypt(key: bytes, encrypted: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], bound)
