"""Queries on versions, tracks and domain statuses: a fixed number of statements for any size of batch."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, inspect, tuple_, type_coerce, update
from sqlalchemy import select as rows_of
from sqlalchemy.orm import defer
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.instruments import INSTRUMENTS
from app.storage import Lookup, TextId, Transaction, insert, upsert
from app.tracks.events import ScoreRead, counting
from app.tracks.models import SELF_HARM_UNKNOWN, DomainStatus, EpisodeRow, FoldRow, InfusionVersion, ScoreVersion
from app.tracks.patient_tracks import FOLD, CountedInfusion


def infusions(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[CountedInfusion]:
    """The patient's infusions that count now, in order of time."""
    return infusions_of(db, clinic_id, [patient_id]).get(patient_id, [])


def infusions_of(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, list[CountedInfusion]]:
    """`infusions` of several patients."""
    versions: dict[UUID, list[InfusionVersion]] = {}
    for version in infusions_known(db, clinic_id, patient_ids, None):
        versions.setdefault(version.patient_id, []).append(version)
    return {patient_id: counting(every) for patient_id, every in versions.items()}


def scores(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Collection[UUID],
    instruments: Collection[str],
    *,
    with_answers: bool = True,
) -> list[ScoreVersion]:
    """Current scores on these instruments, in order of time, with the item answers unless told otherwise."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        col(ScoreVersion.patient_id).in_(patient_ids),
        col(ScoreVersion.instrument).in_(instruments),
        col(ScoreVersion.superseded_at).is_(None),
    )
    if not with_answers:
        answers: Any = ScoreVersion.answers
        query = query.options(defer(answers, raiseload=True))
    return list(db.exec(query.order_by(col(ScoreVersion.taken_at))))


_S = inspect(ScoreVersion).local_table.c
# Built once and without the ORM: a patient may have thousands of scores.
_READ = (
    rows_of(
        *(type_coerce(_S.id, TextId).label("id"), _S.instrument, _S.taken_at, _S.recorded_at),
        *(_S.stated_before_at, _S.points, _S.late, _S.prompt),
    )
    .where(_S.clinic_id == bindparam("clinic"), _S.patient_id == bindparam("patient"))
    .where(_S.instrument == bindparam("instrument"), _S.superseded_at.is_(None))
    .order_by(_S.taken_at)
)


def scores_as_read(db: Transaction, clinic_id: UUID, patient_id: UUID, instrument: str) -> list[ScoreRead]:
    """Current scores of a patient on one instrument, in order of time."""
    asked = {"clinic": clinic_id, "patient": patient_id, "instrument": instrument}
    return [ScoreRead._make(row) for row in db.connection().execute(_READ, asked).all()]


def infusions_known(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID], known_at: datetime | None
) -> list[InfusionVersion]:
    """Every version recorded by `known_at`, whether superseded since or not."""
    query = select(InfusionVersion).where(
        col(InfusionVersion.clinic_id) == clinic_id, col(InfusionVersion.patient_id).in_(patient_ids)
    )
    if known_at is not None:
        query = query.where(col(InfusionVersion.recorded_at) <= known_at)
    return list(db.exec(query))


def scores_known(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Collection[UUID],
    known_at: datetime | None,
    instrument: str | None = None,
) -> list[ScoreVersion]:
    """The scores visible at `known_at` (None: now), on one instrument or on all."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.patient_id).in_(patient_ids)
    )
    if instrument is not None:
        query = query.where(col(ScoreVersion.instrument) == instrument)
    if known_at is None:
        return list(db.exec(query.where(col(ScoreVersion.superseded_at).is_(None))))
    known = _standing_and_superseded(db, query.where(col(ScoreVersion.recorded_at) <= known_at))
    return [score for score in known if score.superseded_at is None or score.superseded_at > known_at]


def _standing_and_superseded(db: Transaction, query: SelectOfScalar[ScoreVersion]) -> list[ScoreVersion]:
    """Runs the query for current and for superseded versions separately, because each has an index of its own."""
    superseded_at = col(ScoreVersion.superseded_at)
    return [*db.exec(query.where(superseded_at.is_(None))), *db.exec(query.where(superseded_at.is_not(None)))]


# Named, so that a query by day can use the index in which they come before it.
CARE_STATUSES = ("active", "paused", "discharged", "deceased", "entered_in_error", "merged")

# (patient id, fold version, state) of every patient with a stored fold.
FOLDS = Lookup(FoldRow, ("patient_id", "rule", "state"), "patient_id")
# (patient id, domain, instrument, status) of every domain, as it was last told.
TOLD = Lookup(DomainStatus, ("patient_id", "domain", "instrument", "status"), "patient_id")


def upsert_folds(
    db: Transaction,
    folds: Sequence[dict[str, Any]],
    episodes: Sequence[dict[str, Any]],
    statuses: Sequence[dict[str, Any]],
) -> None:
    upsert(db, {FoldRow: folds, EpisodeRow: episodes, DomainStatus: statuses})


def outdated(db: Transaction, clinic_id: UUID, limit: int) -> list[UUID]:
    """At most `limit` patients whose fold was stored under another fold version. Less than and greater than are two
    queries, because each is one range of the index."""
    found: list[UUID] = []
    for other in (col(FoldRow.rule) < FOLD, col(FoldRow.rule) > FOLD):
        query = select(FoldRow.patient_id).where(col(FoldRow.clinic_id) == clinic_id, other)
        found += db.exec(query.limit(limit))
    return found[:limit]


def outdate(db: Transaction, clinic_id: UUID) -> None:
    """Marks every stored fold of a clinic as outdated, so that it is computed again."""
    db.execute(update(FoldRow).where(col(FoldRow.clinic_id) == clinic_id).values(rule=""))


def delete_episodes(
    db: Transaction, clinic_id: UUID, patient_id: UUID, instrument: str | None = None, after: int = 0
) -> None:
    """Deletes a patient's episodes numbered after `after`, on one instrument or on all."""
    query = delete(EpisodeRow).where(col(EpisodeRow.clinic_id) == clinic_id, col(EpisodeRow.patient_id) == patient_id)
    if instrument is not None:
        query = query.where(col(EpisodeRow.instrument) == instrument)
    db.execute(query.where(col(EpisodeRow.episode) > after))


_COLUMNS = [column.name for column in inspect(DomainStatus).local_table.c if column.name != "clinic_id"]
# The domain statuses of patients; `statuses` names their columns.
STATUSES = Lookup(DomainStatus, _COLUMNS, "patient_id")


def statuses(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[UUID, str], dict[str, Any]]:
    """What STATUSES found, by patient and domain."""
    named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return {(row["patient_id"], row["domain"]): row for row in named}


def turned(db: Transaction, clinic_id: UUID, day: date, limit: int) -> list[UUID]:
    """At most `limit` patients with a domain row whose next day has come by `day`."""
    query = select(DomainStatus.patient_id).where(
        col(DomainStatus.clinic_id) == clinic_id,
        col(DomainStatus.care_status).in_(CARE_STATUSES),
        col(DomainStatus.next_on) <= day,
    )
    return list(dict.fromkeys(db.exec(query.limit(limit))))


def has_turned(db: Transaction, clinic_id: UUID, day: date) -> bool:
    """Whether a domain row's next day has come by `day`."""
    return bool(turned(db, clinic_id, day, 1))


def delete_other_domains(db: Transaction, clinic_id: UUID, patient_id: UUID, domains: Collection[str]) -> None:
    """Deletes the statuses of the patient's domains that are not in `domains`."""
    db.execute(
        delete(DomainStatus)
        .where(col(DomainStatus.clinic_id) == clinic_id, col(DomainStatus.patient_id) == patient_id)
        .where(col(DomainStatus.domain).not_in(domains))
    )


_A = inspect(ScoreVersion).local_table.alias("answered")
_ANSWERED_LATER = exists().where(
    *(_A.c.clinic_id == bindparam("clinic"), _A.c.patient_id == _S.patient_id),
    _A.c.instrument.in_([code for code, known in INSTRUMENTS.items() if known.self_harm]),
    *(_A.c.superseded_at.is_(None), _A.c.self_harm_item.is_not(None), _A.c.taken_at > _S.taken_at),
)
_UNKNOWN = (
    rows_of(_S.patient_id, func.min(_S.taken_at))
    .where(_S.clinic_id == bindparam("clinic"), _S.patient_id.in_(bindparam("patients", expanding=True)))
    .where(SELF_HARM_UNKNOWN, ~_ANSWERED_LATER)
    .group_by(_S.patient_id)
)


# The patients with a total without items, whose answer to the self-harm item may be unknown since.
TOTALS_ALONE = Lookup(ScoreVersion, ("patient_id",), "patient_id", where=SELF_HARM_UNKNOWN.text)


def self_harm_unknown_since(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """For each patient, since when the answer to the self-harm item is unknown: the time of the first total without
    items after the last known answer. Leaves out patients whose latest answer is known or who were never asked."""
    if not patient_ids:
        return {}
    asked = {"clinic": clinic_id, "patients": list(patient_ids)}
    return dict(iter(db.connection().execute(_UNKNOWN, asked)))


def sessions_of(db: Transaction, clinic_id: UUID, session_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The patient id of each session id."""
    if not session_ids:
        return {}
    query = select(InfusionVersion.session_id, InfusionVersion.patient_id).where(
        col(InfusionVersion.clinic_id) == clinic_id,
        col(InfusionVersion.session_id).in_(session_ids),
        col(InfusionVersion.superseded_at).is_(None),
    )
    return dict(iter(db.exec(query)))


def standing_at(db: Transaction, clinic_id: UUID, positions: Collection[tuple[UUID, datetime]]) -> list[ScoreVersion]:
    """Current scores at these pairs of patient id and instant."""
    if not positions:
        return []
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        tuple_(col(ScoreVersion.patient_id), col(ScoreVersion.taken_at)).in_(list(positions)),
        col(ScoreVersion.superseded_at).is_(None),
    )
    return list(db.exec(query))


def standing_between(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID], first: datetime, last: datetime
) -> list[ScoreVersion]:
    """Current scores of these patients from `first` to `last`. For many instants of few patients: PostgreSQL finds the
    rows of `standing_at` by an index only where it knows how many there are."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        col(ScoreVersion.patient_id).in_(patient_ids),
        col(ScoreVersion.taken_at).between(first, last),
        col(ScoreVersion.superseded_at).is_(None),
    )
    return list(db.exec(query))


def of_check_ins(db: Transaction, clinic_id: UUID, check_in_ids: Collection[UUID]) -> list[ScoreVersion]:
    """Current scores of these check-ins, in the order they were posted."""
    if not check_in_ids:
        return []
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        col(ScoreVersion.check_in_id).in_(check_in_ids),
        col(ScoreVersion.superseded_at).is_(None),
    )
    # Sorted in Python, because with ORDER BY id SQLite scans the id index of the whole clinic.
    return sorted(db.exec(query), key=lambda score: score.id)


def versions_of_check_in(db: Transaction, clinic_id: UUID, check_in_id: UUID) -> list[ScoreVersion]:
    """The scores of every version of a check-in, in the order they were recorded."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.check_in_id) == check_in_id
    )
    return list(db.exec(query.order_by(col(ScoreVersion.version), col(ScoreVersion.id))))


def versions_of_check_ins(db: Transaction, clinic_id: UUID, check_in_ids: Collection[UUID]) -> list[ScoreVersion]:
    """The scores of every version of these check-ins."""
    if not check_in_ids:
        return []
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.check_in_id).in_(check_in_ids)
    )
    return sorted(db.exec(query), key=lambda score: (score.version, score.id))


def insert_versions(db: Transaction, scores: Sequence[ScoreVersion], infusions: Sequence[InfusionVersion]) -> None:
    insert(db, {ScoreVersion: [vars(row) for row in scores], InfusionVersion: [vars(row) for row in infusions]})


def supersede_scores(db: Transaction, clinic_id: UUID, check_in_ids: Collection[UUID], now: datetime) -> None:
    db.execute(
        update(ScoreVersion)
        .where(col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.check_in_id).in_(check_in_ids))
        .where(col(ScoreVersion.superseded_at).is_(None))
        .values(superseded_at=now)
    )


def supersede_infusions(db: Transaction, clinic_id: UUID, session_ids: Collection[UUID], now: datetime) -> None:
    db.execute(
        update(InfusionVersion)
        .where(col(InfusionVersion.clinic_id) == clinic_id, col(InfusionVersion.session_id).in_(session_ids))
        .where(col(InfusionVersion.superseded_at).is_(None))
        .values(superseded_at=now)
    )


def check_ins_of(db: Transaction, clinic_id: UUID, score_ids: Collection[str]) -> dict[str, UUID]:
    """The check-in of each of these scores."""
    query: Any = select(ScoreVersion.id, ScoreVersion.check_in_id).where(
        col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.id).in_(list(map(UUID, score_ids)))
    )
    return {str(score_id): check_in_id for score_id, check_in_id in db.exec(query)}


def last_taken(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When each patient's last score was taken, by any version of any check-in."""
    found: dict[UUID, datetime] = {}
    for condition in (col(ScoreVersion.superseded_at).is_(None), col(ScoreVersion.superseded_at).is_not(None)):
        query: Any = select(ScoreVersion.patient_id, func.max(col(ScoreVersion.taken_at))).where(
            col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.patient_id).in_(patient_ids), condition
        )
        for patient_id, taken_at in db.exec(query.group_by(col(ScoreVersion.patient_id))):
            found[patient_id] = max(found.get(patient_id, taken_at), taken_at)
    return found


def taken_between(
    db: Transaction, clinic_id: UUID, patient_id: UUID, since: datetime, until: datetime
) -> list[tuple[str, datetime, bool]]:
    """(instrument, taken_at, whether every item is answered) of every current score of a patient taken from `since` to
    before `until`."""
    query: Any = select(ScoreVersion.instrument, ScoreVersion.taken_at, col(ScoreVersion.points).is_not(None)).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        col(ScoreVersion.patient_id) == patient_id,
        col(ScoreVersion.superseded_at).is_(None),
        col(ScoreVersion.taken_at) >= since,
        col(ScoreVersion.taken_at) < until,
    )
    return [(instrument, taken_at, bool(whole)) for instrument, taken_at, whole in db.exec(query)]


def has_scores(db: Transaction, clinic_id: UUID) -> bool:
    """Whether the clinic has recorded any score."""
    return db.exec(select(ScoreVersion.id).where(col(ScoreVersion.clinic_id) == clinic_id).limit(1)).first() is not None


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[ScoreVersion]:
    """Every version of every score of a patient, in the order they were recorded."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id, col(ScoreVersion.patient_id) == patient_id
    )
    return sorted(_standing_and_superseded(db, query), key=lambda score: (score.recorded_at, score.id))


def with_self_harm_item(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> list[ScoreVersion]:
    """Current scores of instruments that ask about self-harm, oldest first."""
    query = select(ScoreVersion).where(
        col(ScoreVersion.clinic_id) == clinic_id,
        col(ScoreVersion.patient_id).in_(patient_ids),
        col(ScoreVersion.instrument).in_([code for code, known in INSTRUMENTS.items() if known.self_harm]),
        col(ScoreVersion.superseded_at).is_(None),
    )
    return list(db.exec(query.order_by(col(ScoreVersion.taken_at), col(ScoreVersion.id))))
