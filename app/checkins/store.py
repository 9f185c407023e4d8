"""Queries on check-ins. Each runs one statement for the whole batch, whatever its size."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func
from sqlmodel import SQLModel, col, select

from app.checkins.models import CheckIn, CheckInVersion, KnownPost
from app.storage import Transaction, below, insert
from app.tracks.models import ScoreVersion

Row = tuple[CheckIn, CheckInVersion]


def by_ids(db: Transaction, clinic_id: UUID, check_in_ids: Collection[UUID]) -> dict[UUID, Row]:
    """Check-ins with their current versions."""
    if not check_in_ids:
        return {}
    rows = db.exec(_current(clinic_id).where(col(CheckIn.id).in_(check_in_ids)))
    return {row[0].id: (row[0], row[1]) for row in rows}


def known_posts(db: Transaction, clinic_id: UUID, post_ids: Collection[UUID]) -> dict[UUID, KnownPost]:
    """Posts that made no check-in of their own, by their ids."""
    if not post_ids:
        return {}
    query = select(KnownPost).where(col(KnownPost.clinic_id) == clinic_id, col(KnownPost.id).in_(post_ids))
    return {post.id: post for post in db.exec(query)}


def right_clocks(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Collection[UUID],
    device_ids: Collection[UUID],
    since: datetime,
    within: timedelta,
) -> set[UUID]:
    """Of these devices, those that sent a check-in since `since` by a clock that differed from ours by less than
    `within`."""
    version = CheckInVersion
    query = select(version.recorded_by_id).where(
        col(version.clinic_id) == clinic_id,
        col(version.patient_id).in_(patient_ids),
        col(version.recorded_at) >= since,
        col(version.version) == 1,  # later ones tell of the clock that sent the first
        col(version.moved_from).is_(None),
        col(version.recorded_by_id).in_(device_ids),
        func.abs(col(version.clock_offset_seconds)) < within.total_seconds(),
    )
    return set(db.exec(query.distinct()))


def page(
    db: Transaction,
    clinic_id: UUID,
    patient_id: UUID,
    since: datetime | None,
    until: datetime | None,
    instrument: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[Row]:
    """Check-ins taken from `since` to before `until`, newest first; `limit` + 1 rows if there are more."""
    query = _current(clinic_id).where(col(CheckIn.patient_id) == patient_id)
    if since is not None:
        query = query.where(col(CheckIn.taken_at) >= since)
    if until is not None:
        query = query.where(col(CheckIn.taken_at) < until)
    if instrument is not None:
        scored = select(ScoreVersion.check_in_id).where(
            col(ScoreVersion.clinic_id) == clinic_id,
            col(ScoreVersion.patient_id) == patient_id,
            col(ScoreVersion.instrument) == instrument,
            col(ScoreVersion.superseded_at).is_(None),
        )
        query = query.where(col(CheckIn.id).in_(scored))
    if after is not None:
        place = (datetime.fromisoformat(after[0]), UUID(after[1]))
        query = query.where(below((col(CheckIn.taken_at), col(CheckIn.id)), place))
    order = (col(CheckIn.taken_at).desc(), col(CheckIn.id).desc())
    rows: Sequence[Row] = db.exec(query.order_by(*order).limit(limit + 1)).all()
    return rows


def of_patient(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[Row]:
    """A patient's check-ins with their current versions, in order of time."""
    query = _current(clinic_id).where(col(CheckIn.patient_id) == patient_id)
    return [(row[0], row[1]) for row in db.exec(query.order_by(col(CheckIn.taken_at), col(CheckIn.id)))]


def first_recorded_since(db: Transaction, clinic_id: UUID, patient_id: UUID, since: datetime) -> Sequence[UUID]:
    """The check-ins that were first recorded for a patient after `since`, and did not come by a move."""
    query = select(CheckInVersion.check_in_id).where(
        col(CheckInVersion.clinic_id) == clinic_id,
        col(CheckInVersion.patient_id) == patient_id,
        col(CheckInVersion.recorded_at) > since,
        col(CheckInVersion.version) == 1,
        col(CheckInVersion.moved_from).is_(None),
    )
    return db.exec(query.order_by(col(CheckInVersion.recorded_at))).all()


def versions(db: Transaction, clinic_id: UUID, check_in_id: UUID) -> Sequence[CheckInVersion]:
    query = select(CheckInVersion).where(
        col(CheckInVersion.clinic_id) == clinic_id, col(CheckInVersion.check_in_id) == check_in_id
    )
    return db.exec(query.order_by(col(CheckInVersion.version))).all()


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[CheckInVersion]:
    """Every version of a patient's check-ins, oldest first."""
    query = select(CheckInVersion).where(
        col(CheckInVersion.clinic_id) == clinic_id, col(CheckInVersion.patient_id) == patient_id
    )
    return db.exec(query.order_by(col(CheckInVersion.recorded_at))).all()


def newest_known(db: Transaction, clinic_id: UUID, patient_id: UUID, known_at: datetime | None) -> datetime | None:
    """When the newest version of the patient's check-ins that was recorded by `known_at` was recorded."""
    query = select(CheckInVersion.recorded_at).where(
        col(CheckInVersion.clinic_id) == clinic_id, col(CheckInVersion.patient_id) == patient_id
    )
    if known_at is not None:
        query = query.where(col(CheckInVersion.recorded_at) <= known_at)
    return db.exec(query.order_by(col(CheckInVersion.recorded_at).desc()).limit(1)).first()


def insert_many(
    db: Transaction, check_ins: Sequence[CheckIn], versions: Sequence[CheckInVersion], known: Sequence[KnownPost]
) -> None:
    rows: dict[type[SQLModel], Sequence[SQLModel]] = {
        CheckIn: check_ins,
        CheckInVersion: versions,
        KnownPost: known,
    }
    insert(db, {table: [vars(row) for row in some] for table, some in rows.items()})


def _current(clinic_id: UUID) -> Any:
    query: Any = select(CheckIn, CheckInVersion).join(
        CheckInVersion,
        and_(
            col(CheckInVersion.clinic_id) == col(CheckIn.clinic_id),
            col(CheckInVersion.check_in_id) == col(CheckIn.id),
            col(CheckInVersion.version) == col(CheckIn.version),
        ),
    )
    return query.where(col(CheckIn.clinic_id) == clinic_id)
