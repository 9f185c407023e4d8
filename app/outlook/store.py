"""The query of the outlook: the spells that may be compared."""

from datetime import date
from uuid import UUID

from sqlalchemy import func
from sqlalchemy import select as rows_of
from sqlmodel import col

from app.cohorts.store import mistaken
from app.relief.outlook import DIARY_NEEDED_DAYS, MATCHED_WITHIN_DAYS, Contribution, contribution
from app.storage import Transaction
from app.tracks.models import EpisodeRow

_E = EpisodeRow


def contributions(
    db: Transaction, clinic_id: UUID, instrument: str, patient_id: UUID, held: int, as_of: date
) -> list[tuple[UUID, Contribution]] | None:
    """What other patients' spells contribute, by patient; None where a spell holds an event after `as_of`, as it may in
    the minutes before midnight. Reads of each diary only what the answer depends on, and only spells that were followed
    long enough."""
    first = max(0, held - MATCHED_WITHIN_DAYS)
    columns = (
        col(_E.patient_id),
        col(_E.last_on),
        col(_E.days),
        col(_E.event),
        func.substr(col(_E.diary), first + 1, DIARY_NEEDED_DAYS),
    )
    query = rows_of(*columns).where(
        col(_E.clinic_id) == clinic_id,
        col(_E.instrument) == instrument,
        col(_E.patient_id) != patient_id,
        col(_E.days) > first,
        col(_E.patient_id).not_in(mistaken(clinic_id)),
    )
    found = []
    for whose, last_on, days, event, diary in db.execute(query):
        if last_on > as_of:
            return None
        mine = contribution(diary, days - first, is_event=event is not None, held=held - first)
        if mine is not None:
            found.append((whose, mine))
    return found
