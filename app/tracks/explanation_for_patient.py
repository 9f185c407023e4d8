"""A track's answer in words for the patient, made from the response body alone.

The words are plain and kind, and about scores only. Nothing here says what will happen, what it means for a person, or
what to do.
"""

from app.instruments import INSTRUMENTS
from app.tracks.explanation import SAID_OF_READINGS, day_in_words, number
from app.tracks.output import TrackOut

_NEAR = "A single score this close to the response line can fall on either side of it by chance."
_CLOSING = "This describes your answers only. Your care team can talk with you about them."


def explain_to_patient(track: TrackOut) -> str:
    """Two to four sentences: how the latest score compares with before treatment, and what is missing."""
    near = f" {_NEAR}" if track.near_line and track.status in SAID_OF_READINGS else ""
    again = ""
    if track.confirm_due_on is not None:
        again = f" One more score from {day_in_words(track.confirm_due_on)} would show whether it repeats."
    return f"{_SENTENCES[track.status](track, INSTRUMENTS[track.instrument].name)}{near}{again} {_CLOSING}"


def _not_started(_: TrackOut, name: str) -> str:
    return f"No infusion is recorded yet, so there is nothing to compare your {name} scores with."


def _no_baseline(_: TrackOut, name: str) -> str:
    return (
        f"There is no {name} score from the four weeks before your first infusion, so a change cannot be measured. "
        "Your scores are kept all the same."
    )


def _not_evaluable(track: TrackOut, name: str) -> str:
    return f"Your {name} score before your first infusion was already mild, so a change in percent would say little."


def _awaiting(_: TrackOut, name: str) -> str:
    return f"There is no {name} score since your latest infusions yet. It is measured from the day after one."


def _stale(track: TrackOut, name: str) -> str:
    if track.days_since_last_score is None:
        return f"No {name} score has come since your latest infusions, so how things stand is not known."
    return f"Your latest {name} score is {track.days_since_last_score} days old, so how things stand is not known."


def _holding(track: TrackOut, name: str) -> str:
    assert track.holding_since_on is not None
    since = day_in_words(track.holding_since_on)
    return f"{_standing(track, name)} It has been at or past the response line since {since}."


def _fading(track: TrackOut, name: str) -> str:
    return f"{_standing(track, name)} Earlier scores were at or past the response line; the latest is not."


def _lost(track: TrackOut, name: str) -> str:
    return f"{_standing(track, name)} Scores at least 5 days apart have been short of the response line."


def _short(track: TrackOut, name: str) -> str:
    return f"{_standing(track, name)} It has not come to the response line so far."


def _standing(track: TrackOut, name: str) -> str:
    assert track.latest is not None
    assert track.baseline is not None
    percent, now, before = track.improvement_percent, number(track.latest.value), number(track.baseline.value)
    if track.change == 0:
        return f"Your {name} score is {now}, as it was before your first infusion."
    if percent is None:
        return f"Your {name} score is {now}; before your first infusion it was {before}."
    side = "better" if percent >= 0 else "worse"
    return f"Your {name} score is {now}: {abs(percent):g}% {side} than the {before} from before your first infusion."


_SENTENCES = {
    "not_started": _not_started,
    "no_baseline": _no_baseline,
    "not_evaluable": _not_evaluable,
    "awaiting_follow_up": _awaiting,
    "stale": _stale,
    "holding": _holding,
    "fading": _fading,
    "lost": _lost,
    "partial_response": _short,
    "no_response": _short,
}
