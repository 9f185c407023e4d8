"""The query of the outlook: the spells that may be compared."""

from collections.abc import Iterator
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
    db: Transaction, clinic_id: UUID, instrument: str, patient_id: UUID, held: int
) -> Iterator[tuple[UUID, Contribution]]:
    """What other patients' spells contribute, by patient. Reads of each diary only what the answer depends on, and only
    spells that were followed long enough."""
    first = max(0, held - MATCHED_WITHIN_DAYS)
    columns = (
        col(_E.patient_id),
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
    for whose, days, event, diary in db.execute(query):
        found = contribution(diary, days - first, is_event=event is not None, held=held - first)
        if found is not None:
            yield whose, found
