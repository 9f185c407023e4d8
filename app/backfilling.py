"""Raises the alerts that existing data lacks, for example after an upgrade adds a kind of alert."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.access.door import record_act
from app.alerts import following, raising
from app.alerts import service as alerts
from app.alerts import store as alerts_store
from app.alerts.policies import is_late
from app.alerts.raising import Answered
from app.audit.service import Act, by_operator
from app.facts import Fact
from app.patients import service as people
from app.patients import store as patients
from app.sessions import service as sessions
from app.storage import Database, Transaction
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.onset_changes import onsets_of

_PATIENTS_A_ROUND = 20


def backfill(database: Database, clinic_id: UUID, say: Callable[[str], None] = lambda _: None) -> int:
    """Raises the missing alerts of a clinic and returns how many. An alert about something older than 72 hours is late:
    it is listed, but no mail is sent. Running this again raises nothing."""
    zone = database.reading(clinic_id, lambda db: access.time_zone(db, clinic_id))
    folded: Sequence[UUID] = ()
    # Folds of an older release are computed again first, because alerts are derived from the current folds.
    while (more := database.writing(clinic_id, lambda db: people.refold_outdated(db, clinic_id, zone))) != folded:
        folded = more
    raised, looked_at, after = 0, 0, None
    while ids := database.reading(clinic_id, partial(_next, clinic_id=clinic_id, after=after)):
        act = by_operator(clinic_id, "backfill_alerts", clock.now())
        raised += database.writing(clinic_id, partial(_round, act=act, patient_ids=ids, zone=zone))
        after, looked_at = ids[-1], looked_at + len(ids)
        say(str(looked_at))
    return raised


def _next(db: Transaction, clinic_id: UUID, after: UUID | None) -> list[UUID]:
    return patients.ids_after(db, clinic_id, after, _PATIENTS_A_ROUND)


def _round(db: Transaction, act: Act, patient_ids: Sequence[UUID], zone: ZoneInfo) -> int:
    """Raises what is missing for these patients. A round that raises nothing is not recorded."""
    clinic_id, now = act.clinic_id, act.at
    patients.locked(db, clinic_id, patient_ids)
    standing = alerts_store.of_patients(db, clinic_id, patient_ids, alerts.KINDS)
    before = {alert.id for alert in standing}
    answered = {(alert.check_in_id, alert.instrument) for alert in standing if alert.kind == "self_harm_item"}
    unanswered = [
        Answered(
            score.patient_id,
            score.check_in_id,
            None,
            score.instrument,
            score.points,
            score.self_harm_item,
            score.taken_at,
            now,
            late=late,
            urgent_is_late=late,
        )
        for score in tracks_store.with_self_harm_item(db, clinic_id, patient_ids)
        if (score.check_in_id, score.instrument) not in answered
        for late in [is_late(score.taken_at, now)]
    ]
    raising.raise_for(db, clinic_id, unanswered, ())
    known = tracks.gather(db, clinic_id, patient_ids)
    told = onsets_of(known, "score_added", now)
    following.follow(db, clinic_id, told, zone, partial(tracks_store.check_ins_of, db, clinic_id))
    seen = {alert.session_id for alert in standing if alert.kind == "severe_side_effect"}
    for patient_id, session_id, started_at in sessions.severe(db, clinic_id, patient_ids):
        if session_id not in seen:
            raising.raise_severe_side_effect(db, clinic_id, patient_id, session_id, started_at, now)
    db.flush()
    raised = [a for a in alerts_store.of_patients(db, clinic_id, patient_ids, alerts.KINDS) if a.id not in before]
    if raised:
        record_act(db, act, Fact(None, tuple({alert.patient_id for alert in raised})))
    return len(raised)
