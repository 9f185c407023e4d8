"""Use cases of alerts: listing and acknowledging."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.access import store as access
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
        alert.state = "acknowledged"
        db.add(alert)
        store.end_notices(db, act.clinic_id, alert_id)
    db.flush()
    return Fact(alerts_out(db, act.clinic_id, [alert])[0], (alert.patient_id,), is_new=True)


def listed(
    db: Transaction,
    clinic_id: UUID,
    state: str | None,
    late: bool | None,
    assigned_to: UUID | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[AlertOut]:
    """A page of alerts, of all patients or of one person's; one item more than `limit` if there are more."""
    whose = None if assigned_to is None else access.cared_for(clinic_id, assigned_to)
    return alerts_out(db, clinic_id, store.page(db, clinic_id, state, late, whose, after, limit))


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
        notifications=[NotificationOut(to=n.recipient, at=n.at, outcome=n.outcome) for n in notifications],
    )
