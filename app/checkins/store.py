"""Queries on check-ins. Each runs one statement for the whole batch, whatever its size."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.checkins.models import VERSIONED, CheckIn, CheckInVersion, KnownPost, become
from app.storage import Transaction, below, insert, row_maker
from app.tracks.models import ScoreVersion

Row = tuple[CheckIn, CheckInVersion]

_version_row = row_maker(CheckInVersion)


def current_version(check_in: CheckIn) -> CheckInVersion:
    """The current version of a check-in, as it stands now."""
    said = {name: getattr(check_in, name) for name in VERSIONED}
    return _version_row(clinic_id=check_in.clinic_id, check_in_id=check_in.id, patient_id=check_in.patient_id, **said)


def add_version(db: Transaction, check_in: CheckIn, new: CheckInVersion) -> None:
    """Makes another version the current one. The first one is kept beside the later ones from then on."""
    if check_in.version == 1:
        db.add(CheckInVersion(**vars(current_version(check_in))))
    become(check_in, new)
    db.add_all([check_in, new])


def by_ids(db: Transaction, clinic_id: UUID, check_in_ids: Collection[UUID]) -> dict[UUID, Row]:
    """Check-ins with their current versions."""
    if not check_in_ids:
        return {}
    found = db.exec(_of_clinic(clinic_id).where(col(CheckIn.id).in_(check_in_ids)))
    return {check_in.id: (check_in, current_version(check_in)) for check_in in found}


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
    found: set[UUID] = set()
    for version in (CheckIn, CheckInVersion):
        query = select(version.recorded_by_id).where(
            col(version.clinic_id) == clinic_id,
            col(version.patient_id).in_(patient_ids),
            col(version.recorded_at) >= since,
            col(version.version) == 1,  # later ones tell of the clock that sent the first
            col(version.moved_from).is_(None),
            col(version.recorded_by_id).in_(device_ids),
            func.abs(col(version.clock_offset_seconds)) < within.total_seconds(),
        )
        found.update(db.exec(query.distinct()))
    return found


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
    query = _of_clinic(clinic_id).where(col(CheckIn.patient_id) == patient_id)
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
    return [(found, current_version(found)) for found in db.exec(query.order_by(*order).limit(limit + 1))]


def of_patient(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[Row]:
    """A patient's check-ins with their current versions, in order of time."""
    query = _of_clinic(clinic_id).where(col(CheckIn.patient_id) == patient_id)
    found = db.exec(query.order_by(col(CheckIn.taken_at), col(CheckIn.id)))
    return [(check_in, current_version(check_in)) for check_in in found]


def first_recorded_since(db: Transaction, clinic_id: UUID, patient_id: UUID, since: datetime) -> Sequence[UUID]:
    """The check-ins that were first recorded for a patient after `since`, and did not come by a move."""
    found: list[tuple[datetime, UUID]] = []
    for version, its_id in ((CheckIn, CheckIn.id), (CheckInVersion, CheckInVersion.check_in_id)):
        query = select(col(version.recorded_at), col(its_id)).where(
            col(version.clinic_id) == clinic_id,
            col(version.patient_id) == patient_id,
            col(version.recorded_at) > since,
            col(version.version) == 1,
            col(version.moved_from).is_(None),
        )
        found += db.exec(query)
    return [check_in_id for _, check_in_id in sorted(found)]


def versions(db: Transaction, clinic_id: UUID, check_in_id: UUID) -> Sequence[CheckInVersion]:
    """Every version of a check-in, oldest first."""
    query = select(CheckInVersion).where(
        col(CheckInVersion.clinic_id) == clinic_id, col(CheckInVersion.check_in_id) == check_in_id
    )
    found = db.exec(query.order_by(col(CheckInVersion.version))).all()
    return found or [version for _, version in by_ids(db, clinic_id, [check_in_id]).values()]


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[CheckInVersion]:
    """Every version of a patient's check-ins, oldest first."""
    query = select(CheckInVersion).where(
        col(CheckInVersion.clinic_id) == clinic_id, col(CheckInVersion.patient_id) == patient_id
    )
    only = [version for _, version in of_patient(db, clinic_id, patient_id) if version.version == 1]
    return sorted([*only, *db.exec(query)], key=lambda version: version.recorded_at)


def newest_known(db: Transaction, clinic_id: UUID, patient_id: UUID, known_at: datetime | None) -> datetime | None:
    """When the newest version of the patient's check-ins that was recorded by `known_at` was recorded."""
    found = []
    for version in (CheckIn, CheckInVersion):
        query = select(func.max(col(version.recorded_at))).where(
            col(version.clinic_id) == clinic_id, col(version.patient_id) == patient_id
        )
        if known_at is not None:
            query = query.where(col(version.recorded_at) <= known_at)
        found.append(db.exec(query).one())
    return max((moment for moment in found if moment is not None), default=None)


def insert_many(
    db: Transaction, check_ins: Sequence[CheckIn], versions: Sequence[CheckInVersion], known: Sequence[KnownPost]
) -> None:
    rows: dict[type[SQLModel], Sequence[SQLModel]] = {CheckIn: check_ins, CheckInVersion: versions, KnownPost: known}
    insert(db, {table: [vars(row) for row in some] for table, some in rows.items()})


def _of_clinic(clinic_id: UUID) -> SelectOfScalar[CheckIn]:
    return select(CheckIn).where(col(CheckIn.clinic_id) == clinic_id)
