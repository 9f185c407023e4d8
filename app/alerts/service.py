"""Use cases of alerts: raising, listing, acknowledging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from app.alerts import store
from app.alerts.models import (
    Acknowledgement,
    AcknowledgementIn,
    AcknowledgementOut,
    Alert,
    AlertOut,
    CallerOut,
)
from app.alerts.policies import is_late, self_harm_priority
from app.audit import service as audit
from app.audit.service import Act
from app.errors import NotFound
from app.instruments import INSTRUMENTS, Instrument
from app.storage import new_id

_PRIORITIES = {"high": 1, "urgent": 2}


@dataclass(frozen=True, slots=True)
class Answered:
    """A newly recorded score, as the alert rules see it."""

    patient_id: UUID
    check_in_id: UUID
    session_id: UUID | None
    instrument: str
    points: int
    self_harm_item: int | None
    taken_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Amended:
    """A check-in that was amended or voided: what its version before said, by instrument."""

    check_in_id: UUID
    at: datetime
    before: Mapping[str, tuple[int, int | None]]
    after: Mapping[str, tuple[int, int | None]]


def raise_for(db: Session, clinic_id: UUID, answers: Sequence[Answered], amended: Sequence[Amended]) -> list[Alert]:
    """Alerts of newly recorded scores; every alert of the amended check-ins comes back too. An amendment marks the
    alerts of the answers it changed, erases none, and raises again where an answer came to its line or got worse and
    no open alert of at least that priority says so."""
    known = store.of_check_ins(db, clinic_id, [a.check_in_id for a in amended])
    for amendment in amended:
        changed = [c for c, said in amendment.before.items() if amendment.after.get(c) != said]
        for alert in known:
            if alert.check_in_id == amendment.check_in_id and alert.instrument in changed:
                alert.amended_at = alert.amended_at or amendment.at
                db.add(alert)
    before = {a.check_in_id: a.before for a in amended}
    raised = []
    for answer in answers:
        instrument = INSTRUMENTS[answer.instrument]
        priority = self_harm_priority(instrument, answer.points, answer.self_harm_item)
        said = before.get(answer.check_in_id, {}).get(answer.instrument)
        if priority is None or (said and not _is_worse(instrument, answer, said)) or _is_open(known, answer, priority):
            continue
        raised.append(
            Alert(
                clinic_id=clinic_id,
                id=new_id(),
                patient_id=answer.patient_id,
                check_in_id=answer.check_in_id,
                session_id=answer.session_id,
                instrument=answer.instrument,
                kind="self_harm_item",
                priority=priority,
                late=is_late(answer.taken_at, answer.recorded_at),
                state="open",
                taken_at=answer.taken_at,
                raised_at=answer.recorded_at,
                amended_at=None,
            )
        )
    db.add_all(raised)
    return known + raised


def acknowledge(db: Session, act: Act, alert_id: UUID, body: AcknowledgementIn) -> AlertOut:
    """Adds an acknowledgement; none is ever replaced. Raises NotFound."""
    alert = store.locked(db, act.clinic_id, alert_id)
    if alert is None:
        raise NotFound
    db.add(
        Acknowledgement(
            clinic_id=act.clinic_id,
            id=new_id(),
            alert_id=alert_id,
            by_kind=act.actor_kind,
            by_id=act.actor_id,
            at=act.at,
            note=body.note,
            disposition=body.disposition,
        )
    )
    if body.disposition != "could_not_reach":
        alert.state = "acknowledged"
        db.add(alert)
    db.flush()
    audit.record(db, act, [alert.patient_id])
    return answers_of(db, act.clinic_id, [alert])[0]


def listed(
    db: Session, clinic_id: UUID, state: str | None, late: bool | None, after: Sequence[Any] | None, limit: int
) -> list[AlertOut]:
    """A page, one more than `limit` where there is more."""
    return answers_of(db, clinic_id, store.page(db, clinic_id, state, late, after, limit))


def answers_of(db: Session, clinic_id: UUID, alerts: Sequence[Alert]) -> list[AlertOut]:
    """Alerts with their acknowledgements: one query for all."""
    if not alerts:
        return []
    done = store.acknowledgements(db, clinic_id, [alert.id for alert in alerts])
    return [answer(alert, done.get(alert.id, [])) for alert in alerts]


def answer(alert: Alert, acknowledgements: Sequence[Acknowledgement] = ()) -> AlertOut:
    """An alert as the service shows it."""
    return AlertOut(
        id=alert.id,
        kind=alert.kind,
        priority=alert.priority,
        late=alert.late,
        patient_id=alert.patient_id,
        check_in_id=alert.check_in_id,
        session_id=alert.session_id,
        instrument=alert.instrument,
        taken_at=alert.taken_at,
        raised_at=alert.raised_at,
        amended_at=alert.amended_at,
        state=alert.state,
        acknowledgements=[
            AcknowledgementOut(
                by=CallerOut(kind=a.by_kind, id=a.by_id), at=a.at, note=a.note, disposition=a.disposition
            )
            for a in acknowledgements
        ],
        notifications=[],
    )


def _is_worse(instrument: Instrument, answer: Answered, said: tuple[int, int | None]) -> bool:
    """Whether an amended answer came to its line, or lies further over it than before."""
    before = _PRIORITIES.get(self_harm_priority(instrument, *said) or "", 0)
    now = _PRIORITIES.get(self_harm_priority(instrument, answer.points, answer.self_harm_item) or "", 0)
    further = said[1] is not None and answer.self_harm_item is not None and answer.self_harm_item > said[1]
    return now > before or further


def _is_open(known: Sequence[Alert], answer: Answered, priority: str) -> bool:
    same = (a for a in known if a.check_in_id == answer.check_in_id and a.instrument == answer.instrument)
    return any(
        a.state == "open" and a.kind == "self_harm_item" and _PRIORITIES[a.priority] >= _PRIORITIES[priority]
        for a in same
    )
