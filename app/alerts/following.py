"""Keeps one alert for each onset: raises, withdraws and reopens alerts so that they say what the readings say now.

What is open follows from the readings, not from the order they came in. Recovery withdraws nothing; only an onset that
a new fold no longer has does.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.alerts import store
from app.alerts.models import Alert
from app.alerts.policies import is_late
from app.alerts.raising import new_alert, told_of, withdraw
from app.outbox import service as outbox
from app.relief import Onset
from app.storage import Transaction

KINDS = ("relief_lost", "reliable_deterioration")

# The check-in of each score, by the scores' ids.
CheckInsOf = Callable[[Collection[str]], Mapping[str, UUID]]


@dataclass(frozen=True, slots=True)
class TrackOnsets:
    """The onsets of one patient by one instrument, as they are since `at`. `because`: why an onset may be gone."""

    patient_id: UUID
    instrument: str
    onsets: Sequence[Onset]
    because: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Match:
    """An onset of a track and its alert, None where it has none yet."""

    track: TrackOnsets
    onset: Onset
    alert: Alert | None

    @property
    def is_said_anew(self) -> bool:
        """Whether another reading than before says so."""
        return self.alert is None or self.alert.taken_at != self.onset.taken_at


def follow(
    db: Transaction, clinic_id: UUID, tracks: Sequence[TrackOnsets], zone: ZoneInfo | None, check_ins_of: CheckInsOf
) -> list[Alert]:
    """Makes the alerts of these tracks what their onsets call for. Returns those that it raised or opened again. One
    query for all of them, and another where readings are named that no alert has named before."""
    if not tracks or zone is None:
        return []
    standing: dict[tuple[UUID, str | None, str], list[Alert]] = {}
    for alert in store.of_patients(db, clinic_id, {track.patient_id for track in tracks}, KINDS, lock=True):
        standing.setdefault((alert.patient_id, alert.instrument, alert.kind), []).append(alert)
    matches: list[_Match] = []
    for track in tracks:
        for kind in KINDS:
            mine = standing.get((track.patient_id, track.instrument, kind), [])
            found, left = _matched(track, [onset for onset in track.onsets if onset.kind == kind], mine, zone)
            matches += found
            for alert in left:
                withdraw(db, alert, track.at, track.because)
    named = {match.onset.said_by for match in matches if match.is_said_anew}
    check_ins = check_ins_of(named) if named else {}
    kept = [_kept(clinic_id, match, check_ins) for match in matches]
    told = [_told(match, one.alert) for match, one in zip(matches, kept, strict=True)]
    new = [one.alert for match, one in zip(matches, kept, strict=True) if match.alert is None]
    store.write(db, new, [match.alert for match in matches if match.alert is not None and db.is_modified(match.alert)])
    outbox.record(db, [row for row in told if row is not None])
    return [one.alert for one in kept if one.is_opened]


def _told(match: _Match, alert: Alert) -> dict[str, Any] | None:
    if match.alert is not None:
        return told_of(alert, match.track.at)
    is_open = alert.state == "open"
    return (
        outbox.change(alert.clinic_id, "alert.raised", alert.patient_id, match.track.at, alert.id) if is_open else None
    )


def _matched(
    track: TrackOnsets, told: Sequence[Onset], alerts: Sequence[Alert], zone: ZoneInfo
) -> tuple[list[_Match], list[Alert]]:
    """Gives each onset its alert: the one of the same day, else one whose run of readings overlaps, else none. Returns
    also the alerts that are left over."""
    left, found, others = list(alerts), [], []
    for onset in told:
        same = next((alert for alert in left if alert.onset_on == onset.onset_on), None)
        if same is None:
            others.append(onset)
        else:
            left.remove(same)
            found.append(_Match(track, onset, same))
    for onset in others:
        overlapping = next((alert for alert in left if _overlaps(alert, onset, zone)), None)
        if overlapping is not None:
            left.remove(overlapping)
        found.append(_Match(track, onset, overlapping))
    return found, left


class _Kept(NamedTuple):
    """The alert of an onset, and whether it is new or was opened again."""

    alert: Alert
    is_opened: bool


def _kept(clinic_id: UUID, match: _Match, check_ins: Mapping[str, UUID]) -> _Kept:
    """Brings an alert up to date with its onset, or raises it. What was acknowledged stays so."""
    track, onset, alert = match.track, match.onset, match.alert
    check_in_id = check_ins.get(onset.said_by)
    if alert is None:
        late = _is_late(onset, track.at)
        whose = (clinic_id, track.patient_id, track.instrument, onset.kind, "routine", late)
        alert = new_alert(*whose, onset.taken_at, track.at, check_in_id=check_in_id, onset_on=onset.onset_on)
        alert.state = _state(onset, late=late)
        return _Kept(alert, is_opened=True)
    was, is_said_anew, late = alert.state, match.is_said_anew, _is_late(onset, alert.raised_at)
    if was != "acknowledged":
        alert.state, alert.withdrawn_at, alert.withdrawn_because = _state(onset, late=late), None, None
    alert.onset_on, alert.late, alert.taken_at = onset.onset_on, late, onset.taken_at
    if is_said_anew:
        alert.check_in_id = check_in_id
    return _Kept(alert, is_opened=was not in ("open", "acknowledged") and alert.state == "open")


def _is_late(onset: Onset, raised_at: datetime) -> bool:
    """Whether an onset is no news: no reading of it was recorded in time, or it was over and only found long after."""
    return onset.late or (onset.is_over and is_late(onset.taken_at, raised_at))


def _state(onset: Onset, *, late: bool) -> str:
    """A loss that was over before anybody could be told is history."""
    return "historic" if onset.is_over and late else "open"


def _overlaps(alert: Alert, onset: Onset, zone: ZoneInfo) -> bool:
    said_on = alert.taken_at.astimezone(zone).date()
    return (alert.onset_on or said_on) <= onset.through_on and onset.onset_on <= said_on
