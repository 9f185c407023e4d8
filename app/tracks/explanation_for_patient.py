"""A track's answer in words for the patient, made from the response body alone.

The words are plain and kind, and about scores only. Nothing here says what will happen, what it means for a person, or
what to do. Each sentence is a message that a catalogue may translate.
"""

from app.instruments import INSTRUMENTS
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.tracks.explanation import SAID_OF_READINGS
from app.tracks.output import TrackOut

_NEAR = _("A single score this close to the response line can fall on either side of it by chance.")
_AGAIN = _("One more score from %(day)s would show whether it repeats.")
_CLOSING = _("This describes your answers only. Your care team can talk with you about them.")
_NOT_STARTED = _("No infusion is recorded yet, so there is nothing to compare your %(name)s scores with.")
_NO_BASELINE = _(
    "There is no %(name)s score from the four weeks before your first infusion, so a change cannot be measured. "
    "Your scores are kept all the same."
)
_NOT_EVALUABLE = _(
    "Your %(name)s score before your first infusion was already mild, so a change in percent would say little."
)
_AWAITING = _("There is no %(name)s score since your latest infusions yet. It is measured from the day after one.")
_NONE_CAME = _("No %(name)s score has come since your latest infusions, so how things stand is not known.")
_OLD = _("Your latest %(name)s score is %(days)s days old, so how things stand is not known.")
_UNCHANGED = _("Your %(name)s score is %(now)s, as it was before your first infusion.")
_COMPARED = _("Your %(name)s score is %(now)s; before your first infusion it was %(before)s.")
_BETTER = _("Your %(name)s score is %(now)s: %(percent)s%% better than the %(before)s from before your first infusion.")
_WORSE = _("Your %(name)s score is %(now)s: %(percent)s%% worse than the %(before)s from before your first infusion.")
_HOLDING = _("It has been at or past the response line since %(day)s.")
_FADING = _("Earlier scores were at or past the response line; the latest is not.")
_LOST = _("Scores at least 5 days apart have been short of the response line.")
_SHORT = _("It has not come to the response line so far.")

_WITHOUT_SCORE = {
    "not_started": _NOT_STARTED,
    "no_baseline": _NO_BASELINE,
    "not_evaluable": _NOT_EVALUABLE,
    "awaiting_follow_up": _AWAITING,
}
_OF_SCORE = {
    "holding": _HOLDING,
    "fading": _FADING,
    "lost": _LOST,
    "partial_response": _SHORT,
    "no_response": _SHORT,
}


def explain_to_patient(track: TrackOut, speech: Speech = ENGLISH) -> str:
    """Two to four sentences: how the latest score compares with before treatment, and what is missing."""
    parts = [_standing(track, speech)]
    if track.status in _OF_SCORE:
        since = {} if track.holding_since_on is None else {"day": speech.day(track.holding_since_on)}
        parts.append(speech.translated(_OF_SCORE[track.status]) % since)
    if track.near_line and track.status in SAID_OF_READINGS:
        parts.append(speech.translated(_NEAR))
    if track.confirm_due_on is not None:
        parts.append(speech.translated(_AGAIN) % {"day": speech.day(track.confirm_due_on)})
    parts.append(speech.translated(_CLOSING))
    return " ".join(parts)


def _standing(track: TrackOut, speech: Speech) -> str:
    name = speech.translated(INSTRUMENTS[track.instrument].name)
    if track.status in _WITHOUT_SCORE:
        return speech.translated(_WITHOUT_SCORE[track.status]) % {"name": name}
    if track.status == "stale":
        days = track.days_since_last_score
        return speech.translated(_NONE_CAME if days is None else _OLD) % {"name": name, "days": days}
    assert track.latest is not None  # every other status rests on a score and a baseline
    assert track.baseline is not None
    percent = track.improvement_percent
    values = {"name": name, "now": speech.number(track.latest.value), "before": speech.number(track.baseline.value)}
    if track.change == 0:
        return speech.translated(_UNCHANGED) % values
    if percent is None:
        return speech.translated(_COMPARED) % values
    return speech.translated(_BETTER if percent >= 0 else _WORSE) % {**values, "percent": speech.number(abs(percent))}
