"""What tells who a patient is, sealed under a key of their own.

Identifiers stand in one table and keys in another. Without its key a row says nothing, so erasing a patient's identity
is destroying their key; the clinical record stays, under the patient's id.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlmodel import Session

from app.patients import store
from app.patients.models import Identifiers, PatientKey
from app.storage import key_for

_NONCE_BYTES = 12
_KEY_BITS = 256


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a patient is: the clinic's own number for them, what people call them, and the year they were born in."""

    external_id: str
    label: str | None = None
    birth_year: int | None = None


def pseudonym(patient_id: UUID) -> Identity:
    """What stands in the place of an identity that was erased."""
    return Identity(f"erased-{patient_id.hex[-12:]}")


def of_patients(db: Session, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, Identity]:
    """The identity of each of these patients: one query. Erased ones have their pseudonym."""
    found = {patient_id: pseudonym(patient_id) for patient_id in patient_ids}
    return found | dict(_opened(db, clinic_id, store.sealed(db, clinic_id, patient_ids)))


def matching(db: Session, clinic_id: UUID, q: str, after: Sequence[str] | None, limit: int) -> Iterator[UUID]:
    """Patients whose external id or label has `q` in it, newest first. Sealed text cannot be searched by the database:
    identities are opened one after the other until the caller has enough."""
    for rows in store.sealed_newest_first(db, clinic_id, after, limit):
        for patient_id, identity in _opened(db, clinic_id, rows):
            if has(identity.external_id, identity.label, q):
                yield patient_id


def has(external_id: str, label: str | None, q: str) -> bool:
    """Whether an external id or a label has `q` in it, in capitals or not."""
    return q.casefold() in external_id.casefold() or q.casefold() in (label or "").casefold()


def seal(db: Session, clinic_id: UUID, patient_id: UUID, identity: Identity) -> None:
    """Keeps an identity, under the patient's key or a new one."""
    held = store.key(db, clinic_id, patient_id)
    bound = _bound(clinic_id, patient_id)
    if held is None:
        key = AESGCM.generate_key(_KEY_BITS)
        wrapped = _encrypt(key_for(db, "patient keys"), key, bound)
        db.add(PatientKey(clinic_id=clinic_id, patient_id=patient_id, wrapped=wrapped))
    else:
        key = _decrypt(key_for(db, "patient keys"), held.wrapped, bound)
    sealed = _encrypt(key, json.dumps(asdict(identity)).encode(), bound)
    row = store.identifiers(db, clinic_id, patient_id)
    number = digest(db, clinic_id, identity.external_id)
    if row is None:
        row = Identifiers(clinic_id=clinic_id, patient_id=patient_id, external_id_digest=number, sealed=sealed)
    row.external_id_digest, row.sealed = number, sealed
    db.add(row)
    db.flush()


def digest(db: Session, clinic_id: UUID, text: str) -> str:
    """A keyed hash by which equal texts of a clinic are found without being stored."""
    return hmac.digest(key_for(db, "identifiers"), clinic_id.bytes + text.encode(), hashlib.sha256).hex()


def _opened(
    db: Session, clinic_id: UUID, rows: Collection[tuple[UUID, bytes, bytes]]
) -> Iterator[tuple[UUID, Identity]]:
    master = key_for(db, "patient keys") if rows else b""
    for patient_id, sealed, wrapped in rows:
        bound = _bound(clinic_id, patient_id)
        yield patient_id, Identity(**json.loads(_decrypt(_decrypt(master, wrapped, bound), sealed, bound)))


def _bound(clinic_id: UUID, patient_id: UUID) -> bytes:
    """What a sealed row is bound to, so that it opens in its own place only."""
    return clinic_id.bytes + patient_id.bytes


def _encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
