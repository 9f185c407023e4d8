"""Idempotency-Key: the first response is stored in the transaction that did the work, and given again for 24 hours.

Because key and work commit together, there is no moment at which one exists without the other.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request

from app import clock
from app.api import store
from app.api.encryption import Cipher
from app.api.models import StoredResponse
from app.api.rendering import Rendered
from app.errors import AlreadyDone, Fault, IdempotencyKeyReused, Invalid, RequestInProgress
from app.storage import Transaction, key_for

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Keyed:
    """The Idempotency-Key of a request, and what tells it from another: method, path, query and body."""

    key: str
    content: bytes


async def _keyed(
    request: Request,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Any unique text: the first answer is given again for 24 hours"),
    ] = None,
) -> Keyed | None:
    if key is None:
        return None
    target = f"{request.method} {request.url.path}?{request.url.query}"
    return Keyed(key, target.encode() + b"\0" + await request.body())


KeyOf = Annotated[Keyed | None, Depends(_keyed)]


@dataclass(frozen=True, slots=True)
class Done:
    """A response to be stored: whose data it shows, and whether it carries a secret, which is never stored."""

    rendered: Rendered
    patient_ids: tuple[UUID, ...] = ()
    is_secret: bool = False


def once(db: Transaction, clinic_id: UUID, caller: str, keyed: Keyed, work: Callable[[Transaction], Done]) -> Done:
    """What `work` does, done once per clinic, caller and key; afterwards the stored response. Raises Invalid for a key
    that is none, IdempotencyKeyReused, RequestInProgress and AlreadyDone."""
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", keyed.key):
        raise Invalid(errors=[Fault("header", "Idempotency-Key", "must be 1 to 255 printable characters")])
    if not store.try_lock(db, f"{clinic_id} {caller} {keyed.key}"):
        raise RequestInProgress
    now = clock.now()
    purge(db, clinic_id, now)
    fingerprint = hmac.digest(key_for(db, "fingerprints"), keyed.content, hashlib.sha256).hex()
    cipher = Cipher(key_for(db, "kept answers"))
    stored = store.stored_response(db, clinic_id, caller, keyed.key)
    if stored is not None:
        return _again(stored, fingerprint, cipher)
    done = work(db)
    db.add(
        StoredResponse(
            clinic_id=clinic_id,
            caller=caller,
            key=keyed.key,
            fingerprint=fingerprint,
            status=done.rendered.status,
            headers=done.rendered.headers,
            body=None if done.is_secret else cipher.encrypt(done.rendered.content),
            subjects=[str(patient_id) for patient_id in done.patient_ids],
            created_at=now,
        )
    )
    return done


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes a clinic's stored responses that are older than a day."""
    store.delete_responses(db, clinic_id, now - KEPT_FOR)


def _again(stored: StoredResponse, fingerprint: str, cipher: Cipher) -> Done:
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    content = None if stored.body is None else cipher.decrypt(stored.body)
    if content is None:
        raise AlreadyDone
    headers = {**stored.headers, "Idempotency-Replayed": "true"}
    subjects = tuple(UUID(subject) for subject in stored.subjects)
    return Done(Rendered(stored.status, headers, content), subjects)
