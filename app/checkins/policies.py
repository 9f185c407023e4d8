"""Rules for check-ins: who may send what, at which time a check-in counts, and which phase it belongs to."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access.service import Caller
from app.checkins.models import CheckInIn, ResponseIn
from app.errors import Fault, Invalid, Problem
from app.instruments import INSTRUMENTS, Scored, score
from app.relief import BASELINE_LOOKBACK_DAYS
from app.tracks.days import local_day
from app.tracks.events import Calendar
from app.tracks.statements import begun_within, counted_at

# Up to this, a difference between the device's clock and ours is taken for network delay.
_TRANSIT_SECONDS = 60
FUTURE_TOLERANCE = timedelta(minutes=5)
# A device's own check-in may be this old. What is older is history, which a person or an import brings.
_OLDEST = timedelta(days=400)
# A device whose clock was right within the last month does not suddenly lose an hour: its queue was slow.
RIGHT_WITHIN = timedelta(minutes=5)
RIGHT_FOR = timedelta(days=30)
_SLOW_AFTER = timedelta(hours=1)
# A reading that was recorded within so many days may call for one more. Source: clinical reference 4.7 (h).
_PROMPT_WITHIN_DAYS = 2
# A patient may correct an own check-in for this long.
OWN_CORRECTION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """When a check-in was taken by our clock, by how many seconds the device's clock was behind ours (None: it did not
    say), and whether that was not believed."""

    at: datetime
    offset_seconds: int | None
    is_suspect: bool = False


class AnswersRequired(Problem):
    """A patient's device must send item answers where there are items: a total hides the self-harm item."""

    code, status, title = "answers_required", 422, "Answers are required"


class RaterNotAllowed(Problem):
    """This instrument is rated by a clinician."""

    code, status, title = "rater_not_allowed", 403, "A clinician rates this instrument"


def looks_slow(sent_at: datetime | None, received_at: datetime) -> bool:
    """Whether the device's clock seems to be behind by more than an hour."""
    return sent_at is not None and received_at - sent_at > _SLOW_AFTER


def taken(
    caller: Caller, taken_at: datetime, sent_at: datetime | None, received_at: datetime, *, was_right: bool
) -> Taken:
    """When it was taken. `was_right`: the clock of this device was right within the last 30 days, so that a slow one is
    not believed. Raises Invalid for an instant before 1900, in the future, or too old for a device."""
    seconds, is_suspect = None, False
    if sent_at is not None:
        seconds = round((received_at - sent_at).total_seconds())
        is_suspect = was_right and looks_slow(sent_at, received_at)
        correction = corrected_by(seconds, is_suspect=is_suspect)
        if correction is not None:
            try:
                taken_at += timedelta(seconds=correction)
            except OverflowError:
                taken_at = datetime.min.replace(tzinfo=UTC)
    check_taken_at(taken_at, received_at)
    if caller.patient_id is not None and taken_at < received_at - _OLDEST:
        rule = f"must not be more than {_OLDEST.days} days old from a patient's own device"
        raise Invalid(errors=[Fault("pointer", "/taken_at", rule)])
    return Taken(taken_at, seconds, is_suspect)


def corrected_by(offset_seconds: int | None, *, is_suspect: bool) -> int | None:
    """By how many seconds a device's time is corrected, given how far its clock is behind ours; None: not at all."""
    if offset_seconds is None or is_suspect or abs(offset_seconds) <= _TRANSIT_SECONDS:
        return None
    return offset_seconds


def check_taken_at(taken_at: datetime, now: datetime) -> None:
    """Raises Invalid for an instant before 1900 or in the future."""
    if taken_at.year < 1900:
        raise Invalid(errors=[Fault("pointer", "/sent_at", "must not move taken_at before 1900")])
    if taken_at > now + FUTURE_TOLERANCE:
        rule = "must not be more than 5 minutes in the future (send sent_at where the device's clock is wrong)"
        raise Invalid(errors=[Fault("pointer", "/taken_at", rule)])


def check_before_infusion(taken_at: datetime, calendar: Calendar) -> None:
    """Raises Invalid if `before_infusion` is stated where every session of that day had begun over 60 minutes
    earlier."""
    day, zone = local_day(taken_at, calendar.zone), calendar.zone
    starts = [given.started_at for given in calendar.infusions]
    if any(begun_within(taken_at, start) for start in starts):
        return
    of_day = [start for start in starts if local_day(start, zone) == day]
    if of_day and max(of_day) < taken_at:
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


def is_prompt(taken_at: datetime, recorded_at: datetime, zone: ZoneInfo) -> bool:
    """Whether a score was recorded soon enough that one more reading may be asked for to confirm it."""
    return (local_day(recorded_at, zone) - local_day(taken_at, zone)).days <= _PROMPT_WITHIN_DAYS


def phase(taken_at: datetime, stated_before_at: datetime | None, calendar: Calendar) -> str:
    """The phase of a check-in: `baseline` (before the first infusion of an episode; if an earlier episode came before
    it, at most 28 days before that infusion), `post_infusion` (on the day of a session, after it), `pre_infusion` (on
    the day of a later session, before it) or `follow_up`."""
    at = counted_at(taken_at, stated_before_at, calendar.infusions, calendar.zone)
    return phase_at(at, local_day(at, calendar.zone), calendar)


def phase_at(at: datetime, day: date, calendar: Calendar) -> str:
    """The phase of a check-in that counts at an instant, which is of this day."""
    infusions, zone = calendar.infusions, calendar.zone
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


class Answers(Enum):
    """How the answers of a post stand to a score that stands in its place."""

    SAME = "same"
    COMPLETES = "completes"
    DIFFERENT = "different"


def compared(stands: Scored, posted: Scored) -> Answers:
    """How posted answers stand to those recorded in their place. They are the same where they say no more: the same
    answers, fewer of them, or the total alone. They complete a total that they add up to, and a score with unanswered
    items of which they answer more and change none."""
    same, completes = False, False
    if stands.answers is None:
        adds_up = posted.points is not None and posted.points == stands.points
        same, completes = adds_up and posted.answers is None, adds_up and posted.answers is not None
    elif posted.answers is None:
        same = posted.points == stands.points
    else:
        is_less = posted.points is None and _is_within(posted.answers, stands.answers)
        same = stands.answers == posted.answers or is_less
        completes = stands.points is None and _is_within(stands.answers, posted.answers)
    return Answers.SAME if same else Answers.COMPLETES if completes else Answers.DIFFERENT


def _is_within(fewer: Sequence[int | None], more: Sequence[int | None]) -> bool:
    return all(answer is None or answer == other for answer, other in zip(fewer, more, strict=True))


def identity(caller: Caller, patient_id: UUID, body: CheckInIn) -> UUID:
    """The id of a check-in whose client chose none: the same for the same device and content, so that what is
    sent again is known, whatever became of it since. A UUID of version 7 (RFC 9562) in form: the milliseconds
    of its time, then a hash in the place of chance."""
    # A device is of one patient, whose record may be merged into another.
    whose = "" if caller.patient_id is not None else str(patient_id)
    made_of = hashlib.sha256(f"{caller.name} {whose} {digest(body)}".encode()).digest()
    milliseconds = max(0, int(body.taken_at.timestamp() * 1000))
    return UUID(int=(milliseconds << 80) | (7 << 76) | (int.from_bytes(made_of[:2]) >> 4 << 64)
                | (2 << 62) | (int.from_bytes(made_of[2:10]) >> 2))  # fmt: skip


def digest(body: CheckInIn) -> str:
    """A hash of the posted content, with which repeats are compared. It leaves out the id and `sent_at`."""
    responses = sorted(_as_json(r) for r in body.responses)
    session_id = str(body.session_id) if body.session_id else None
    content = [body.taken_at.isoformat(), session_id, body.before_infusion, responses]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _as_json(response: ResponseIn) -> str:
    """What `json.dumps` makes of a response. Stored hashes are of that, to the letter; this costs a fifth."""
    answers, score = response.answers, response.score
    if response.instrument not in INSTRUMENTS:  # refused later, and may hold anything
        return json.dumps(
            [response.instrument, answers, None if answers is not None or score is None else float(score)]
        )
    if answers is not None:
        return f'["{response.instrument}", {str(answers).replace("None", "null")}, null]'
    return f'["{response.instrument}", null, {"null" if score is None else repr(float(score))}]'
