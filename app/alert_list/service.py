"""The use case of the list of alerts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.alert_list.models import AlertListed
from app.alerts import service as alerts
from app.alerts import store
from app.alerts.policies import RANKS
from app.alerts.store import Wanted
from app.patients import identifiers
from app.storage import Transaction


def listed(
    db: Transaction, clinic_id: UUID, wanted: Wanted, after: Sequence[Any] | None, limit: int
) -> list[AlertListed]:
    """A page of alerts with the labels of their patients; one item more than `limit` if there are more."""
    shown = alerts.alerts_out(db, clinic_id, store.page(db, clinic_id, wanted, after, limit))
    if not shown:
        return []
    people = identifiers.of_patients(db, clinic_id, {alert.patient_id for alert in shown})
    return [AlertListed(**dict(alert), label=people[alert.patient_id].label) for alert in shown]


def place(alert: AlertListed) -> list[Any]:
    """What a cursor stores of the last alert of a page."""
    return [RANKS[alert.priority], alert.late, alert.raised_at.isoformat(), str(alert.id)]
