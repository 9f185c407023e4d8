"""Tells that check-ins have become due: `plan.due`, once for each patient and day.

What is due comes with the clinic's day and not with a write, so a job looks at each active patient once a day. It
tells of what became due since the day up to which it told before, as long as it can still be answered and is not. What
arises afterwards for a day that was told is not told: whoever records a session late, or changes a plan, knows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from app.access import store as access
from app.outbox import service as outbox
from app.patients import store as patients
from app.plans.models import LONGEST_WINDOW_DAYS
from app.plans.service import asked_of
from app.storage import Transaction
from app.tracks.days import local_day

_PATIENTS_A_ROUND = 50


@dataclass(frozen=True, slots=True)
class Round:
    """Patients who were looked at on a day, and those of them of whom something has become due."""

    day: date
    patient_ids: Sequence[UUID]
    asked: Collection[UUID]


def look(db: Transaction, clinic_id: UUID, now: datetime) -> Round | None:
    """Looks at a few patients of whom it was not told yet what is due today; None if there are none."""
    zone = access.time_zone(db, clinic_id)
    today = local_day(now, zone)
    rows = patients.not_told_what_is_due(db, clinic_id, today, _PATIENTS_A_ROUND)
    asked = set()
    for patient_id, enrolled_at, told_on in rows:
        since = local_day(enrolled_at, zone) if told_on is None else told_on + timedelta(days=1)
        first = max(since, today - timedelta(days=LONGEST_WINDOW_DAYS))
        every = asked_of(db, clinic_id, zone, patient_id, enrolled_at, first, today, today)
        if any(one.state(today) in ("due", "overdue") for one in every):
            asked.add(patient_id)
    return Round(today, [row[0] for row in rows], asked) if rows else None


def tell(db: Transaction, clinic_id: UUID, found: Round, now: datetime) -> None:
    """Tells what was found, and that nothing of that day is left to be told of these patients."""
    for patient in patients.locked(db, clinic_id, found.patient_ids).values():
        patient.due_told_on = found.day
    outbox.record(db, [outbox.change(clinic_id, "plan.due", patient_id, now) for patient_id in found.asked])
