"""Alerts that go along with what they are about when it moves to another record, and come back with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.alerts import following, raising, store
from app.alerts.models import Alert
from app.alerts.policies import is_notified
from app.storage import Transaction


@dataclass(frozen=True, slots=True)
class Place:
    """What an alert is about: a check-in, a session, or nothing that is known."""

    check_in_id: UUID | None
    session_id: UUID | None


Places = Callable[[Alert], Place | None]


def of_moved(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places, at: datetime) -> None:
    """Makes the alerts about answers and side effects that moved those of the other patient, and open and timely:
    nobody has looked after that patient because of them. What was done about them stays. An onset of the wrong person
    is none of the right one's; it is taken back by the fold."""
    for alert in store.of_patients(db, clinic_id, [source], None, lock=True):
        place = None if alert.kind in following.KINDS else place_of(alert)
        if place is None:
            continue
        _point(alert, to, place)
        if alert.kind == "self_harm_item" and alert.state != "withdrawn":
            alert.state, alert.late, alert.moved_at = "open", False, at
            store.end_notices(db, clinic_id, alert.id)
            if is_notified(alert.priority, late=False):
                raising.notify(db, alert)
        db.add(alert)
    db.flush()


def of_merged(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places, at: datetime) -> None:
    """Makes every alert of a merged record the other one's, each with what it was before. Of an answer that both
    records hold, and of refused forms by one instrument, one alert stays open."""
    theirs = store.of_patients(db, clinic_id, [to], None, lock=True)
    held = {_about(alert) for alert in theirs if alert.state in ("open", "acknowledged")}
    refused = {a.instrument: a for a in theirs if a.score_refused and a.state == "open"}
    for alert in store.of_patients(db, clinic_id, [source], None, lock=True):
        alert.former = [*alert.former, _as_it_is(alert)]
        _point(alert, to, place_of(alert) or Place(None, None))
        twin = refused.get(alert.instrument) if alert.score_refused and alert.state == "open" else None
        if twin is not None:
            raising.join_refused(db, twin, alert)
        about = _about(alert)
        if twin is not None or (about is not None and about in held):
            raising.withdraw(db, alert, at, "merged")
        db.add(alert)
    db.flush()


def of_returned(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places) -> None:
    """Gives a record its alerts back: those that it had before the merge, as they were but for what was done since, and
    those about what returns."""
    for alert in store.of_patients(db, clinic_id, [source], None, lock=True):
        was = alert.former[-1] if alert.former else None
        if was is not None and was["patient_id"] == str(to):
            _point(alert, to, Place(_id(was["check_in_id"]), _id(was["session_id"])))
            alert.former = alert.former[:-1]
            if alert.withdrawn_because == "merged" and alert.state == "withdrawn":
                alert.state, alert.withdrawn_at, alert.withdrawn_because = was["state"] or "open", None, None
        elif alert.kind not in following.KINDS and (place := place_of(alert)) is not None:
            _point(alert, to, place)
        db.add(alert)
    db.flush()


def _point(alert: Alert, patient_id: UUID, place: Place) -> None:
    alert.patient_id, alert.check_in_id, alert.session_id = patient_id, place.check_in_id, place.session_id


def _about(alert: Alert) -> tuple[UUID | None, UUID | None, str | None] | None:
    """What tells an alert about an answer or a side effect from another; None for an onset, or if it is not known."""
    if alert.kind in following.KINDS or (alert.check_in_id or alert.session_id) is None:
        return None
    return (alert.check_in_id, None if alert.check_in_id else alert.session_id, alert.instrument)


def _as_it_is(alert: Alert) -> dict[str, str | None]:
    about = {"check_in_id": alert.check_in_id, "session_id": alert.session_id}
    ids = {name: None if value is None else str(value) for name, value in about.items()}
    return {"patient_id": str(alert.patient_id), "state": alert.state, **ids}


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
