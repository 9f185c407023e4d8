"""Queries on audit events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import LargeBinary, String, cast, delete, func, inspect, type_coerce, union_all
from sqlalchemy import select as rows_of
from sqlmodel import col, select

from app.audit.models import EVERYONE, AuditEvent, AuditSubject, Seal, Unsealed
from app.storage import Transaction


def page(
    db: Transaction,
    clinic_id: UUID,
    patient_id: UUID | None,
    actor_id: UUID | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[AuditEvent]:
    """Events, newest first. Returns one row more than `limit` if there are more."""
    query = select(AuditEvent).where(col(AuditEvent.clinic_id) == clinic_id)
    if actor_id is not None:
        query = query.where(col(AuditEvent.actor_id) == actor_id)
    if patient_id is not None:
        query = query.where(col(AuditEvent.id).in_(_about(db, clinic_id, patient_id, after, limit)))
    if after is not None:
        query = query.where(col(AuditEvent.id) < _place(after))
    return db.exec(query.order_by(col(AuditEvent.id).desc()).limit(limit + 1)).all()


def _about(
    db: Transaction, clinic_id: UUID, patient_id: UUID, after: Sequence[str] | None, limit: int
) -> Sequence[UUID]:
    """The newest events that are about a patient, or about everyone. Found first, by the two indexes of patients, and
    sorted in Python, because with ORDER BY SQLite reads the whole clinic."""
    whose = [patient_id, EVERYONE]
    every = union_all(
        rows_of(_E.c.id).where(_E.c.clinic_id == clinic_id, _E.c.patient_id.in_(whose)),
        rows_of(_S.c.event_id).where(_S.c.clinic_id == clinic_id, _S.c.patient_id.in_(whose)),
    )
    found = sorted(db.execute(every).scalars(), reverse=True)
    return [event_id for event_id in found if after is None or event_id < _place(after)][: limit + 1]


def _place(after: Sequence[str]) -> UUID:
    return UUID(after[-1])  # an earlier release put the moment before it


_E, _S, _U = (inspect(model).local_table for model in (AuditEvent, AuditSubject, Unsealed))


class Subject(NamedTuple):
    """A patient whom an event is about: see AuditSubject."""

    patient_id: UUID
    attempted: bool


def subjects(db: Transaction, clinic_id: UUID, events: Sequence[Any]) -> dict[UUID, list[Subject]]:
    """The subjects of these events, by event id: the patients that were shown or asked for."""
    found = {e.id: [Subject(e.patient_id, e.patient_attempted)] for e in events if e.patient_id is not None}
    others = [event.id for event in events if event.patient_id is None]
    query = rows_of(_S).where(_S.c.clinic_id == clinic_id, _S.c.event_id.in_(others))
    # Sorted in Python, because with ORDER BY patient_id SQLite reads the whole clinic in the order of that index.
    for row in sorted(db.execute(query), key=lambda row: row.patient_id) if others else ():
        found.setdefault(row.event_id, []).append(Subject(row.patient_id, row.attempted))
    return found


def by_ids(db: Transaction, clinic_id: UUID, event_ids: Sequence[UUID]) -> Sequence[Any]:
    """The rows of those of these events that exist."""
    return db.execute(rows_of(_E).where(_E.c.clinic_id == clinic_id, _E.c.id.in_(event_ids))).all()


def of_operation(db: Transaction, clinic_id: UUID, operation: str) -> Sequence[Any]:
    """The rows of events of one operation that an operator ran."""
    mine = (_E.c.clinic_id == clinic_id, _E.c.actor_kind == "operator", _E.c.operation == operation)
    return db.execute(rows_of(_E).where(*mine)).all()


def ids(db: Transaction, clinic_id: UUID) -> list[UUID]:
    """The ids of all events of a clinic."""
    return list(db.exec(select(AuditEvent.id).where(col(AuditEvent.clinic_id) == clinic_id)))


def unsealed(db: Transaction, clinic_id: UUID, limit: int | None = None) -> list[UUID]:
    """The ids of events of finished transactions that no seal covers."""
    query = select(Unsealed.event_id).where(col(Unsealed.clinic_id) == clinic_id).order_by(col(Unsealed.event_id))
    return list(db.exec(query if limit is None else query.limit(limit)))


def unsealed_by_clinic(db: Transaction) -> list[tuple[UUID, UUID, int]]:
    """Of every clinic with unsealed events: the clinic, the least id of them, and how many they are."""
    is_postgresql = db.get_bind().dialect.name == "postgresql"  # which has no least of two ids, but of two texts
    ids = cast(_U.c.event_id, String) if is_postgresql else type_coerce(_U.c.event_id, LargeBinary)
    query = rows_of(_U.c.clinic_id, func.min(ids), func.count()).group_by(_U.c.clinic_id)
    return [
        (clinic_id, UUID(least) if is_postgresql else UUID(bytes=least), count)
        for clinic_id, least, count in db.execute(query)
    ]


def oldest_unsealed_at(db: Transaction, clinic_id: UUID) -> datetime | None:
    """When the request of the oldest unsealed event arrived."""
    query = select(func.min(AuditEvent.at)).join(
        Unsealed,
        (col(Unsealed.clinic_id) == col(AuditEvent.clinic_id)) & (col(Unsealed.event_id) == col(AuditEvent.id)),
    )
    found: datetime | None = db.exec(query.where(col(Unsealed.clinic_id) == clinic_id)).one()
    return found


def last_seal(db: Transaction, clinic_id: UUID) -> Seal | None:
    query = select(Seal).where(col(Seal.clinic_id) == clinic_id).order_by(col(Seal.number).desc())
    return db.exec(query.limit(1)).first()


def seal_numbered(db: Transaction, clinic_id: UUID, number: int) -> Seal | None:
    return db.get(Seal, (clinic_id, number))


def seal_numbers(db: Transaction, clinic_id: UUID) -> list[int]:
    return list(db.exec(select(Seal.number).where(col(Seal.clinic_id) == clinic_id).order_by(col(Seal.number))))


def add_seal(db: Transaction, seal: Seal, event_ids: Sequence[UUID]) -> None:
    """Stores a seal and removes its events from the queue."""
    db.add(seal)
    db.flush()
    covered = (col(Unsealed.clinic_id) == seal.clinic_id, col(Unsealed.event_id).in_(event_ids))
    db.execute(delete(Unsealed).where(*covered))
