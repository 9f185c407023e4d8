"""Queries on patients."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String as Text
from sqlalchemy import cast, delete, func, or_
from sqlalchemy import select as rows_of
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.patients.models import Identifiers, Patient, PatientKey, PatientVersion
from app.storage import Lookup, Transaction, below, look_up, set_columns

_ENCRYPTED_AT_ONCE = 500


@dataclass(slots=True)
class PatientSummary:
    """The fields of a patient that recording and answering need: see Patient."""

    id: UUID
    last_recorded_at: datetime | None
    primary_instruments: dict[str, str]
    indications: list[str]
    care_status: str
    merged_into: UUID | None
    merged_at: datetime | None


# Every check-in and every answer asks one of them.
SUMMARIES, LOCKED_SUMMARIES = (
    Lookup(Patient, [field.name for field in fields(PatientSummary)], "id", lock=lock) for lock in (False, True)
)

# The keys of identities, and the encrypted identities.
IDENTITIES = Lookup(PatientKey, ("patient_id", "wrapped", "key_id"), "patient_id", also=(Identifiers, ("encrypted",)))
# (patient id, encrypted identity, the key of it as it is stored, the id of the secret under which that is).
Encrypted = tuple[UUID, bytes, bytes, str]


def locked(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, Patient]:
    """These patients, locked in id order until the transaction ends. A writer must lock before it reads."""
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.id).in_(sorted(patient_ids)))
    rows = db.exec(query.order_by(col(Patient.id)).with_for_update().execution_options(populate_existing=True))
    return {row.id: row for row in rows}


def not_told_what_is_due(
    db: Transaction, clinic_id: UUID, day: date, after: UUID | None, limit: int
) -> list[tuple[UUID, datetime, date | None, datetime | None]]:
    """(id, created at, the day up to which it was told, when something was last recorded) of at most `limit` active
    patients, in the order of their ids after one of them, of whom it was not told yet what is due on a day."""
    told_on = col(Patient.due_told_on)
    query = rows_of(col(Patient.id), col(Patient.created_at), told_on, col(Patient.last_recorded_at)).where(
        col(Patient.clinic_id) == clinic_id,
        col(Patient.care_status) == "active",
        col(Patient.merged_into).is_(None),
        col(Patient.erased_at).is_(None),
        or_(told_on.is_(None), told_on < day),
    )
    if after is not None:
        query = query.where(col(Patient.id) > after)
    return [(*row,) for row in db.execute(query.order_by(col(Patient.id)).limit(limit))]


def summaries(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID], *, lock: bool = False
) -> dict[UUID, PatientSummary]:
    """These patients in brief. `lock` locks them like `locked`, for callers that record."""
    [rows] = look_up(db, clinic_id, patient_ids, LOCKED_SUMMARIES if lock else SUMMARIES)
    return summarized(rows)


def summarized(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, PatientSummary]:
    """The patients in the answer to SUMMARIES."""
    return {row[0]: PatientSummary(*row) for row in rows}


def store_recorded_at(db: Transaction, clinic_id: UUID, patients: Collection[PatientSummary]) -> None:
    """Stores `last_recorded_at` of these patients."""
    rows = [{"clinic_id": clinic_id, "id": p.id, "last_recorded_at": p.last_recorded_at} for p in patients]
    set_columns(db, ("last_recorded_at",), {Patient: rows})


def find(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Patient | None:
    return db.get(Patient, (clinic_id, patient_id))


def by_ids(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, Patient]:
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.id).in_(patient_ids))
    return {patient.id: patient for patient in db.exec(query)}


def holders(db: Transaction, clinic_id: UUID, external_id_digests: Collection[str]) -> dict[str, UUID]:
    """The patients with these external ids, given as their keyed hashes."""
    query: Any = select(Identifiers.external_id_digest, Identifiers.patient_id).where(
        col(Identifiers.clinic_id) == clinic_id, col(Identifiers.external_id_digest).in_(external_id_digests)
    )
    return dict(iter(db.exec(query)))


def of_form_before(
    db: Transaction, clinic_id: UUID, form: int, after: UUID | None, limit: int
) -> Sequence[Identifiers]:
    """Identifiers whose keyed hash is of an earlier form, in the order of patients' ids, locked."""
    query = select(Identifiers).where(col(Identifiers.clinic_id) == clinic_id, col(Identifiers.form) < form)
    if after is not None:
        query = query.where(col(Identifiers.patient_id) > after)
    return db.exec(query.order_by(col(Identifiers.patient_id)).limit(limit).with_for_update()).all()


def of_other_key(db: Transaction, clinic_id: UUID, key_id: str, after: UUID | None, limit: int) -> Sequence[PatientKey]:
    """Patients' keys that another secret of the service encrypts, in the order of patients' ids, locked."""
    query = select(PatientKey).where(col(PatientKey.clinic_id) == clinic_id, col(PatientKey.key_id) != key_id)
    if after is not None:
        query = query.where(col(PatientKey.patient_id) > after)
    return db.exec(query.order_by(col(PatientKey.patient_id)).limit(limit).with_for_update()).all()


def take_turn(db: Transaction, clinic_id: UUID) -> None:
    """Waits until no other transaction of the clinic has its turn. SQLite has one writer anyway."""
    if db.get_bind().dialect.name == "postgresql":
        db.execute(rows_of(func.pg_advisory_xact_lock(func.hashtextextended(f"identities {clinic_id}", 0))))


def are_merged(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> bool:
    """Whether one of these records was merged into another one."""
    query = select(Patient.id).where(
        col(Patient.clinic_id) == clinic_id, col(Patient.id).in_(patient_ids), col(Patient.merged_into).is_not(None)
    )
    return db.exec(query.limit(1)).first() is not None


def clashing(db: Transaction, clinic_id: UUID) -> list[UUID]:
    """The patients whose external id another patient held before them, but for its case or form."""
    query = select(Identifiers.patient_id).where(
        col(Identifiers.clinic_id) == clinic_id, col(Identifiers.clashes).is_(True)
    )
    return list(db.exec(query.order_by(col(Identifiers.patient_id))))


def merged_into(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The records that were merged into these, each with the one it was merged into."""
    query: Any = select(Patient.id, Patient.merged_into).where(
        col(Patient.clinic_id) == clinic_id,
        col(Patient.merged_into).is_not(None),
        col(Patient.merged_into).in_(patient_ids),
    )
    return dict(iter(db.exec(query)))


def identifiers(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Identifiers | None:
    return db.get(Identifiers, (clinic_id, patient_id))


def key(db: Transaction, clinic_id: UUID, patient_id: UUID) -> PatientKey | None:
    return db.get(PatientKey, (clinic_id, patient_id))


def encrypted(rows: Iterable[tuple[Any, ...]]) -> list[Encrypted]:
    """What IDENTITIES found."""
    return [(patient_id, content, wrapped, key_id) for patient_id, wrapped, key_id, content in rows]


def encrypted_newest_first(
    db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int
) -> Iterator[list[Encrypted]]:
    """All encrypted identities of a clinic, newest patients first, in pages."""
    place = (col(Patient.created_at), col(Patient.id))
    query = _encrypted(clinic_id, Patient.created_at).join(
        Patient,
        (col(Patient.clinic_id) == col(Identifiers.clinic_id)) & (col(Patient.id) == col(Identifiers.patient_id)),
    )
    query = query.where(col(Patient.merged_into).is_(None))
    query = query.order_by(*(column.desc() for column in place)).limit(max(limit, _ENCRYPTED_AT_ONCE))
    position = None if after is None else (datetime.fromisoformat(after[0]), UUID(after[1]))
    while True:
        found = list(db.exec(query if position is None else query.where(below(place, position))))
        if not found:
            return
        yield [tuple(row[:4]) for row in found]
        position = (found[-1][4], found[-1][0])


def erase(db: Transaction, clinic_id: UUID, patient_id: UUID) -> None:
    """Deletes a patient's key and identifiers."""
    for kind in (PatientKey, Identifiers):
        db.execute(delete(kind).where(col(kind.clinic_id) == clinic_id, col(kind.patient_id) == patient_id))


def version_known(db: Transaction, clinic_id: UUID, patient_id: UUID, known_at: datetime) -> PatientVersion:
    """The version that was current at `known_at`, or the first version if that is later."""
    query = select(PatientVersion).where(
        col(PatientVersion.clinic_id) == clinic_id, col(PatientVersion.patient_id) == patient_id
    )
    known = query.where(col(PatientVersion.recorded_at) <= known_at).order_by(col(PatientVersion.version).desc())
    found = db.exec(known.limit(1)).first() or db.exec(query.order_by(col(PatientVersion.version)).limit(1)).first()
    assert found is not None  # every patient has a first version
    return found


def page(
    db: Transaction,
    clinic_id: UUID,
    indication: str | None,
    care_status: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[Patient]:
    """Patients, newest first, but for those merged into others. Returns one row more than `limit` if there are more."""
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.merged_into).is_(None))
    if indication is not None:
        # The indications are stored as JSON. No indication contains another in quotes, so a text search for the quoted
        # value works on both databases.
        query = query.where(cast(col(Patient.indications), Text).contains(f'"{indication}"', autoescape=True))
    if care_status is not None:
        query = query.where(col(Patient.care_status) == care_status)
    return _page(db, query, after, limit)


def _page(
    db: Transaction, query: SelectOfScalar[Patient], after: Sequence[str] | None, limit: int
) -> Sequence[Patient]:
    place = (col(Patient.created_at), col(Patient.id))
    if after is not None:
        query = query.where(below(place, (datetime.fromisoformat(after[0]), UUID(after[1]))))
    return db.exec(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()


def _encrypted(clinic_id: UUID, *more: Any) -> Any:
    query: Any = select(
        Identifiers.patient_id, Identifiers.encrypted, PatientKey.wrapped, PatientKey.key_id, *more
    ).join(
        PatientKey,
        (col(PatientKey.clinic_id) == col(Identifiers.clinic_id))
        & (col(PatientKey.patient_id) == col(Identifiers.patient_id)),
    )
    return query.where(col(Identifiers.clinic_id) == clinic_id)


def versions(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[PatientVersion]:
    """The versions of a patient, oldest first."""
    query = select(PatientVersion).where(
        col(PatientVersion.clinic_id) == clinic_id, col(PatientVersion.patient_id) == patient_id
    )
    return db.exec(query.order_by(col(PatientVersion.version))).all()


def newest_recorded_at(db: Transaction, clinic_id: UUID) -> datetime | None:
    """When the newest version of a check-in, session or patient of a clinic was recorded."""
    found: datetime | None = db.exec(
        select(func.max(Patient.last_recorded_at)).where(col(Patient.clinic_id) == clinic_id)
    ).one()
    return found


def ids_after(db: Transaction, clinic_id: UUID, after: UUID | None, limit: int) -> list[UUID]:
    """A batch of patient ids, in order, without those merged into others."""
    query = select(Patient.id).where(col(Patient.clinic_id) == clinic_id, col(Patient.merged_into).is_(None))
    if after is not None:
        query = query.where(col(Patient.id) > after)
    return list(db.exec(query.order_by(col(Patient.id)).limit(limit)))
