"""The response bodies of a check-in: its scores, phase, alerts and notice."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.access.models import CrisisContact
from app.access.service import NOTICE, Caller
from app.alerts.models import AlertOut
from app.alerts.policies import needs_notice
from app.checkins.deciding import Decision
from app.checkins.models import (
    CallerOut,
    CheckInOut,
    CheckInReceipt,
    CheckInVersion,
    NoticeOut,
    ScoreOut,
)
from app.checkins.policies import corrected_by, phase
from app.instruments import INSTRUMENTS
from app.tracks.answers import in_words_for_patient
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion
from app.tracks.output import TrackOut


def check_in_out(
    caller: Caller,
    version: CheckInVersion,
    scores: Sequence[ScoreVersion],
    calendar: Calendar,
    raised: Sequence[AlertOut],
) -> CheckInOut:
    """One version of a check-in. Alerts are shown only to callers who may read them, so never to a patient."""
    return CheckInOut(**_fields(caller, version, scores, calendar, raised))


def _fields(
    caller: Caller,
    version: CheckInVersion,
    scores: Sequence[ScoreVersion],
    calendar: Calendar,
    raised: Sequence[AlertOut],
) -> dict[str, Any]:
    return {
        "id": version.check_in_id,
        "patient_id": version.patient_id,
        "taken_at": version.taken_at,
        "recorded_at": version.recorded_at,
        "phase": phase(version.taken_at, version.stated_before_at, calendar),
        "session_id": version.session_id,
        "before_infusion": version.stated_before_at is not None,
        "clock_corrected_by_seconds": corrected_by(version.clock_offset_seconds, is_suspect=version.clock_suspect),
        "clock_suspect": version.clock_suspect,
        "version": version.version,
        "status": "moved" if version.moved_to is not None else "voided" if version.voided else "recorded",
        "moved_from": version.moved_from if caller.patient_id is None else None,
        "moved_to": version.moved_to if caller.patient_id is None else None,
        "reason": version.reason if caller.patient_id is None else None,  # staff wrote it for staff
        "source_recorded_at": version.source_recorded_at,
        "recorded_by": CallerOut(kind=version.recorded_by_kind, id=version.recorded_by_id),
        "scores": [score_out(score) for score in scores],
        "alerts": list(raised) if "alerts:read" in caller.scopes else [],
        "notice": notice(caller, scores),
    }


def receipt(
    caller: Caller,
    version: CheckInVersion,
    scores: Sequence[ScoreVersion],
    calendar: Calendar,
    raised: Sequence[AlertOut],
    relief: list[TrackOut],
    decision: Decision | None = None,
    *,
    own: bool,
) -> CheckInReceipt:
    """The response to recording, limited to what the caller may read. Without `outcomes:read` it shows no relief.
    Without `checkins:read` it shows scores only if `own`, that is if this caller has just recorded the check-in."""
    fields = _fields(caller, version, scores, calendar, raised)
    if not own and "checkins:read" not in caller.scopes:
        fields |= {"scores": [], "session_id": None, "reason": None, "moved_from": None, "moved_to": None}
        fields["notice"] = None
    if decision is not None and decision.is_alarming:
        fields["notice"] = crisis_notice(caller)
    seen = relief if "outcomes:read" in caller.scopes else []
    if caller.patient_id is not None:
        seen = [in_words_for_patient(track) for track in seen] if caller.clinic.patient_view == "all" else []
    return CheckInReceipt(
        **fields,
        relief=seen,
        already_recorded=decision.already if decision else [],
        completed=decision.completed if decision else [],
        scores_dropped=decision.dropped if decision else [],
    )


def score_out(score: ScoreVersion) -> ScoreOut:
    """A score in the instrument's unit."""
    instrument, points = INSTRUMENTS[score.instrument], score.points
    return ScoreOut(
        id=score.id,
        instrument=score.instrument,
        domain=instrument.domain,
        value=None if points is None else instrument.value(points),
        complete=points is not None,
        severity=None if points is None else instrument.band(points),
        answers=score.answers,
        items_known=score.answers is not None or not instrument.items,
        self_harm_item=score.self_harm_item,
    )


def notice(caller: Caller, scores: Iterable[ScoreVersion]) -> NoticeOut | None:
    """The notice with the clinic's crisis contacts, if a self-harm item is at or over its line, or unknown."""
    if not any(needs_notice(INSTRUMENTS[s.instrument], s.points, s.self_harm_item) for s in scores):
        return None
    return crisis_notice(caller)


def crisis_notice(caller: Caller) -> NoticeOut:
    """Nobody watches answers in real time; whom to call now."""
    contacts = [CrisisContact(**contact) for contact in caller.clinic.crisis_contacts]
    return NoticeOut(text=NOTICE, crisis_contacts=contacts)
