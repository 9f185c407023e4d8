"""Use cases of alerts: acknowledging and showing."""

from collections.abc import Sequence
from uuid import UUID

from app.alerts import store
from app.alerts.models import (
    Acknowledgement,
    AcknowledgementIn,
    AcknowledgementOut,
    Alert,
    AlertOut,
    CallerOut,
    Notification,
    NotificationOut,
)
from app.audit.service import Act
from app.errors import NotFound
from app.facts import Fact
from app.storage import Transaction, new_id

KINDS = ("self_harm_item", "reliable_deterioration", "relief_lost", "severe_side_effect")


def acknowledge(db: Transaction, act: Act, alert_id: UUID, body: AcknowledgementIn) -> Fact[AlertOut]:
    """Adds an acknowledgement; earlier ones stay. Raises NotFound."""
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
        if alert.state == "open":  # one that was withdrawn, or was history from the start, is not on anybody's list
            alert.state = "acknowledged"
        db.add(alert)
        store.end_notices(db, act.clinic_id, alert_id)
    db.flush()
    return Fact(alerts_out(db, act.clinic_id, [alert])[0], (alert.patient_id,), is_new=True)


def one(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Fact[AlertOut]:
    """An alert with what was done about it. Raises NotFound."""
    alert = store.find(db, clinic_id, alert_id)
    if alert is None:
        raise NotFound
    return Fact(alerts_out(db, clinic_id, [alert])[0], (alert.patient_id,))


def of_patient(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[AlertOut]:
    """Every alert of a patient, oldest first."""
    return alerts_out(db, clinic_id, store.of_patients(db, clinic_id, [patient_id], KINDS))


def alerts_out(db: Transaction, clinic_id: UUID, alerts: Sequence[Alert]) -> list[AlertOut]:
    """Alerts with acknowledgements and notifications: one query for each of the two."""
    if not alerts:
        return []
    ids = [alert.id for alert in alerts]
    done = store.acknowledgements(db, clinic_id, ids)
    told = store.notifications(db, clinic_id, ids)
    return [alert_out(alert, done.get(alert.id, []), told.get(alert.id, [])) for alert in alerts]


def alert_out(
    alert: Alert, acknowledgements: Sequence[Acknowledgement] = (), notifications: Sequence[Notification] = ()
) -> AlertOut:
    """The response body of an alert."""
    return AlertOut(
        id=alert.id,
        kind=alert.kind,
        priority=alert.priority,
        late=alert.late,
        patient_id=alert.patient_id,
        check_in_id=alert.check_in_id,
        session_id=alert.session_id,
        instrument=alert.instrument,
        onset_on=alert.onset_on,
        taken_at=alert.taken_at,
        raised_at=alert.raised_at,
        amended_at=alert.amended_at,
        score_refused=alert.score_refused,
        repeats=alert.repeats,
        state=alert.state,
        withdrawn_at=alert.withdrawn_at,
        withdrawn_because=alert.withdrawn_because,
        acknowledgements=[
            AcknowledgementOut(
                by=CallerOut(kind=a.by_kind, id=a.by_id), at=a.at, note=a.note, disposition=a.disposition
            )
            for a in acknowledgements
        ],
        notifications=[NotificationOut(to=n.recipient, at=n.at, outcome=n.outcome) for n in notifications],
    )
