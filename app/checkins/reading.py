"""Use cases that read check-ins: the current version, lists, and all versions."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID

from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts import store as alerts_store
from app.alerts.models import AlertOut
from app.checkins import output, store
from app.checkins.models import CheckIn, CheckInOut, CheckInVersion
from app.errors import NotFound
from app.facts import Fact
from app.patients import service as patients
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion


def one(db: Transaction, caller: Caller, patient_id: UUID, check_in_id: UUID) -> Fact[CheckInOut]:
    """The current version of a check-in. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    row = find(db, caller.clinic_id, patient_id, check_in_id)
    value = _check_ins_out(db, caller, patient_id, [row])[0]
    return Fact(value, (patient_id,), value.version)


def listed(
    db: Transaction,
    caller: Caller,
    patient_id: UUID,
    first: date | None,
    last: date | None,
    instrument: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[CheckInOut]:
    """One page of check-ins taken on the clinic's days `first` to `last`, newest first. Returns one item more than
    `limit` if there are more. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    since = None if first is None else datetime.combine(first, time(), caller.time_zone)
    until = None if last is None else datetime.combine(last + timedelta(days=1), time(), caller.time_zone)
    rows = store.page(db, caller.clinic_id, patient_id, since, until, instrument, after, limit)
    return _check_ins_out(db, caller, patient_id, rows)


def versions(db: Transaction, caller: Caller, patient_id: UUID, check_in_id: UUID) -> Fact[list[CheckInOut]]:
    """Every version of a check-in, oldest first. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    _, current = find(db, caller.clinic_id, patient_id, check_in_id)
    calendar = calendar_of(db, caller, patient_id)
    scores: dict[int, list[ScoreVersion]] = {}
    # What was entered for the wrong person is not shown to that person's device.
    is_another_persons = caller.patient_id is not None and current.moved_to is not None
    for score in () if is_another_persons else tracks_store.versions_of_check_in(db, caller.clinic_id, check_in_id):
        scores.setdefault(score.version, []).append(score)
    raised = alerts.alerts_out(db, caller.clinic_id, alerts_store.of_check_ins(db, caller.clinic_id, [check_in_id]))
    every = store.versions(db, caller.clinic_id, check_in_id)
    shown = [output.check_in_out(caller, v, scores.get(v.version, []), calendar, raised) for v in every]
    return Fact(shown, (patient_id,))


def every_version(db: Transaction, caller: Caller, patient_id: UUID) -> list[CheckInOut]:
    """Every version of every check-in of a patient, oldest first, without alerts."""
    calendar = calendar_of(db, caller, patient_id)
    scores: dict[tuple[UUID, int], list[ScoreVersion]] = {}
    for score in tracks_store.every_version(db, caller.clinic_id, patient_id):
        scores.setdefault((score.check_in_id, score.version), []).append(score)
    return [
        output.check_in_out(caller, version, scores.get((version.check_in_id, version.version), []), calendar, [])
        for version in store.every_version(db, caller.clinic_id, patient_id)
    ]


def _check_ins_out(
    db: Transaction, caller: Caller, patient_id: UUID, rows: Sequence[tuple[CheckIn, CheckInVersion]]
) -> list[CheckInOut]:
    """Check-ins of one patient with their scores and alerts. One query for all scores and one for all alerts."""
    ids = [check_in.id for check_in, _ in rows]
    calendar = calendar_of(db, caller, patient_id)
    scores = scores_of(db, caller.clinic_id, ids)
    raised = alerts_of(db, caller.clinic_id, ids)
    return [
        output.check_in_out(caller, version, scores.get(check_in.id, []), calendar, raised.get(check_in.id, []))
        for check_in, version in rows
    ]


def find(db: Transaction, clinic_id: UUID, patient_id: UUID, check_in_id: UUID) -> tuple[CheckIn, CheckInVersion]:
    row = store.by_ids(db, clinic_id, [check_in_id]).get(check_in_id)
    if row is None or row[0].patient_id != patient_id:
        raise NotFound
    return row


def alerts_of(db: Transaction, clinic_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[AlertOut]]:
    found: dict[UUID, list[AlertOut]] = {}
    for shown in alerts.alerts_out(db, clinic_id, alerts_store.of_check_ins(db, clinic_id, ids)):
        assert shown.check_in_id is not None  # the alerts were found by their check-in
        found.setdefault(shown.check_in_id, []).append(shown)
    return found


def scores_of(db: Transaction, clinic_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[ScoreVersion]]:
    found: dict[UUID, list[ScoreVersion]] = {}
    for score in tracks_store.of_check_ins(db, clinic_id, ids):
        found.setdefault(score.check_in_id, []).append(score)
    return found


def calendar_of(db: Transaction, caller: Caller, patient_id: UUID) -> Calendar:
    return Calendar(tracks_store.infusions(db, caller.clinic_id, patient_id), caller.time_zone)
