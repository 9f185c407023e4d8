"""Recording who did what to whose data, in the caller's transaction or, for reads, in a shared one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from app.audit import store
from app.audit.models import EVERYONE, ActorOut, AuditEventOut
from app.storage import new_id


@dataclass(frozen=True, slots=True)
class Act:
    """Who does which operation in which request. `at` is when the request came in, `address` from where."""

    clinic_id: UUID
    actor_kind: str
    actor_id: UUID
    operation: str
    request_id: str
    at: datetime
    address: str = ""


def by_operator(clinic_id: UUID, operation: str, at: datetime) -> Act:
    """What is done on the command line: nobody of the clinic did it."""
    return Act(clinic_id, "operator", UUID(int=0), operation, "command-line", at)


@dataclass(frozen=True, slots=True)
class Shown:
    """An act, and the patients whose data it read or wrote; or, where it was refused, the ids of its address and the
    patients it asked for."""

    act: Act
    patient_ids: tuple[UUID, ...]
    outcome: str = "done"
    attempted: tuple[tuple[str, str], ...] = ()
    asked_for: tuple[UUID, ...] = ()


def record(
    db: Session, act: Act, patient_ids: Iterable[UUID], outcome: str = "done", asked_for: Iterable[UUID] = ()
) -> None:
    """One event, in the transaction that did the work."""
    record_many(db, act.clinic_id, [Shown(act, tuple(patient_ids), outcome, asked_for=tuple(asked_for))])


def record_many(db: Session, clinic_id: UUID, events: Sequence[Shown]) -> list[None]:
    """Events of one clinic, however many, at once."""
    rows, subjects = [], []
    for event in events:
        act, event_id = event.act, new_id()
        rows.append(
            {
                "clinic_id": clinic_id,
                "id": event_id,
                "at": act.at,
                "actor_kind": act.actor_kind,
                "actor_id": act.actor_id,
                "operation": act.operation,
                "request_id": act.request_id,
                "outcome": event.outcome,
                "attempted": dict(event.attempted) or None,
                "address": act.address,
            }
        )
        whose = dict.fromkeys(event.asked_for, True) | dict.fromkeys(event.patient_ids, False)
        subjects += [
            {"clinic_id": clinic_id, "event_id": event_id, "patient_id": patient_id, "attempted": attempted}
            for patient_id, attempted in whose.items()
        ]
    store.keep(db, rows, subjects)
    return [None] * len(events)


def events_of(
    db: Session,
    clinic_id: UUID,
    patient_id: UUID | None,
    actor_id: UUID | None,
    after: Sequence[str] | None,
    limit: int,
) -> list[AuditEventOut]:
    """Events newest first, one more than `limit` where there is more."""
    events = store.page(db, clinic_id, patient_id, actor_id, after, limit)
    subjects = store.subjects(db, clinic_id, [event.id for event in events])
    return [
        AuditEventOut(
            id=event.id,
            at=event.at,
            actor=ActorOut(kind=event.actor_kind, id=event.actor_id),
            operation=event.operation,
            outcome=event.outcome,
            request_id=event.request_id,
            address=event.address,
            patient_ids=[
                s.patient_id for s in subjects.get(event.id, []) if not s.attempted and s.patient_id != EVERYONE
            ],
            attempted_patient_ids=[s.patient_id for s in subjects.get(event.id, []) if s.attempted],
            attempted=event.attempted,
        )
        for event in events
    ]
