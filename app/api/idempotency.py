"""Idempotency-Key: the first answer is kept in the transaction that did the work, and given again for 24 hours.

Because key and work commit together, there is no moment at which one exists without the other.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Header, Request, Response
from sqlalchemy import ForeignKeyConstraint, Index, cast, delete, func, select
from sqlalchemy import String as Text
from sqlmodel import Field, Session, SQLModel, col

from app import clock
from app.api.fields import Answer
from app.api.sealing import Sealer
from app.errors import AlreadyDone, Fault, IdempotencyKeyReused, Invalid, RequestInProgress
from app.storage import Database, Moment, document, key, key_for

A = TypeVar("A", bound=Answer)
ShownAgain = Callable[[Session, list[UUID]], None]

KEPT_FOR = timedelta(hours=24)
_WAIT_SECONDS = 2.0

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="Any unique text: the first answer is given again for 24 hours"),
]


class KeptAnswer(SQLModel, table=True):
    """An answer given under a key. `body` is sealed, and None where the answer carried a secret; `fingerprint` is a
    keyed hash of the request: both could tell of a patient, or of a password."""

    __tablename__ = "kept_answers"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), Index(None, "clinic_id", "created_at"))

    clinic_id: UUID = key()
    caller: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    status: int
    headers: dict[str, str] = Field(sa_type=document())
    body: str | None
    subjects: list[str] = Field(sa_type=document())
    created_at: datetime = Field(sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """What a use case answers: status, body and headers. `secret` answers are never kept; `subjects` are those
    whom the answer is about."""

    body: A
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    secret: bool = False
    subjects: tuple[UUID, ...] = ()

    def content(self) -> str:
        """The body as it leaves: what the use case did not set is left out."""
        return self.body.model_dump_json(exclude_unset=True)

    def response(self) -> Response:
        return Response(self.content(), self.status, self.headers, "application/json")


async def once(
    request: Request,
    clinic_id: UUID,
    caller: str,
    sent: str | None,
    work: Callable[[Session], Reply[A]],
    shown_again: ShownAgain,
) -> Response:
    """The response of `work`, done once per key; `shown_again` is told whom a kept answer shows once more. Raises
    IdempotencyKeyReused, RequestInProgress, AlreadyDone."""
    database: Database = request.app.state.database
    if sent is None:
        return (await database.write(clinic_id, work)).response()
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", sent):
        raise Invalid(errors=[Fault("header", "Idempotency-Key", "must be 1 to 255 printable characters")])
    body = await request.body()
    target = f"{request.method} {request.url.path}?{request.url.query}"
    content = target.encode() + b"\0" + body
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await database.write(
                clinic_id, lambda db: _once(db, _Key(clinic_id, caller, sent, content), work, shown_again)
            )
        except RequestInProgress:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def purge(db: Session, clinic_id: UUID, now: datetime) -> None:
    """Deletes a clinic's kept answers that are older than a day."""
    old = col(KeptAnswer.created_at) < now - KEPT_FOR
    db.execute(delete(KeptAnswer).where(col(KeptAnswer.clinic_id) == clinic_id, old))


def forget(db: Session, clinic_id: UUID, subject: UUID) -> None:
    """Deletes a clinic's kept answers about someone."""
    about = cast(col(KeptAnswer.subjects), Text).contains(str(subject))
    db.execute(delete(KeptAnswer).where(col(KeptAnswer.clinic_id) == clinic_id, about))


@dataclass(frozen=True, slots=True)
class _Key:
    clinic_id: UUID
    caller: str
    key: str
    content: bytes


def _once(db: Session, key: _Key, work: Callable[[Session], Reply[A]], shown_again: ShownAgain) -> Response:
    _hold(db, key)
    now = clock.now()
    purge(db, key.clinic_id, now)
    kept = db.get(KeptAnswer, (key.clinic_id, key.caller, key.key))
    fingerprint = hmac.digest(key_for(db, "fingerprints"), key.content, hashlib.sha256).hex()
    sealer = Sealer(key_for(db, "kept answers"))
    if kept is not None:
        response = _again(kept, fingerprint, sealer)
        shown_again(db, [UUID(subject) for subject in kept.subjects])
        return response
    reply = work(db)
    response = reply.response()
    db.add(
        KeptAnswer(
            clinic_id=key.clinic_id,
            caller=key.caller,
            key=key.key,
            fingerprint=fingerprint,
            status=reply.status,
            headers=reply.headers,
            body=None if reply.secret else sealer.seal(reply.content()),
            subjects=[str(subject) for subject in reply.subjects],
            created_at=now,
        )
    )
    return response


def _again(kept: KeptAnswer, fingerprint: str, sealer: Sealer) -> Response:
    if kept.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    if kept.body is None:
        raise AlreadyDone
    headers: dict[str, Any] = {**kept.headers, "Idempotency-Replayed": "true"}
    return Response(sealer.open(kept.body), kept.status, headers, "application/json")


def _hold(db: Session, key: _Key) -> None:
    """Holds the key until the transaction ends. SQLite has one writer and needs no lock."""
    if db.get_bind().dialect.name == "sqlite":
        return
    name = f"{key.clinic_id} {key.caller} {key.key}"
    if not db.execute(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))).scalar():
        raise RequestInProgress
