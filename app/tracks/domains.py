"""Each domain's answer: chooses the instrument that answers for it and builds the row that is stored."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.errors import Fault, Invalid
from app.instruments import ALWAYS_LISTED, DOMAINS, INSTRUMENTS, Rule
from app.relief import STALE_AFTER_DAYS, VERSION, Candidate, Track, Verdict, choose, confirm_on, fold, read, silenced
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

# The day from which a status dates that dates from none: rows without a day come last.
ENDLESS = date(9999, 12, 31)

_PLACES = {code: place for place, code in enumerate(INSTRUMENTS)}

# These names are both a domain and an indication.
_INDICATED = ("ptsd", "ocd")


def domain_values(subject: Subject, known: PatientTracks, today: date | None = None) -> list[dict[str, Any]]:
    """A row per listed domain: its answer on the day of the last event, or on `today` if that is later, and what it
    becomes on later days if nothing arrives."""
    as_of = max((track.last.day for track in (known.blank, *known.tracks.values()) if track.last), default=date.min)
    verdicts, blank = verdicts_on(known, as_of), blank_verdict(known, as_of)
    rows = []
    for domain, code, _ in chosen(subject, known, verdicts):
        row = domain_row(domain, code, verdicts.get(code, blank))
        stages = list(_stages(subject, known, domain, verdicts, row))
        whole = {"care_status": subject.care_status, **row, "stages": stages, "next_on": _first_day(stages)}
        rows.append(whole if today is None else advanced(whole, today))
    return rows


def domain_row(domain: str, code: str, verdict: Verdict) -> dict[str, Any]:
    instrument, latest, tenths = INSTRUMENTS[code], verdict.latest, verdict.improvement_tenths
    last_session_on = None
    if verdict.days_since_last_session is not None:
        last_session_on = verdict.as_of - timedelta(days=verdict.days_since_last_session)
    value = None if latest is None else instrument.value(instrument.points_of_severity(latest.severity))
    state = verdict.last_known if verdict.status in ("awaiting_follow_up", "stale") else verdict.status
    near = near_line(code, verdict)
    return {
        "domain": domain,
        "instrument": code,
        "priority": priority(verdict.status, state, verdict.flags),
        "status": verdict.status,
        "state": state,
        "flags": list(verdict.flags),
        "since_on": verdict.since_on or ENDLESS,
        "improvement_percent": None if tenths is None else tenths / 10,
        "latest_value": value,
        "latest_on": latest.day if latest else None,
        "near_line": near,
        "confirm_on": confirm_on(verdict, instrument.recall_days, near_line=bool(near)),
        "last_session_on": last_session_on,
    }


def _stages(
    subject: Subject, known: PatientTracks, domain: str, found: Mapping[str, Verdict], row: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """What a domain's row becomes on later days if nothing arrives: the values that change, and from when. Only silence
    changes it: a track goes stale, or a flag is over."""
    now = {code: found[code] for code in DOMAINS[domain] if code in found}
    turns = {day for verdict in now.values() for day in _turns(verdict) if day > verdict.as_of}
    for day in sorted(turns):
        verdicts = {code: silenced(verdict, day) for code, verdict in now.items()}
        code = _choice(subject, known, domain, verdicts)[0] if len(verdicts) > 1 else row["instrument"]
        verdict = verdicts.get(code) or blank_verdict(known, day)
        then = _fallen_silent(row, verdict) if code == row["instrument"] else domain_row(domain, code, verdict)
        changed = {name: value for name, value in then.items() if value != row[name]}
        if changed:
            yield {"from_on": day.isoformat(), **{name: _plain(value) for name, value in changed.items()}}
        row = then


def _fallen_silent(row: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """A row whose instrument has gone stale, or whose flags are over: the rest stays as it was, `confirm_on` too, whose
    day is long past by then."""
    return {
        **row,
        "priority": priority(verdict.status, row["state"], verdict.flags),
        "status": verdict.status,
        "flags": list(verdict.flags),
        "since_on": verdict.since_on or ENDLESS,
    }


def _turns(verdict: Verdict) -> Iterator[date]:
    """The days on which silence changes what a track says."""
    after = timedelta(days=STALE_AFTER_DAYS + 1)
    if verdict.heard_on is not None:
        yield verdict.heard_on + after
    if verdict.flags and verdict.latest is not None:
        yield verdict.latest.day + after


def advanced(row: dict[str, Any], day: date) -> dict[str, Any]:
    """A row as it is on a day, with the stages that are still to come."""
    come = [stage for stage in row["stages"] if stage["from_on"] <= day.isoformat()]
    left = row["stages"][len(come) :]
    for stage in come:
        row = {**row, **{name: _value(name, value) for name, value in stage.items() if name != "from_on"}}
    return {**row, "stages": left, "next_on": _first_day(left)}


def _first_day(stages: Sequence[Mapping[str, Any]]) -> date | None:
    return date.fromisoformat(stages[0]["from_on"]) if stages else None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _value(name: str, plain: Any) -> Any:
    return date.fromisoformat(plain) if name.endswith("_on") and plain is not None else plain


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
        if domain in ALWAYS_LISTED or scored or indicated or domain in subject.primaries:
            found.append((domain, *_choice(subject, known, domain, verdicts)))
    return found


def _choice(
    subject: Subject, known: PatientTracks, domain: str, verdicts: Mapping[str, Verdict]
) -> tuple[str, str | None]:
    order = DOMAINS[domain]
    own = [code for code in order if code in verdicts]
    if len(own) <= 1 and domain not in subject.primaries:  # nothing to choose from: what has a track has a score
        return (own or order)[0], None
    candidates = {
        code: Candidate(verdicts[code], score.at if (score := known.tracks[code].latest_score) else None)
        for code in own
    }
    return choose(order, candidates, subject.primaries.get(domain), known.version)


def near_line(code: str, verdict: Verdict, version: str = VERSION) -> bool | None:
    """Whether the latest reading and the response line are within measurement error; None without either. Source:
    clinical reference 4.7 (c)."""
    if verdict.response_severity is None or verdict.latest is None:
        return None
    line = line_severity(code, verdict.response_severity)
    return None if line is None else rule(code, version).is_within_error(verdict.latest.severity, line)


# Cached, because every reading is compared with the line, and the scores that an instrument can give are many.
@lru_cache(maxsize=4_096)
def line_severity(code: str, severity: int) -> int | None:
    """The severity of the worst score that an instrument can give whose severity is at most this one."""
    return INSTRUMENTS[code].worst_at_most(severity)


def verdicts_on(known: PatientTracks, as_of: date) -> dict[str, Verdict]:
    """The verdict of every instrument that has a track, in the order of the registry."""
    return {code: verdict_on(known, code, as_of) for code in sorted(known.tracks, key=_PLACES.__getitem__)}


def verdict_on(known: PatientTracks, code: str, as_of: date) -> Verdict:
    """The verdict of a track on a day. It is cached in `known.read`, because recording a check-in needs the same
    verdict for the stored row, the alerts and the receipt."""
    track, earlier = known.tracks[code], known.read.get((code, as_of))
    if earlier is None or earlier[0] is not track:
        earlier = known.read[code, as_of] = (track, read(track, rule(code, known.version), as_of))
    return earlier[1]


def blank_track(infusions: Iterable[CountedInfusion], zone: ZoneInfo) -> Track:
    """The track of an instrument without a score: infusions alone, under no rule."""
    return fold(infusion_events(infusions, zone), None)


def blank_verdict(known: PatientTracks, as_of: date) -> Verdict:
    """The verdict of an instrument without a score."""
    return read(known.blank, None, as_of)


def others(known: PatientTracks, domain: str, chosen: str) -> list[str]:
    """The other instruments of a domain that have a baseline or a score in the current episode."""
    return [
        code
        for code in DOMAINS[domain]
        if code != chosen and code in known.tracks
        if (episode := known.tracks[code].episode) is not None and (episode.scored or episode.baseline is not None)
    ]


def checked_instrument(code: str) -> str:
    """The code of an instrument with a rule. Raises Invalid for the parameter `instrument` otherwise."""
    if code not in INSTRUMENTS or INSTRUMENTS[code].rule is None:
        with_rule = ", ".join(known for known, instrument in INSTRUMENTS.items() if instrument.rule)
        raise Invalid(errors=[Fault("parameter", "instrument", f"must be one of: {with_rule}")])
    return code


def rule(code: str, version: str = VERSION) -> Rule:
    """The rule of an instrument that has a track, in a version of the rules."""
    found = INSTRUMENTS[code].earlier_rules.get(version, INSTRUMENTS[code].rule)
    assert found is not None  # screening instruments have no track
    return found
