"""Raises the alerts that existing data lacks, for example after an upgrade adds a kind of alert."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.access.door import record_act
from app.alerts import raising
from app.alerts import service as alerts
from app.alerts import store as alerts_store
from app.alerts.models import Alert
from app.alerts.raising import Answered, Worsened
from app.audit.service import Act, by_operator
from app.facts import Fact
from app.patients import service as people
from app.patients import store as patients
from app.sessions import service as sessions
from app.storage import Database, Transaction
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.domains import alarming, latest_verdict
from app.tracks.events import local_day

_PATIENTS_A_ROUND = 20


def backfill(database: Database, clinic_id: UUID) -> int:
    """Raises the missing alerts of a clinic and returns how many. An alert about something older than 72 hours is late:
    it is listed, but no mail is sent. Running this again raises nothing."""
    zone = database.reading(clinic_id, lambda db: access.time_zone(db, clinic_id))
    folded: Sequence[UUID] = ()
    # Folds of an older release are computed again first, because alerts are derived from the current folds.
    while (more := database.writing(clinic_id, lambda db: people.refold_outdated(db, clinic_id, zone))) != folded:
        folded = more
    raised, after = 0, None
    while ids := database.reading(clinic_id, partial(_next, clinic_id=clinic_id, after=after)):
        act = by_operator(clinic_id, "backfill_alerts", clock.now())
        raised += database.writing(clinic_id, partial(_round, act=act, patient_ids=ids, zone=zone))
        after = ids[-1]
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
        )
        for score in tracks_store.with_self_harm_item(db, clinic_id, patient_ids)
        if (score.check_in_id, score.instrument) not in answered
    ]
    raising.raise_for(db, clinic_id, unanswered, (), _worsened(db, clinic_id, patient_ids, standing, zone, now))
    seen = {alert.session_id for alert in standing if alert.kind == "severe_side_effect"}
    for patient_id, session_id, started_at in sessions.severe(db, clinic_id, patient_ids):
        if session_id not in seen:
            raising.raise_severe_side_effect(db, clinic_id, patient_id, session_id, started_at, now)
    db.flush()
    raised = [a for a in alerts_store.of_patients(db, clinic_id, patient_ids, alerts.KINDS) if a.id not in before]
    if raised:
        record_act(db, act, Fact(None, tuple({alert.patient_id for alert in raised})))
    return len(raised)


def _worsened(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Sequence[UUID],
    standing: Sequence[Alert],
    zone: ZoneInfo,
    now: datetime,
) -> list[Worsened]:
    """What the latest readings call for that no alert has said since it became so."""
    found = []
    for patient_id, known in tracks.gather(db, clinic_id, patient_ids).items():
        mine = [alert for alert in standing if alert.patient_id == patient_id]
        for code, track in known.tracks.items():
            latest = track.episode.standing.latest if track.episode else None
            for kind, since_on in alarming(latest_verdict(track, code)).items():
                said = (a for a in mine if a.kind == kind and a.instrument == code)
                if latest is None or any(local_day(a.taken_at, zone) >= since_on for a in said):
                    continue
                found.append(Worsened(kind, patient_id, None, code, latest.taken_at, now))
    return found
