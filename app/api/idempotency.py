"""Idempotency-Key: the first response is stored in the transaction that did the work, and given again for 24 hours.

Because key and work commit together, there is no moment at which one exists without the other.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from http_sf import StructuredFieldError
from http_sf import parse as parse_item

from app import clock
from app.api import store
from app.api.encryption import Cipher
from app.api.models import StoredResponse
from app.api.rendering import Rendered
from app.api.strict import parse
from app.errors import AlreadyDone, Fault, IdempotencyKeyReused, Invalid, Problem, RequestInProgress
from app.facts import Fact, Outcome
from app.storage import Transaction, keys_for

KEPT_FOR = timedelta(hours=24)
_PURPOSE = "kept answers"


@dataclass(frozen=True, slots=True)
class Keyed:
    """The Idempotency-Key of a request, and what tells it from another: method, path, query and body as `compared`."""

    key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A response and the fact it shows. For a stored response the fact holds only what the first audit event needed."""

    rendered: Rendered
    fact: Fact[Any]


def once(db: Transaction, clinic_id: UUID, caller: str, keyed: Keyed, work: Callable[[Transaction], Done]) -> Done:
    """What `work` does, done once per clinic, caller and key; afterwards the stored response. Raises
    IdempotencyKeyReused, RequestInProgress and AlreadyDone."""
    if not store.try_lock(db, f"{clinic_id} {caller} {keyed.key}"):
        raise RequestInProgress
    now = clock.now()
    purge(db, clinic_id, now)
    stored = kept(db, clinic_id, caller, keyed)
    if stored is not None:
        return stored
    done, cipher = work(db), Cipher(keys_for(db, _PURPOSE))
    db.add(
        StoredResponse(
            clinic_id=clinic_id,
            caller=caller,
            key=keyed.key,
            fingerprint=_fingerprints(db, keyed)[0],
            status=done.rendered.status,
            headers=done.rendered.headers,
            body=None if done.fact.is_secret else cipher.encrypt(done.rendered.content),
            outcome=done.fact.outcome,
            subjects=[str(patient_id) for patient_id in done.fact.patient_ids],
            refused_subjects=[str(patient_id) for patient_id in done.fact.refused_patient_ids],
            created_at=now,
        )
    )
    return done


def kept(db: Transaction, clinic_id: UUID, caller: str, keyed: Keyed) -> Done | None:
    """The response that is stored under a key; None if there is none. Raises IdempotencyKeyReused and AlreadyDone."""
    stored = store.stored_response(db, clinic_id, caller, keyed.key)
    if stored is None:
        return None
    return _again(stored, _fingerprints(db, keyed), Cipher(keys_for(db, _PURPOSE)))


def key_of(header: str) -> str:
    """The key in an Idempotency-Key header: a string of structured fields (RFC 9651), or, as most clients send it, the
    bare key. Raises Invalid. Source: draft-ietf-httpapi-idempotency-key-header-07."""
    key: Any = header if " " not in header else ""
    if header.startswith('"'):
        try:
            item: Any = parse_item(header.encode(), tltype="item")
        except StructuredFieldError:
            item = ("", {})
        key = item[0]  # parameters are allowed, and mean nothing
    if not isinstance(key, str) or not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        raise Invalid(errors=[Fault("header", "Idempotency-Key", "must be 1 to 255 printable characters")])
    return key


def _fingerprints(db: Transaction, keyed: Keyed) -> list[str]:
    """What tells the request from another one, under each of the service's secrets."""
    return [hmac.digest(key, keyed.content, hashlib.sha256).hex() for key in keys_for(db, "fingerprints")]


def compared(body: bytes) -> bytes:
    """What of a body tells one request from another: its content, whatever the order of its names, and without any
    `sent_at`, which is written anew at every try."""
    try:
        document = parse(body)
    except Problem:  # refused later, by the route
        return body
    return json.dumps(_unsent(document), sort_keys=True).encode()


def _unsent(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _unsent(value) for name, value in node.items() if name != "sent_at"}
    return [_unsent(value) for value in node] if isinstance(node, list) else node


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes a clinic's stored responses that are older than a day."""
    store.delete_responses(db, clinic_id, now - KEPT_FOR)


def _again(stored: StoredResponse, fingerprints: Sequence[str], cipher: Cipher) -> Done:
    if stored.fingerprint not in fingerprints:
        raise IdempotencyKeyReused
    content = None if stored.body is None else cipher.decrypt(stored.body)
    if content is None:
        raise AlreadyDone
    headers = {**stored.headers, "Idempotency-Replayed": "true"}
    shown, asked_for = (tuple(map(UUID, ids)) for ids in (stored.subjects, stored.refused_subjects))
    outcome = cast("Outcome", stored.outcome)
    return Done(
        Rendered(stored.status, headers, content), Fact(None, shown, outcome=outcome, refused_patient_ids=asked_for)
    )
