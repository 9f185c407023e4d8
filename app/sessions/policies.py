"""Rules of sessions: contradictory doses and overlapping sessions are refused."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from app.errors import Fault, Invalid, Problem
from app.sessions.models import COUNTED, SessionIn
from app.tracks.patient_tracks import CountedInfusion

_ASSUMED_LENGTH = timedelta(hours=2)
_LONGEST = timedelta(days=14)
_DOSE_TOLERANCE = 0.05
# Measured before the infusion, to see whether it may begin, and until the patient has long gone home.
_VITALS_BEFORE = timedelta(hours=2)
_VITALS_AFTER = timedelta(hours=24)
CLOCK_TOLERANCE = timedelta(minutes=5)


class DoseMismatch(Problem):
    """Weight and both doses are given, and the doses differ by more than 5%."""

    code, status, title = "dose_mismatch", 422, "The doses contradict each other"


class SessionOverlaps(Problem):
    """Another session of this patient covers this time (2 hours are assumed where no end is known)."""

    code, status, title = "session_overlaps", 409, "Two sessions overlap"


def severe_side_effects(session: SessionIn) -> set[str]:
    """The severe side effects of a session; none if the session does not count."""
    return {e.effect for e in session.side_effects if e.severity == "severe"} if session.status in COUNTED else set()


def check(session: SessionIn, now: datetime) -> None:
    """Raises Invalid or DoseMismatch if the times or doses of a session are impossible."""
    if session.started_at > now + CLOCK_TOLERANCE:
        raise Invalid(errors=[Fault("pointer", "/started_at", "must not be more than 5 minutes in the future")])
    if session.ended_at is not None:
        if session.ended_at < session.started_at:
            raise Invalid(errors=[Fault("pointer", "/ended_at", "must not be before started_at")])
        if session.ended_at - session.started_at > _LONGEST:
            raise Invalid(errors=[Fault("pointer", "/ended_at", "must be within 14 days of started_at")])
        if session.ended_at > now + CLOCK_TOLERANCE:
            raise Invalid(errors=[Fault("pointer", "/ended_at", "must not be more than 5 minutes in the future")])
    if session.ready_to_leave_at is not None:
        _check_leaving(session, session.ready_to_leave_at, now)
    weight, dose, relative = session.weight_kg, session.dose_mg, session.dose_mg_per_kg
    if weight is not None and dose is not None and relative is not None:
        expected = weight * relative
        if abs(dose - expected) > _DOSE_TOLERANCE * expected + 1e-9:
            rule = "must be weight_kg times dose_mg_per_kg, within 5%"
            raise DoseMismatch(errors=[Fault("pointer", "/dose_mg", rule)])


def _check_leaving(session: SessionIn, moment: datetime, now: datetime) -> None:
    if moment > now + CLOCK_TOLERANCE:
        raise Invalid(errors=[Fault("pointer", "/ready_to_leave_at", "must not be more than 5 minutes in the future")])
    if not session.started_at <= moment <= (session.ended_at or session.started_at) + _VITALS_AFTER:
        rule = "must be from the session's start to 24 hours after its end"
        raise Invalid(errors=[Fault("pointer", "/ready_to_leave_at", rule)])


def check_vitals(session: SessionIn, now: datetime) -> None:
    """Raises Invalid for vitals that cannot be of this session, or that no body has."""
    first = session.started_at - _VITALS_BEFORE
    last = (session.ended_at or session.started_at) + _VITALS_AFTER
    faults = []
    for index, vitals in enumerate(session.vitals):
        if vitals.at > now + CLOCK_TOLERANCE:
            faults.append(Fault("pointer", f"/vitals/{index}/at", "must not be more than 5 minutes in the future"))
        elif not first <= vitals.at <= last:
            rule = "must be from 2 hours before the session's start to 24 hours after its end"
            faults.append(Fault("pointer", f"/vitals/{index}/at", rule))
        if vitals.systolic is not None and vitals.diastolic is not None and vitals.diastolic >= vitals.systolic:
            faults.append(Fault("pointer", f"/vitals/{index}/diastolic", "must be under systolic"))
    if faults:
        raise Invalid(errors=faults)


def dose_per_kilogram(session: SessionIn) -> float | None:
    """The dose in mg per kg: as recorded, else from dose and weight; None where these are not known."""
    if session.dose_mg_per_kg is not None or session.dose_mg is None or session.weight_kg is None:
        return session.dose_mg_per_kg
    return round(session.dose_mg / session.weight_kg, 3)


def check_overlap(session: SessionIn, others: Iterable[CountedInfusion]) -> None:
    """Raises SessionOverlaps if the session overlaps one of `others`, which are the sessions that count."""
    start, end = session.started_at, session.ended_at or session.started_at + _ASSUMED_LENGTH
    for other in others:
        other_end = other.ended_at or other.started_at + _ASSUMED_LENGTH
        if start == other.started_at or (start < other_end and other.started_at < end):
            raise SessionOverlaps(errors=[Fault("pointer", "/started_at", "must not overlap another session")])
