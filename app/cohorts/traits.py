"""What an episode of infusions began with, as groups: route, dose, quarter of the year and age."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.cohorts import store
from app.cohorts.tallies import BY_EPISODE, GroupBy, Question, Trait
from app.patients import identifiers
from app.relief import Record
from app.sessions.models import SessionIn
from app.sessions.policies import dose_per_kilogram
from app.storage import Transaction

# Mg per kg from which a band begins; each ends before the next one.
_DOSES = (0.0, 0.4, 0.6, 0.8, 1.0)
_AGES = (0, 18, 30, 45, 60, 75)
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The first sessions of episodes by id, as route and dose in mg per kg, and the year of birth of each patient."""

    sessions: Mapping[str, tuple[str | None, float | None]] = field(default_factory=dict)
    births: Mapping[UUID, int | None] = field(default_factory=dict)

    def trait(self, question: Question, patient_id: UUID, patients: Trait, record: Record) -> Trait:
        """The trait of an episode; `patients` is that of its patient, where the grouping is by one."""
        if question.group_by == "induction_sessions":
            return record.induction_sessions
        if question.group_by not in BY_EPISODE:
            return patients
        if question.group_by == "quarter":
            return f"{record.first_session_on.year}-Q{(record.first_session_on.month + 2) // 3}"
        if question.group_by == "age_band":
            born = self.births.get(patient_id)
            age = -1 if born is None else record.first_session_on.year - born
            return _UNKNOWN if age < 0 else _band(age, _AGES)
        route, dose = self.sessions.get(record.first_session, (None, None))
        if question.group_by == "route":
            return route or _UNKNOWN
        return _UNKNOWN if dose is None else _band(dose, _DOSES)


def beginnings(
    db: Transaction, clinic_id: UUID, group_by: GroupBy, patient_ids: Collection[UUID], records: Iterable[Record]
) -> Beginnings:
    """What a grouping needs of these episodes and patients; nothing where it needs nothing."""
    if group_by == "age_band":
        people = identifiers.of_patients(db, clinic_id, patient_ids)
        return Beginnings(births={patient_id: person.birth_year for patient_id, person in people.items()})
    if group_by in ("route", "dose_band"):
        ids = [UUID(record.first_session) for record in records]
        contents = ((key, SessionIn.model_validate(value)) for key, value in store.contents(db, clinic_id, ids))
        return Beginnings({str(key): (body.route, dose_per_kilogram(body)) for key, body in contents})
    return Beginnings()


def _band(value: float, starts: Sequence[float]) -> str:
    """The band that a value is in, named by where it begins and where the next one begins."""
    index = max(i for i, start in enumerate(starts) if value >= start)
    following = starts[index + 1 : index + 2]
    return f"{starts[index]}_to_under_{following[0]}" if following else f"{starts[index]}_or_more"
