"""Raises alerts in the transaction that recorded their cause, and marks them when the cause is amended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app import clock
from app.alerts import store
from app.alerts.models import Alert, Notice
from app.alerts.policies import is_late, is_notified, self_harm_priority
from app.instruments import INSTRUMENTS, Instrument
from app.storage import Transaction, new_id

_PRIORITIES = {"high": 1, "urgent": 2}


@dataclass(frozen=True, slots=True)
class Answered:
    """A newly recorded score, with the fields that the alert rules need."""

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
    """A check-in that was amended or voided: (points, self-harm item) by instrument, before and after."""

    check_in_id: UUID
    at: datetime
    before: Mapping[str, tuple[int, int | None]]
    after: Mapping[str, tuple[int, int | None]]


@dataclass(frozen=True, slots=True)
class Worsened:
    """A track whose latest reading newly calls for an alert of this `kind`."""

    kind: str
    patient_id: UUID
    check_in_id: UUID | None
    instrument: str
    taken_at: datetime
    recorded_at: datetime


def raise_for(
    db: Transaction,
    clinic_id: UUID,
    answers: Sequence[Answered],
    amended: Sequence[Amended],
    worsened: Sequence[Worsened] = (),
) -> list[Alert]:
    """Raises the alerts of newly recorded scores. Returns them together with all earlier alerts of the amended
    check-ins. An amendment marks the alerts of the answers it changed and deletes none. It raises a new alert if an
    answer reached its line or got worse, unless an open alert of at least that priority exists."""
    known = store.of_check_ins(db, clinic_id, [a.check_in_id for a in amended])
    for amendment in amended:
        changed = [c for c, said in amendment.before.items() if amendment.after.get(c) != said]
        for alert in known:
            if alert.check_in_id == amendment.check_in_id and alert.instrument in changed:
                alert.amended_at = alert.amended_at or amendment.at
                db.add(alert)
    _make_timely(db, known, answers)
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
    raised += _worsened(db, clinic_id, worsened)
    _add(db, raised)
    return known + raised


def raise_severe_side_effect(
    db: Transaction, clinic_id: UUID, patient_id: UUID, session_id: UUID, taken_at: datetime, at: datetime
) -> None:
    """Raises an alert about a session with a severe side effect."""
    alert = Alert(
        clinic_id=clinic_id,
        id=new_id(),
        patient_id=patient_id,
        check_in_id=None,
        session_id=session_id,
        instrument=None,
        kind="severe_side_effect",
        priority="routine",
        late=is_late(taken_at, at),
        state="open",
        taken_at=taken_at,
        raised_at=at,
        amended_at=None,
    )
    _add(db, [alert])


def mark_amended(db: Transaction, clinic_id: UUID, session_id: UUID, at: datetime) -> None:
    """Marks the alerts of a session whose severe side effects were withdrawn. The alerts remain."""
    for alert in store.of_session(db, clinic_id, session_id):
        alert.amended_at = alert.amended_at or at
        db.add(alert)


def _add(db: Transaction, alerts: Sequence[Alert]) -> None:
    """Stores alerts, with a notice for each alert that mails must be sent about."""
    db.add_all(alerts)
    for alert in alerts:
        if is_notified(alert.priority, late=alert.late):
            _notify(db, alert)


def _make_timely(db: Transaction, known: Sequence[Alert], answers: Sequence[Answered]) -> None:
    """Makes late alerts timely if an amendment shows that their check-in is recent after all."""
    for alert in known:
        moved = (a for a in answers if (a.check_in_id, a.instrument) == (alert.check_in_id, alert.instrument))
        answer = next(moved, None)
        if answer is None or not alert.late or alert.state != "open" or is_late(answer.taken_at, answer.recorded_at):
            continue
        alert.late, alert.taken_at = False, answer.taken_at
        db.add(alert)
        if is_notified(alert.priority, late=False):
            _notify(db, alert)


def _worsened(db: Transaction, clinic_id: UUID, worsened: Sequence[Worsened]) -> list[Alert]:
    """Raises the alerts of worsened tracks that are not open yet. An open late alert does not prevent a timely one."""
    if not worsened:
        return []
    kinds = sorted({w.kind for w in worsened})
    standing = store.of_patients(db, clinic_id, [w.patient_id for w in worsened], kinds)
    said = {(a.patient_id, a.kind, a.instrument, a.late) for a in standing if a.state == "open"}
    raised = []
    for w in worsened:
        about, late = (w.patient_id, w.kind, w.instrument), is_late(w.taken_at, w.recorded_at)
        if (*about, False) in said or (*about, late) in said:
            continue
        said.add((*about, late))
        raised.append(
            Alert(
                clinic_id=clinic_id,
                id=new_id(),
                patient_id=w.patient_id,
                check_in_id=w.check_in_id,
                session_id=None,
                instrument=w.instrument,
                kind=w.kind,
                priority="routine",
                late=late,
                state="open",
                taken_at=w.taken_at,
                raised_at=w.recorded_at,
                amended_at=None,
            )
        )
    return raised


def _notify(db: Transaction, alert: Alert) -> None:
    db.add(
        Notice(
            clinic_id=alert.clinic_id,
            alert_id=alert.id,
            told=0,
            turn=0,
            attempts=0,
            first_told_at=None,
            due_at=clock.now(),  # not raised_at: it may be ahead if a clock was wrong earlier
        )
    )


def _is_worse(instrument: Instrument, answer: Answered, said: tuple[int, int | None]) -> bool:
    """Whether an amended answer reached its line, or is further over it than before."""
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
