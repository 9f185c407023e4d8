"""Queries on patients."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import String as Text
from sqlalchemy import cast, func, or_
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.patients.models import Patient, PatientVersion
from app.storage import below


def locked(db: Session, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, Patient]:
    """These patients, locked in id order until the transaction ends: whoever writes locks first, then gathers."""
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.id).in_(sorted(patient_ids)))
    rows = db.exec(query.order_by(col(Patient.id)).with_for_update().execution_options(populate_existing=True))
    return {row.id: row for row in rows}


def find(db: Session, clinic_id: UUID, patient_id: UUID) -> Patient | None:
    return db.get(Patient, (clinic_id, patient_id))


def by_ids(db: Session, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, Patient]:
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.id).in_(patient_ids))
    return {patient.id: patient for patient in db.exec(query)}


def by_external_id(db: Session, clinic_id: UUID, external_id: str) -> Patient | None:
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.external_id) == external_id)
    return db.exec(query).first()


def version_known(db: Session, clinic_id: UUID, patient_id: UUID, known_at: datetime) -> PatientVersion:
    """The version in force at `known_at`; before any, the first."""
    query = select(PatientVersion).where(
        col(PatientVersion.clinic_id) == clinic_id, col(PatientVersion.patient_id) == patient_id
    )
    known = query.where(col(PatientVersion.recorded_at) <= known_at).order_by(col(PatientVersion.version).desc())
    found = db.exec(known.limit(1)).first() or db.exec(query.order_by(col(PatientVersion.version)).limit(1)).first()
    assert found is not None  # every patient has a first version
    return found


def page(
    db: Session,
    clinic_id: UUID,
    indication: str | None,
    care_status: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[Patient]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id)
    if indication is not None:
        # Every indication is a word of its own, so the quoted word is found in the document's text on any engine.
        query = query.where(cast(col(Patient.indications), Text).contains(f'"{indication}"', autoescape=True))
    if care_status is not None:
        query = query.where(col(Patient.care_status) == care_status)
    return _page(db, query, after, limit)


def search(
    db: Session, clinic_id: UUID, external_id: str | None, q: str | None, after: Sequence[str] | None, limit: int
) -> Sequence[Patient]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(Patient).where(col(Patient.clinic_id) == clinic_id)
    if external_id is not None:
        query = query.where(col(Patient.external_id) == external_id)
    if q is not None:
        part = q.lower()
        query = query.where(
            or_(
                func.lower(col(Patient.external_id)).contains(part, autoescape=True),
                func.lower(col(Patient.label)).contains(part, autoescape=True),
            )
        )
    return _page(db, query, after, limit)


def _page(db: Session, query: SelectOfScalar[Patient], after: Sequence[str] | None, limit: int) -> Sequence[Patient]:
    place = (col(Patient.created_at), col(Patient.id))
    if after is not None:
        query = query.where(below(place, (datetime.fromisoformat(after[0]), UUID(after[1]))))
    return db.exec(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()
