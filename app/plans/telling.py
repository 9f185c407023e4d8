"""Tells that check-ins have become due: `plan.due`, once for each patient and day.

What is due comes with the clinic's day and not with a write, so a job looks at each active patient once a day. It
tells of what became due since the day up to which it told before, as long as it can still be answered and is not. An
infusion that is recorded on a later day than its own makes it look again, from its day on (`patients.tell_due_from`).
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access import store as access
from app.outbox import service as outbox
from app.patients import store as patients
from app.plans.models import LONGEST_WINDOW_DAYS
from app.plans.service import asked_of
from app.storage import Transaction
from app.tracks.days import local_day

logger = logging.getLogger("holdfast")

_PATIENTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Looked:
    """The patients who were looked at on a day, in order, each with when something of theirs was last recorded by then,
    and those of them of whom something has become due."""

    day: date
    recorded_at: Mapping[UUID, datetime | None]
    due: Collection[UUID]


def look(db: Transaction, clinic_id: UUID, now: datetime, after: UUID | None = None) -> Looked | None:
    """Looks at a few patients, after one of them, of whom it was not told yet what is due today; None if there are
    none."""
    zone = access.time_zone(db, clinic_id)
    today = local_day(now, zone)
    rows = patients.not_told_what_is_due(db, clinic_id, today, after, _PATIENTS_AT_ONCE)
    due = {row[0] for row in rows if _is_due(db, clinic_id, zone, today, *row[:3])}
    return Looked(today, {row[0]: row[3] for row in rows}, due) if rows else None


def _is_due(
    db: Transaction,
    clinic_id: UUID,
    zone: ZoneInfo,
    today: date,
    patient_id: UUID,
    enrolled_at: datetime,
    told_on: date | None,
) -> bool:
    since = local_day(enrolled_at, zone) if told_on is None else told_on + timedelta(days=1)
    first = max(since, today - timedelta(days=LONGEST_WINDOW_DAYS))
    try:
        every = asked_of(db, clinic_id, zone, patient_id, enrolled_at, first, today, today)
    except Exception as error:  # of one patient must not keep the others from being told of
        logger.warning("what is due of a patient could not be worked out: %s", type(error).__name__)
        return False
    return any(one.state(today) in ("due", "overdue") for one in every)


def tell(db: Transaction, clinic_id: UUID, found: Looked, now: datetime) -> None:
    """Tells what was found, of those patients who are still asked and of whom nobody has told meanwhile, and that
    nothing of that day is left to be told of them. Of whom something was recorded since, they are looked at again."""
    locked = patients.locked(db, clinic_id, found.recorded_at).values()
    left = [
        patient
        for patient in locked
        if patient.care_status == "active" and patient.merged_into is None and patient.erased_at is None
        if patient.due_told_on is None or patient.due_told_on < found.day
        if patient.last_recorded_at == found.recorded_at[patient.id]
    ]
    for patient in left:
        patient.due_told_on = found.day
    told = [patient.id for patient in left if patient.id in found.due]
    outbox.record(db, [outbox.change(clinic_id, "plan.due", patient_id, now) for patient_id in told])
