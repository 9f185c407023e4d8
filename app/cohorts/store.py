"""Queries on episodes. Each returns counts, so that the number of rows read does not grow with the cohort."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, or_
from sqlalchemy import select as rows_of
from sqlmodel import col, select

from app.cohorts.models import CohortSnapshot
from app.cohorts.tallies import RESISTANT_FROM_TRIALS, Early, GroupBy, Held, Mix, Question, Tallies, Trait
from app.instruments import INSTRUMENTS
from app.patients.models import Patient
from app.relief import Outcome
from app.sessions.models import InfusionSession, SessionVersion
from app.storage import Transaction
from app.tracks.models import DomainStatus, EpisodeRow, FoldRow
from app.tracks.patient_tracks import FOLD

_E = EpisodeRow
_HELD = and_(col(_E.evaluable), col(_E.days).is_not(None))
_EARLY = and_(col(_E.evaluable), col(_E.early).is_not(None))


def is_outdated(db: Transaction, clinic_id: UUID) -> bool:
    """Whether a fold is stored under another fold version, so that the stored episodes may be incomplete. Reads only
    the smallest and the largest version from the index."""
    kept = [
        rows_of(end(col(FoldRow.rule))).where(col(FoldRow.clinic_id) == clinic_id).scalar_subquery()
        for end in (func.min, func.max)
    ]
    return any(rule not in (None, FOLD) for rule in db.execute(rows_of(*kept)).one())


def spells(db: Transaction, clinic_id: UUID, question: Question) -> Tallies:
    """The counts of stored episodes for a question about durability."""
    found, trait = _complete(db, clinic_id, question), _trait(question.group_by)
    counted = _counted(db, clinic_id, question, [trait, *_outcome(question)], _HELD)
    found.spells = Counter({Held(mine, Outcome(*ended)): n for (mine, *ended), n in counted.items()})
    if question.group_by != "none":
        found.held_mix = _mixes(db, clinic_id, question, _HELD)
    found.people = _people(db, clinic_id, question, trait, _HELD, found.responders)
    found.people_overlap = question.group_by == "induction_sessions" and _overlap(db, clinic_id, question, _HELD)
    return found


def early(db: Transaction, clinic_id: UUID, question: Question) -> Tallies:
    """The counts of stored episodes for a question about early outcomes."""
    found, trait = _complete(db, clinic_id, question), _trait(question.group_by)
    overlaps = col(_E.early_days) < INSTRUMENTS[question.instrument].recall_days
    counted = _counted(db, clinic_id, question, [trait, col(_E.baseline), col(_E.early), overlaps], _EARLY)
    found.early = Counter(
        {
            Early(mine, was, is_, None if back is None else bool(back)): n
            for (mine, was, is_, back), n in counted.items()
        }
    )
    if question.group_by != "none":
        found.early_mix = _mixes(db, clinic_id, question, _EARLY)
    found.early_people = _people(db, clinic_id, question, trait, _EARLY, found.with_early_reading)
    found.early_missing = _one_column(_counted(db, clinic_id, question, [trait], _missing(question)))
    found.early_overlap = question.group_by == "induction_sessions" and _overlap(db, clinic_id, question, _EARLY)
    return found


# Patients whose scores are in no answer: entered in error, or merged into another one.
_LEFT_OUT = ("entered_in_error", "merged")


def cohort(
    db: Transaction, clinic_id: UUID, known_at: datetime | None, after: UUID | None, limit: int
) -> Sequence[Any]:
    """A batch of patients in id order: id, indications as stored, failed antidepressant trials. A record that was
    merged into another one after `known_at` is still a patient's then."""
    columns = rows_of(
        col(Patient.id), cast(col(Patient.indications), Text), col(Patient.failed_antidepressant_trials)
    ).where(col(Patient.clinic_id) == clinic_id, col(Patient.care_status) != "entered_in_error")
    unmerged = col(Patient.merged_into).is_(None)
    columns = columns.where(unmerged if known_at is None else or_(unmerged, col(Patient.merged_at) > known_at))
    if after is not None:
        columns = columns.where(col(Patient.id) > after)
    return db.execute(columns.order_by(col(Patient.id)).limit(limit)).all()


# What answers are made of, in the order of `kept.kept_record`. Snapshots hold these values: new ones come last.
EPISODE_VALUES = (
    _E.episode, _E.induction_sessions, _E.induction_ended_on, _E.baseline, _E.evaluable, _E.followed, _E.early,
    _E.median_gap_days, _E.days, _E.event, _E.days_before_course, _E.days_before_rescue, _E.last_response,
    _E.early_days,
)  # fmt: skip


def episodes(db: Transaction, clinic_id: UUID) -> Sequence[Any]:
    """All episodes of patients who are not left out: patient, instrument, and the values that answers are made of."""
    columns = (_E.patient_id, _E.instrument, *EPISODE_VALUES)
    query = rows_of(*(col(column) for column in columns)).where(
        col(_E.clinic_id) == clinic_id, col(_E.patient_id).not_in(mistaken(clinic_id))
    )
    return db.execute(query.order_by(col(_E.patient_id), col(_E.instrument), col(_E.episode))).all()


def episodes_of(db: Transaction, clinic_id: UUID, instrument: str, patient_ids: Collection[UUID]) -> Sequence[Any]:
    """The episodes of these patients by one instrument: patient, day of the last event, id and day of the first
    session, and the values that answers are made of."""
    columns = (_E.patient_id, _E.last_on, _E.first_session_id, _E.first_session_on, *EPISODE_VALUES)
    query = rows_of(*(col(column) for column in columns)).where(
        col(_E.clinic_id) == clinic_id, col(_E.instrument) == instrument, col(_E.patient_id).in_(patient_ids)
    )
    return db.execute(query.order_by(col(_E.patient_id), col(_E.episode))).all()


def contents(db: Transaction, clinic_id: UUID, session_ids: Collection[UUID]) -> Sequence[Any]:
    """The id and the current content of these sessions."""
    query = rows_of(col(InfusionSession.id), col(SessionVersion.content)).join_from(
        InfusionSession,
        SessionVersion,
        and_(
            col(SessionVersion.clinic_id) == col(InfusionSession.clinic_id),
            col(SessionVersion.session_id) == col(InfusionSession.id),
            col(SessionVersion.version) == col(InfusionSession.version),
        ),
    )
    mine = (col(InfusionSession.clinic_id) == clinic_id, col(InfusionSession.id).in_(session_ids))
    return db.execute(query.where(*mine)).all()


def started(db: Transaction, clinic_id: UUID) -> Sequence[Any]:
    """The patients who have had a session and are not left out: id, indications as stored, failed trials."""
    mine = (
        col(DomainStatus.clinic_id) == clinic_id,
        col(DomainStatus.care_status).not_in(_LEFT_OUT),
        col(DomainStatus.domain) == "mood",
        col(DomainStatus.status) != "not_started",
    )
    columns = (col(Patient.id), cast(col(Patient.indications), Text), col(Patient.failed_antidepressant_trials))
    whose = and_(col(Patient.clinic_id) == col(DomainStatus.clinic_id), col(Patient.id) == col(DomainStatus.patient_id))
    return db.execute(rows_of(*columns).join_from(Patient, DomainStatus, whose).where(*mine)).all()


def snapshots(db: Transaction, clinic_id: UUID) -> Sequence[CohortSnapshot]:
    """The snapshots of a clinic, oldest first."""
    query = select(CohortSnapshot).where(col(CohortSnapshot.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(CohortSnapshot.taken_at))).all()


def last_snapshot(db: Transaction, clinic_id: UUID) -> CohortSnapshot | None:
    query = select(CohortSnapshot).where(col(CohortSnapshot.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(CohortSnapshot.taken_at).desc()).limit(1)).first()


def add_snapshot(db: Transaction, snapshot: CohortSnapshot) -> None:
    db.add(snapshot)
    db.flush()


def _trait(group_by: GroupBy) -> Any:
    if group_by == "indication":
        return cast(col(Patient.indications), Text)
    if group_by == "treatment_resistant":
        return col(Patient.failed_antidepressant_trials)
    return col(_E.induction_sessions) if group_by == "induction_sessions" else col(_E.instrument)


def _outcome(question: Question) -> tuple[Any, Any, Any, Any]:
    """What became of a spell, by the rules of `relief.Spell.outcome`."""
    whole = (col(_E.days), col(_E.event), col(_E.last_response), col(_E.days_before_rescue))
    if question.boosters == "ignore":
        return whole
    days, event, last_response, before_rescue = whole
    before_course = col(_E.days_before_course)
    return (
        func.coalesce(before_course, days),
        case((before_course.is_(None), event)),
        func.coalesce(before_course, last_response),
        case((before_course.is_(None), before_rescue)),
    )


def _mixes(db: Transaction, clinic_id: UUID, question: Question, which: ColumnElement[bool]) -> dict[Trait, Mix]:
    """What the groups of a question are made of, by trait."""
    trait, trials = _trait(question.group_by), col(Patient.failed_antidepressant_trials)
    columns = [
        trait,
        func.count(),
        func.sum(col(_E.baseline)),
        func.count(trials),
        func.sum(case((trials >= RESISTANT_FROM_TRIALS, 1), else_=0)),
    ]
    query = _of(clinic_id, question, columns, with_patients=True).where(which)
    return {row[0]: Mix(*map(int, row[1:])) for row in db.execute(query.group_by(trait))}


def _missing(question: Question) -> ColumnElement[bool]:
    return and_(col(_E.evaluable), col(_E.early).is_(None), col(_E.induction_ended_on) < question.early_closed_on)


def _has_gap() -> ColumnElement[bool]:
    return and_(col(_E.evaluable), col(_E.median_gap_days).is_not(None))


def _of(
    clinic_id: UUID, question: Question, columns: Sequence[Any], *, by_trait: bool = False, with_patients: bool = False
) -> Any:
    """The episodes of patients who are not left out, joined with patients if the trait is a column of theirs."""
    query = rows_of(*columns).where(
        col(_E.clinic_id) == clinic_id,
        col(_E.instrument) == question.instrument,
        col(_E.patient_id).not_in(mistaken(clinic_id)),
    )
    if with_patients or (by_trait and question.group_by in ("indication", "treatment_resistant")):
        whose = and_(col(Patient.clinic_id) == col(_E.clinic_id), col(Patient.id) == col(_E.patient_id))
        query = query.join_from(EpisodeRow, Patient, whose)
    return query


def mistaken(clinic_id: UUID) -> Any:
    """The patients who are left out of every answer."""
    return select(DomainStatus.patient_id).where(
        col(DomainStatus.clinic_id) == clinic_id, col(DomainStatus.care_status).in_(_LEFT_OUT)
    )


def _counted(
    db: Transaction,
    clinic_id: UUID,
    question: Question,
    columns: Sequence[Any],
    which: ColumnElement[bool],
    *,
    by_trait: bool = True,
) -> Counter[Any]:
    query = _of(clinic_id, question, [*columns, func.count()], by_trait=by_trait).where(which).group_by(*columns)
    return Counter({tuple(row[:-1]): row[-1] for row in db.execute(query)})


def _people(
    db: Transaction, clinic_id: UUID, question: Question, trait: Any, which: ColumnElement[bool], everyone: int
) -> Counter[Trait]:
    """The number of patients by trait. Without a grouping that is `everyone`, and no query is needed."""
    if question.group_by == "none":
        return Counter({question.instrument: everyone}) if everyone else Counter()
    columns = [trait, func.count(col(_E.patient_id).distinct())]
    query = _of(clinic_id, question, columns, by_trait=True).where(which).group_by(trait)
    return Counter({row[0]: row[1] for row in db.execute(query)})


def _one_column(counts: Counter[Any]) -> Counter[Any]:
    return Counter({key[0]: count for key, count in counts.items()})


def _overlap(db: Transaction, clinic_id: UUID, question: Question, which: ColumnElement[bool]) -> bool:
    query = _of(clinic_id, question, [col(_E.patient_id)]).where(which).group_by(col(_E.patient_id))
    several = func.count(col(_E.induction_sessions).distinct()) > 1
    return db.execute(query.having(several).limit(1)).first() is not None


def _patients(db: Transaction, clinic_id: UUID) -> int:
    """The number of patients who have had a session: each of them has exactly one row for mood."""
    query = select(func.count()).where(
        col(DomainStatus.clinic_id) == clinic_id,
        col(DomainStatus.care_status).not_in(_LEFT_OUT),
        col(DomainStatus.domain) == "mood",
        col(DomainStatus.status) != "not_started",
    )
    return db.exec(query).one()


def _complete(db: Transaction, clinic_id: UUID, question: Question) -> Tallies:
    """The counts of completeness: patients by what is known, episodes with an outcome, gaps between readings."""
    evaluable = col(_E.evaluable)
    facts = (col(_E.baseline).is_not(None), evaluable, and_(evaluable, col(_E.followed)), _HELD, _EARLY)
    known = [func.max(case((fact, 1), else_=0)).label(f"known{i}") for i, fact in enumerate(facts)]
    counted = [func.sum(case((fact, 1), else_=0)).label(f"counted{i}") for i, fact in enumerate((_HELD, _EARLY))]
    last = func.max(col(_E.last_on)).label("last_on")
    by_patient = _of(clinic_id, question, [last, *known, *counted]).group_by(col(_E.patient_id)).subquery()
    last_on, *counts = by_patient.c
    sums = db.execute(rows_of(func.max(last_on), *(func.coalesce(func.sum(column), 0) for column in counts))).one()
    with_baseline, with_evaluable, with_follow_up, responders, with_early_reading, spells, early = map(int, sums[1:])
    return Tallies(
        last_on=sums[0],
        gaps=_one_column(_counted(db, clinic_id, question, [col(_E.median_gap_days)], _has_gap(), by_trait=False)),
        patients=_patients(db, clinic_id),
        with_baseline=with_baseline,
        evaluable=with_evaluable,
        with_follow_up=with_follow_up,
        responders=responders,
        with_early_reading=with_early_reading,
        spell_count=spells,
        early_count=early,
    )
