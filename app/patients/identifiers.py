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
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic_core import from_json

from app.errors import Fault, Invalid
from app.patients import store
from app.patients.models import Identifiers, PatientKey
from app.patients.policies import caseless
from app.patients.store import Encrypted
from app.storage import NoSuchKeyError, Transaction, key_for, key_id, keys_for, look_up

# The form of an external id of which the keyed hash is taken: 1 as it was written, 2 without regard to case.
FORM = 2
_WRAPPING = "patient keys"
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


def unreadable(patient_id: UUID) -> Identity:
    """What is shown in place of an identity that cannot be decrypted, so that one of them fails no page."""
    return Identity(f"unreadable-{patient_id.hex[-12:]}")


def of_patients(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, Identity]:
    """The identity of each of these patients, with one query. Erased patients have their pseudonym."""
    return identified(db, clinic_id, patient_ids, *look_up(db, clinic_id, patient_ids, store.IDENTITIES))


def identified(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID], rows: list[tuple[Any, ...]]
) -> dict[UUID, Identity]:
    """The same, of what the store's IDENTITIES found."""
    found = {patient_id: pseudonym(patient_id) for patient_id in patient_ids}
    return found | dict(_decrypted(db, clinic_id, store.encrypted(rows)))


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
    release told apart, the one that is spelt like this. What is stored in an earlier form is found as it was written,
    and while secrets are rotated under either."""
    exact, any_case = (digests(db, clinic_id, spelling) for spelling in (external_id, caseless(external_id)))
    found = store.holders(db, clinic_id, {*exact, *any_case})
    return next((found[number] for number in (*exact, *any_case) if number in found), None)


def holders(db: Transaction, clinic_id: UUID, external_ids: Collection[str]) -> dict[str, UUID]:
    """`holder` of each of these external ids that a patient has, with one query."""
    spelt = {one: [*digests(db, clinic_id, one), *digests(db, clinic_id, caseless(one))] for one in set(external_ids)}
    found = store.holders(db, clinic_id, {number for numbers in spelt.values() for number in numbers})
    held = {one: next((found[n] for n in numbers if n in found), None) for one, numbers in spelt.items()}
    return {one: patient_id for one, patient_id in held.items() if patient_id is not None}


def guard(db: Transaction, clinic_id: UUID) -> None:
    """Lets the writers of a clinic's identities take turns while secrets are rotated: one external id then has two
    keyed hashes, and the database cannot see that they are one."""
    if len(keys_for(db, "identifiers")) > 1:
        store.take_turn(db, clinic_id)


def renew(db: Transaction, clinic_id: UUID, after: UUID | None, limit: int) -> UUID | None:
    """Brings some keyed hashes to today's form, those of patients after `after`; returns the last patient looked at,
    None if there was none. Where another patient holds the same external id already, this one keeps its hash and is
    marked, until one of the two is changed."""
    rows = store.of_form_before(db, clinic_id, FORM, after, limit)
    who = of_patients(db, clinic_id, [row.patient_id for row in rows])
    for row in rows:
        if who[row.patient_id] != unreadable(row.patient_id):
            _put_digest(db, row, who[row.patient_id].external_id)
    return rows[-1].patient_id if rows else None


def _put_digest(db: Transaction, row: Identifiers, external_id: str) -> None:
    """Gives a patient the keyed hash of today's form and secret, unless another patient has the external id."""
    first, *others = digests(db, row.clinic_id, caseless(external_id))
    held = store.holders(db, row.clinic_id, {first, *others})
    row.clashes = any(patient_id != row.patient_id for patient_id in held.values())
    if not row.clashes:
        row.external_id_digest, row.form, row.key_id = first, FORM, key_id(db)
    db.add(row)
    db.flush()


def clashes(db: Transaction, clinic_id: UUID) -> list[tuple[UUID, UUID]]:
    """Patients whose external id is that of another patient but for its case or form, each with the other one. Records
    that were merged are left out: they are one patient's."""
    ids = store.clashing(db, clinic_id)
    who = of_patients(db, clinic_id, ids)
    found = []
    for patient_id in ids:
        other = holder(db, clinic_id, caseless(who[patient_id].external_id)) or patient_id
        if other != patient_id and not store.are_merged(db, clinic_id, {patient_id, other}):
            found.append((patient_id, other))
    return found


def store_identity(db: Transaction, clinic_id: UUID, patient_id: UUID, identity: Identity) -> None:
    """Stores an identity, encrypted under the patient's key. Raises Invalid where the key cannot be read."""
    encrypted = _encrypt(
        own_key(db, clinic_id, patient_id), json.dumps(asdict(identity)).encode(), _bound(clinic_id, patient_id)
    )
    row = store.identifiers(db, clinic_id, patient_id)
    if row is None:
        first = digests(db, clinic_id, caseless(identity.external_id))[0]
        db.add(
            Identifiers(
                clinic_id=clinic_id,
                patient_id=patient_id,
                external_id_digest=first,
                encrypted=encrypted,
                form=FORM,
                key_id=key_id(db),
            )
        )
        db.flush()
        return
    row.encrypted = encrypted
    _put_digest(db, row, identity.external_id)


def own_key(db: Transaction, clinic_id: UUID, patient_id: UUID) -> bytes:
    """A patient's own key; the first call makes it. Raises Invalid where it cannot be read."""
    held = store.key(db, clinic_id, patient_id)
    bound = _bound(clinic_id, patient_id)
    if held is None:
        key = AESGCM.generate_key(_KEY_BITS)
        wrapped = _encrypt(key_for(db, _WRAPPING), key, bound)
        db.add(PatientKey(clinic_id=clinic_id, patient_id=patient_id, wrapped=wrapped, key_id=key_id(db)))
        db.flush()
        return key
    try:
        return _decrypt(key_for(db, _WRAPPING, held.key_id), held.wrapped, bound)
    except (InvalidTag, NoSuchKeyError):
        raise Invalid(errors=[Fault("pointer", "", "the patient's identity cannot be read")]) from None


def sealed(db: Transaction, clinic_id: UUID, patient_id: UUID, text: str, bound: UUID) -> bytes:
    """A text of the patient's, encrypted under their own key, so that it is gone when that is erased. It says whose it
    is; `bound` is what it belongs to."""
    key = own_key(db, clinic_id, patient_id)
    return patient_id.bytes + _encrypt(key, text.encode(), _bound(clinic_id, bound))


def opened(db: Transaction, clinic_id: UUID, texts: Collection[tuple[UUID, bytes]]) -> dict[UUID, str]:
    """What `sealed` sealed, by what it belongs to. Left out is what cannot be read any more."""
    found = {}
    for bound, content in texts:
        patient_id = UUID(bytes=content[:16])
        if store.key(db, clinic_id, patient_id) is None:
            continue
        try:
            key = own_key(db, clinic_id, patient_id)
            found[bound] = _decrypt(key, content[16:], _bound(clinic_id, bound)).decode()
        except (InvalidTag, Invalid):
            continue
    return found


def reseal(db: Transaction, clinic_id: UUID, after: UUID | None, limit: int) -> tuple[UUID | None, int, int]:
    """Seals some identities anew, under the service's secret of now: those of patients after `after`. Returns the last
    patient looked at, None if there was none, how many were sealed, and how many could not be read."""
    guard(db, clinic_id)  # nobody changes an identity between reading it here and storing its keyed hash
    rows = store.of_other_key(db, clinic_id, key_id(db), after, limit)
    who = of_patients(db, clinic_id, [row.patient_id for row in rows])
    failed = 0
    for row in rows:
        bound = _bound(clinic_id, row.patient_id)
        if who[row.patient_id] == unreadable(row.patient_id):
            failed += 1
            continue
        key = _decrypt(key_for(db, _WRAPPING, row.key_id), row.wrapped, bound)
        row.wrapped, row.key_id = _encrypt(key_for(db, _WRAPPING), key, bound), key_id(db)
        db.add(row)
        identity = store.identifiers(db, clinic_id, row.patient_id)
        if identity is not None:
            spelt = who[row.patient_id].external_id
            number = spelt if identity.form < FORM or identity.clashes else caseless(spelt)
            identity.external_id_digest, identity.key_id = digests(db, clinic_id, number)[0], key_id(db)
            db.add(identity)
    db.flush()
    return (rows[-1].patient_id if rows else None), len(rows) - failed, failed


def digests(db: Transaction, clinic_id: UUID, text: str) -> list[str]:
    """The keyed hashes with which equal texts of a clinic are found without storing the text: that of today's secret
    first, and while secrets are rotated that of the other one."""
    content = clinic_id.bytes + text.encode()
    return [hmac.digest(key, content, hashlib.sha256).hex() for key in keys_for(db, "identifiers")]


def own_digest(db: Transaction, clinic_id: UUID, patient_id: UUID, text: str) -> str:
    """A hash of a text of one patient, keyed with their own key: the same under every secret of the service."""
    return hmac.digest(own_key(db, clinic_id, patient_id), text.encode(), hashlib.sha256).hex()


def _decrypted(db: Transaction, clinic_id: UUID, rows: Collection[Encrypted]) -> Iterator[tuple[UUID, Identity]]:
    for patient_id, encrypted, wrapped, sealed_with in rows:
        bound = _bound(clinic_id, patient_id)
        try:
            key = _decrypt(key_for(db, _WRAPPING, sealed_with), wrapped, bound)
            yield patient_id, Identity(**from_json(_decrypt(key, encrypted, bound), cache_strings="keys"))
        except (InvalidTag, NoSuchKeyError, ValueError, TypeError):
            yield patient_id, unreadable(patient_id)


def _bound(clinic_id: UUID, patient_id: UUID) -> bytes:
    """What an encrypted identity is bound to, so that it cannot be read in another patient's row."""
    return clinic_id.bytes + patient_id.bytes


def _encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _decrypt(key: bytes, encrypted: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], bound)
