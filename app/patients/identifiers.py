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
from app.patients.policies import caseless
from app.storage import Transaction, key_for

# The form of an external id of which the keyed hash is taken: 1 as it was written, 2 without regard to case.
FORM = 2
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
    wanted = caseless(q)
    return wanted in caseless(external_id) or wanted in caseless(label or "")


def holder(db: Transaction, clinic_id: UUID, external_id: str) -> UUID | None:
    """The patient with this external id, whatever its case; None if there is none. Of two whose external ids an earlier
    release told apart, the one that is spelt like this. What is stored in an earlier form is found as it was
    written."""
    exact, any_case = (digest(db, clinic_id, spelling) for spelling in (external_id, caseless(external_id)))
    found = store.holders(db, clinic_id, {exact, any_case})
    return found.get(exact) or found.get(any_case)


def renew(db: Transaction, clinic_id: UUID, after: UUID | None, limit: int) -> UUID | None:
    """Brings some keyed hashes to today's form, those of patients after `after`; returns the last patient looked at,
    None if there was none. Where another patient holds the same external id already, this one keeps its hash and is
    marked, until one of the two is changed."""
    rows = store.of_form_before(db, clinic_id, FORM, after, limit)
    who = of_patients(db, clinic_id, [row.patient_id for row in rows])
    for row in rows:
        _put_digest(db, row, digest(db, clinic_id, caseless(who[row.patient_id].external_id)))
    return rows[-1].patient_id if rows else None


def _put_digest(db: Transaction, row: Identifiers, number: str) -> None:
    """Gives a patient the keyed hash of today's form, unless another patient has it."""
    row.clashes = store.holders(db, row.clinic_id, {number}).get(number, row.patient_id) != row.patient_id
    if not row.clashes:
        row.external_id_digest, row.form = number, FORM
    db.add(row)
    db.flush()


def clashes(db: Transaction, clinic_id: UUID) -> list[tuple[UUID, UUID]]:
    """Patients whose external id is that of another patient but for its case or form, each with the other one. Records
    that were merged are left out: they are one patient's."""
    ids = store.clashing(db, clinic_id)
    who = of_patients(db, clinic_id, ids)
    found = []
    for patient_id in ids:
        number = digest(db, clinic_id, caseless(who[patient_id].external_id))
        other = store.holders(db, clinic_id, {number}).get(number, patient_id)
        if other != patient_id and not store.are_merged(db, clinic_id, {patient_id, other}):
            found.append((patient_id, other))
    return found


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
    is_new = row is None
    number = digest(db, clinic_id, caseless(identity.external_id))
    if row is None:
        row = Identifiers(
            clinic_id=clinic_id, patient_id=patient_id, external_id_digest=number, encrypted=encrypted, form=FORM
        )
    row.encrypted = encrypted
    if is_new:
        db.add(row)
        db.flush()
    else:
        _put_digest(db, row, number)


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
