"""Rules for check-ins: who may send what, at which time a check-in counts, and which phase it belongs to."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.access.service import Caller
from app.checkins.models import CheckInIn, ResponseIn
from app.errors import Fault, Invalid, Problem
from app.instruments import INSTRUMENTS, Scored, score
from app.relief import BASELINE_LOOKBACK_DAYS
from app.tracks.events import Calendar, counted_at, local_day, started_before
from app.tracks.patient_tracks import BEFORE_INFUSION_WITHIN

FUTURE_TOLERANCE = timedelta(minutes=5)
# Up to this, a difference between the device's clock and ours is taken for network delay.
_TRANSIT = timedelta(seconds=60)


class AnswersRequired(Problem):
    """A patient's device must send item answers where there are items: a total hides the self-harm item."""

    code, status, title = "answers_required", 422, "Answers are required"


class RaterNotAllowed(Problem):
    """This instrument is rated by a clinician."""

    code, status, title = "rater_not_allowed", 403, "A clinician rates this instrument"


def corrected_taken_at(body: CheckInIn, received_at: datetime) -> tuple[datetime, int | None]:
    """When it was taken by our clock, and by how many seconds the device's clock was corrected (None: not corrected).
    Raises Invalid for an instant before 1900 or in the future."""
    taken_at, seconds = body.taken_at, None
    if body.sent_at is not None and abs(received_at - body.sent_at) > _TRANSIT:
        seconds = round((received_at - body.sent_at).total_seconds())
        try:
            taken_at += timedelta(seconds=seconds)
        except OverflowError:
            taken_at = datetime.min.replace(tzinfo=UTC)
    check_taken_at(taken_at, received_at)
    return taken_at, seconds


def check_taken_at(taken_at: datetime, now: datetime) -> None:
    """Raises Invalid for an instant before 1900 or in the future."""
    if taken_at.year < 1900:
        raise Invalid(errors=[Fault("pointer", "/sent_at", "must not move taken_at before 1900")])
    if taken_at > now + FUTURE_TOLERANCE:
        rule = "must not be more than 5 minutes in the future (send sent_at where the device's clock is wrong)"
        raise Invalid(errors=[Fault("pointer", "/taken_at", rule)])


def check_before_infusion(taken_at: datetime, calendar: Calendar) -> None:
    """Raises Invalid if `before_infusion` is stated over 60 minutes after the start of a session that day."""
    started = started_before(taken_at, calendar.infusions)
    if started is None or local_day(started, calendar.zone) != local_day(taken_at, calendar.zone):
        return
    if taken_at - started > BEFORE_INFUSION_WITHIN:
        rule = "is allowed up to 60 minutes after the session's start"
        raise Invalid(errors=[Fault("pointer", "/before_infusion", rule)])


def score_responses(responses: Sequence[ResponseIn], caller: Caller) -> list[tuple[str, Scored]]:
    """Scores each response. Raises Invalid, ScoreMismatch, AnswersRequired, RaterNotAllowed."""
    seen: set[str] = set()
    found = []
    for index, response in enumerate(responses):
        pointer = f"/responses/{index}"
        instrument = INSTRUMENTS.get(response.instrument)
        if instrument is None:
            raise Invalid(errors=[Fault("pointer", f"{pointer}/instrument", "must be a code of /v1/instruments")])
        if instrument.code in seen:
            raise Invalid(errors=[Fault("pointer", f"{pointer}/instrument", "must be named only once")])
        seen.add(instrument.code)
        if caller.patient_id is not None:
            if instrument.rater == "clinician":
                raise RaterNotAllowed(errors=[Fault("pointer", f"{pointer}/instrument", "is rated by a clinician")])
            if instrument.items and response.answers is None:
                raise AnswersRequired(errors=[Fault("pointer", f"{pointer}/answers", "is required")])
        found.append((instrument.code, score(instrument, response.answers, response.score, pointer)))
    return found


def phase(taken_at: datetime, before_infusion: bool, calendar: Calendar) -> str:
    """The phase of a check-in: `baseline` (before the first infusion of an episode; if an earlier episode came before
    it, at most 28 days before that infusion), `post_infusion` (on the day of a session, after it), `pre_infusion` (on
    the day of a later session, before it) or `follow_up`."""
    infusions, zone = calendar.infusions, calendar.zone
    at = counted_at(taken_at, before_infusion, infusions, zone)
    day = local_day(at, zone)
    earlier = bisect_left(infusions, at, key=lambda given: given.started_at)
    before = infusions[earlier - 1] if earlier else None
    if before is not None and day <= local_day(before.ended_at or before.started_at, zone):
        return "post_infusion"
    if earlier == len(infusions):
        return "baseline" if before is None else "follow_up"
    following = infusions[earlier]
    opens = calendar.positions[str(following.session_id)].number == 1
    days = (local_day(following.started_at, zone) - day).days
    if days == 0:
        return "baseline" if opens else "pre_infusion"
    return "baseline" if before is None or (opens and days <= BASELINE_LOOKBACK_DAYS) else "follow_up"


def digest(body: CheckInIn) -> str:
    """A hash of the posted content, with which repeats are compared. It leaves out the id and `sent_at`."""
    responses = sorted(
        (json.dumps([r.instrument, r.answers, None if r.answers is not None or r.score is None else float(r.score)]))
        for r in body.responses
    )
    session_id = str(body.session_id) if body.session_id else None
    content = [body.taken_at.isoformat(), session_id, body.before_infusion, responses]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
