"""Which tracks' onsets a change made others, and why. The alerts follow them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.alerts.following import TrackOnsets
from app.relief import Onset, Track, onsets
from app.tracks.changes import Change
from app.tracks.patient_tracks import FOLLOWED, PatientTracks


def changed_onsets(
    changes: Sequence[Change],
    known: Mapping[UUID, PatientTracks],
    before: Mapping[UUID, Mapping[str, Track]],
) -> list[TrackOnsets]:
    """The onsets of every track in which these changes made them others. Of several changes of one patient the last one
    says why."""
    by_patient: dict[UUID, list[Change]] = {}
    for change in changes:
        by_patient.setdefault(change.subject.patient_id, []).append(change)
    found = []
    for patient_id, theirs in by_patient.items():
        recorded = [other.at for other in theirs if other.at] + [s.recorded_at for c in theirs for s in c.scores]
        recorded += [infusion.recorded_at for other in theirs for infusion in other.infusions]
        now, was = known[patient_id].tracks, before[patient_id]
        for code in sorted(now.keys() | was.keys()) if recorded else ():
            current, earlier = now.get(code), was.get(code)
            told = onsets(current) if current else ()
            if current is not earlier and _told(told) != _told(onsets(earlier) if earlier else ()):
                because = _because(theirs[-1], current, earlier)
                found.append(TrackOnsets(patient_id, code, told, because, max(recorded)))
    return found


def _told(told: Sequence[Onset]) -> list[tuple[Any, ...]]:
    """What of onsets an alert rests on. That a loss goes on is no news."""
    return [(o.kind, o.onset_on, o.said_by, o.late, o.is_over) for o in told]


def _because(change: Change, now: Track | None, before: Track | None) -> str:
    """Why an onset may be gone."""
    if change.because is not None:
        return change.because
    if change.infusions or change.replaces_sessions:
        return "session_changed"
    if now and before and now.episode and before.episode and now.episode.baseline != before.episode.baseline:
        return "baseline_changed"
    if not change.replaces_check_ins:
        return "score_added"
    return "amended" if change.scores else "voided"


def onsets_of(known: Mapping[UUID, PatientTracks], because: str, at: datetime) -> list[TrackOnsets]:
    """The onsets of these patients by every instrument, none where it has no track."""
    return [
        TrackOnsets(patient_id, code, onsets(mine.tracks[code]) if code in mine.tracks else (), because, at)
        for patient_id, mine in known.items()
        for code in sorted(FOLLOWED)
    ]
