"""Whether what a file says is what is recorded. Tools cut fractions of seconds and rewrite numbers, so two spellings of
one fact are the same; and a text of which a data frame made a number is no other text."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.checkins.deciding import scored_of
from app.checkins.models import Versioned
from app.checkins.policies import Answers, compared
from app.errors import Problem
from app.exchange.items import PatientItem, Response, Version, Whose
from app.instruments import INSTRUMENTS, Scored, score
from app.patients.models import PatientOut
from app.patients.policies import caseless
from app.sessions.models import SessionIn
from app.tracks.models import ScoreVersion

_MOMENTS = frozenset({"started_at", "ended_at", "ready_to_leave_at", "at"})
# R writes NA where nothing stood.
_NOTHING = (None, "", "NA")
_LISTS = ("indications", "failed_treatments")


def is_same_external_id(theirs: str | None, mine: str) -> bool:
    """Whether a tool may have made one text of the other: 0042 becomes 42, and 1E5 100000.0."""
    if theirs is None or caseless(theirs) == caseless(mine):
        return True
    try:
        return float(theirs) == float(mine)
    except ValueError:
        return False


def is_same_version(
    version: Version, stands: Versioned, scores: Sequence[ScoreVersion], *, is_whole: bool = False
) -> bool:
    """Whether a version of a file's check-in says what a recorded one does; the only one of a file may say of fewer
    instruments, and a file need not say whether it came before the infusion."""
    if version.voided or stands.voided:
        return version.voided == stands.voided
    if not version.taken_at.is_same(stands.taken_at):
        return False
    if version.session_id not in (None, stands.session_id):
        return False
    if version.before_infusion not in (None, stands.stated_before_at is not None):
        return False
    known = {one.instrument: scored_of(one) for one in scores}
    if is_whole and len(known) != len(version.responses):
        return False
    return all(is_same_response(response, known.get(response.instrument)) for response in version.responses)


def is_same_response(response: Response, stands: Scored | None) -> bool:
    """Whether a response says what is recorded for its instrument, or less of the same."""
    if stands is None:
        return False
    try:
        mine = score(INSTRUMENTS[response.instrument], response.answers, response.score)
    except Problem:
        return False
    return compared(stands, mine) is Answers.SAME


def is_same_session(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether two contents of a session are the same."""
    fields = (name for name in SessionIn.model_fields if name != "id")
    return all(_is_same(name, theirs.get(name), mine.get(name)) for name in fields)


def _is_same(name: str, theirs: Any, mine: Any) -> bool:
    if theirs in _NOTHING or mine in _NOTHING:
        return theirs in _NOTHING and mine in _NOTHING
    if name in _MOMENTS:
        return abs((datetime.fromisoformat(theirs) - datetime.fromisoformat(mine)).total_seconds()) < 1
    same: Any = theirs == mine
    match mine:
        case list():
            same = len(theirs) == len(mine) and all(_is_same(name, *pair) for pair in zip(theirs, mine, strict=True))
        case dict():
            same = all(_is_same(one, theirs.get(one), mine.get(one)) for one in theirs.keys() | mine.keys())
        case float():
            same = math.isclose(theirs, mine, rel_tol=1e-9)
        case str():  # line ends are rewritten, blanks are trimmed
            same = theirs.split() == mine.split()
    return bool(same)


def why_other_patient(item: PatientItem, whose: Whose, stands: PatientOut) -> str | None:
    """The first column of a file in which its patient differs from the recorded one; None if in none."""
    if not is_same_external_id(whose.external_id, stands.external_id):
        return "external_id"
    said = item.body.keys()
    for name in ("label", "birth_year", "failed_antidepressant_trials", "care_status"):
        theirs, mine = item.body.get(name, getattr(stands, name)), getattr(stands, name)
        if theirs != mine and not (theirs in _NOTHING and mine in _NOTHING):
            return name
    for name in _LISTS:
        if name in said and sorted(item.body[name]) != sorted(getattr(stands, name)):
            return name
    theirs = item.body.get("primary_instruments", stands.primary_instruments)
    return "primary_instruments" if theirs != stands.primary_instruments else None
