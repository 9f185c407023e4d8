"""Each domain's answer: chooses the instrument that answers for it and builds the row that is stored."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.instruments import ALWAYS_LISTED, DOMAINS, INSTRUMENTS, Rule
from app.relief import STALE_AFTER_DAYS, Candidate, Track, Verdict, choose, fold, read
from app.tracks.events import infusion_events
from app.tracks.patient_tracks import CountedInfusion, PatientTracks, Subject
from app.tracks.priorities import Priority

_BY_STATUS = {
    "lost": Priority.LOST,
    "fading": Priority.FADING,
    "stale": Priority.STALE,
    "no_response": Priority.NO_RESPONSE,
    "partial_response": Priority.PARTIAL_RESPONSE,
    "awaiting_follow_up": Priority.AWAITING,
    "no_baseline": Priority.NO_BASELINE,
    "not_evaluable": Priority.NOT_EVALUABLE,
    "holding": Priority.HOLDING,
    "not_started": Priority.NOT_STARTED,
}
_SILENT_AFTER = {"lost": Priority.SILENT_AFTER_LOST, "fading": Priority.SILENT_AFTER_FADING}

# These names are both a domain and an indication.
_INDICATED = ("ptsd", "ocd")


def domain_values(subject: Subject, known: PatientTracks) -> list[dict[str, Any]]:
    """A row per listed domain: its answer on the day of the last event, and the day from which it is stale."""
    as_of = max((track.last.day for track in (known.blank, *known.tracks.values()) if track.last), default=date.min)
    verdicts, blank = verdicts_on(known, as_of), blank_verdict(known, as_of)
    return [
        {"care_status": subject.care_status, **domain_row(domain, code, verdicts.get(code, blank))}
        for domain, code, _ in chosen(subject, known, verdicts)
    ]


def domain_row(domain: str, code: str, verdict: Verdict) -> dict[str, Any]:
    instrument, latest, tenths = INSTRUMENTS[code], verdict.latest, verdict.improvement_tenths
    last_session_on = None
    if verdict.days_since_last_session is not None:
        last_session_on = verdict.as_of - timedelta(days=verdict.days_since_last_session)
    value = None if latest is None else instrument.value(instrument.points_of_severity(latest.severity))
    state = verdict.last_known if verdict.status in ("awaiting_follow_up", "stale") else verdict.status
    return {
        "domain": domain,
        "instrument": code,
        "priority": priority(verdict.status, state, verdict.flags),
        "stale_priority": None if verdict.heard_on is None else priority("stale", state, ()),
        "status": verdict.status,
        "state": state,
        "flags": list(verdict.flags),
        "since_on": verdict.since_on,
        "stale_on": None if verdict.heard_on is None else verdict.heard_on + timedelta(days=STALE_AFTER_DAYS + 1),
        "improvement_percent": None if tenths is None else tenths / 10,
        "latest_value": value,
        "latest_on": latest.day if latest else None,
        "last_session_on": last_session_on,
    }


def priority(status: str, state: str | None, flags: Collection[str]) -> Priority:
    """The priority of a status in the worklist; `state` is the status at the latest reading that counted."""
    if status in ("stale", "awaiting_follow_up") and state in _SILENT_AFTER:
        return _SILENT_AFTER[state]
    if status == "no_response" and "reliable_deterioration" in flags:
        return Priority.DETERIORATED
    return _BY_STATUS[status]


def chosen(
    subject: Subject, known: PatientTracks, verdicts: Mapping[str, Verdict]
) -> list[tuple[str, str, str | None]]:
    """(domain, instrument that answers for it, note) for every listed domain."""
    found = []
    for domain, order in DOMAINS.items():
        scored = any(code in verdicts for code in order)
        indicated = domain in _INDICATED and domain in subject.indications
        if not (domain in ALWAYS_LISTED or scored or indicated or domain in subject.primaries):
            continue
        candidates = {
            code: Candidate(verdicts[code], score.at if (score := known.tracks[code].latest_score) else None)
            for code in order
            if code in verdicts
        }
        instrument, note = choose(order, candidates, subject.primaries.get(domain))
        found.append((domain, instrument, note))
    return found


def verdicts_on(known: PatientTracks, as_of: date) -> dict[str, Verdict]:
    """The verdict of every instrument that has a track, in the order of the registry."""
    return {code: verdict_on(known, code, as_of) for code in INSTRUMENTS if code in known.tracks}


def verdict_on(known: PatientTracks, code: str, as_of: date) -> Verdict:
    """The verdict of a track on a day. It is cached in `known.read`, because recording a check-in needs the same
    verdict for the stored row, the alerts and the receipt."""
    track, earlier = known.tracks[code], known.read.get((code, as_of))
    if earlier is None or earlier[0] is not track:
        earlier = known.read[code, as_of] = (track, read(track, rule(code), as_of))
    return earlier[1]


def blank_track(infusions: Iterable[CountedInfusion], zone: ZoneInfo) -> Track:
    """The track of an instrument without a score: infusions alone, under no rule."""
    return fold(infusion_events(infusions, zone), None)


def blank_verdict(known: PatientTracks, as_of: date) -> Verdict:
    """The verdict of an instrument without a score."""
    return read(known.blank, None, as_of)


def rule(code: str) -> Rule:
    """The rule of an instrument that has a track."""
    found = INSTRUMENTS[code].rule
    assert found is not None  # screening instruments have no track
    return found
