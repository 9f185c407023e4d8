"""A track's answer in words for clinicians, made from the response body alone.

It reports measured scores against stated lines. It does not diagnose, predict or advise.
"""

from datetime import date

from app.instruments import INSTRUMENTS, Instrument, Rule
from app.relief import STALE_AFTER_DAYS
from app.tracks.output import TrackOut, Value

_MONTHS = ("January", "February", "March", "April", "May", "June",
           "July", "August", "September", "October", "November", "December")  # fmt: skip
SAID_OF_READINGS = ("holding", "fading", "lost", "partial_response", "no_response")
_WHOLE_FROM = 3  # smaller uncertainties are said to one decimal
_STATES = {
    "holding": "relief was holding",
    "fading": "relief was fading",
    "lost": "relief had been lost",
    "partial_response": "there was a partial response",
    "no_response": "there was no response",
}


def explain(track: TrackOut) -> str:
    """One to four sentences: how the score compares with the lines, since when, and what is missing."""
    instrument = INSTRUMENTS[track.instrument]
    sentences = [_SENTENCES[track.status](track, instrument), *_error(track, instrument), *_flags(track, instrument)]
    if track.provisional:
        sentences.append("Every reading since this course began also covers time before its infusion: provisional.")
    if track.confirm_due_on is not None:
        day = f"{track.confirm_due_on.day} {_MONTHS[track.confirm_due_on.month - 1]}"
        sentences.append(f"One more reading from {day} would show whether it repeats.")
    return " ".join(sentences)


def _not_started(track: TrackOut, instrument: Instrument) -> str:
    return f"No infusion is recorded, so there is nothing to compare {instrument.name} with yet."


def _no_baseline(track: TrackOut, instrument: Instrument) -> str:
    assert track.episode is not None
    first = day_in_words(track.episode.first_session_on)
    later = ", though later ones are" if track.reason == "baseline_after_first_infusion" else ""
    return (
        f"No {instrument.name} score from the 28 days up to the first infusion on {first} is recorded{later}: without "
        "a baseline no change can be measured."
    )


def _not_evaluable(track: TrackOut, instrument: Instrument) -> str:
    assert track.baseline is not None
    text = (
        f"The {instrument.name} baseline of {number(track.baseline.value)} is milder than the entry line of "
        f"{_line(instrument, _rule(instrument).entry)}, so a percentage change from it would say little."
    )
    if track.latest is None or track.change is None:
        return text
    change = (
        f"{number(abs(track.change))} {'more' if track.change > 0 else 'less'} than" if track.change else "equal to"
    )
    return f"{text} The latest score, {number(track.latest.value)}{_taken(track)}, is {change} it."


def _awaiting(track: TrackOut, instrument: Instrument) -> str:
    return (
        f"No {instrument.name} score that can count has been recorded since the current course of infusions began (a "
        f"reading from an infusion's own day, after it, does not count); the last infusion was "
        f"{_ago(track.days_since_last_session)}.{_before(track)}"
    )


def _stale(track: TrackOut, instrument: Instrument) -> str:
    if track.reason == "never_followed_up":
        text = (
            f"No {instrument.name} score that can count has been recorded since the current course of infusions began, "
            f"and its last infusion was {_ago(track.days_since_last_session)}"
        )
    else:
        text = f"The latest {instrument.name} score that counts is {_count(track.days_since_last_score, 'day')} old"
    return f"{text}, more than {STALE_AFTER_DAYS} days: how things stand now is not known.{_before(track)}"


def _holding(track: TrackOut, instrument: Instrument) -> str:
    assert track.holding_since_on is not None
    assert track.holding_through_on is not None
    if track.days_holding == 0:
        run = f"the run of such readings began on {day_in_words(track.holding_since_on)}"
    else:
        days = _count(track.days_holding, "day")
        span = _span(track.holding_since_on, track.holding_through_on)
        run = f"it has been {_side(instrument)} the line at every reading from {span}, {days}"
    return f"{_standing(track, instrument)}; {run}."


def _fading(track: TrackOut, instrument: Instrument) -> str:
    return (
        f"{_standing(track, instrument)}. There was a response before; the latest reading is worse than the line. "
        "Relief counts as lost once such readings of one course, with no response between, lie at least 5 days apart."
    )


def _lost(track: TrackOut, instrument: Instrument) -> str:
    return (
        f"{_standing(track, instrument)}. After a response, readings at least 5 days apart, with no response between "
        f"them, were worse than the line: measured relief has counted as lost since {day_in_words(track.since_on)}."
    )


def _short(track: TrackOut, instrument: Instrument) -> str:
    of = "short of a partial response"
    if track.status == "partial_response":
        of = "a partial response, short of a response"
    return f"{_standing(track, instrument)}: {of}."


def _standing(track: TrackOut, instrument: Instrument) -> str:
    """How the latest score compares with the baseline and the response line, and when it was taken."""
    assert track.latest is not None
    assert track.baseline is not None
    value, baseline = number(track.latest.value), number(track.baseline.value)
    compared = _compared(track, instrument, baseline)
    if track.latest.value == track.response_line:
        return f"{instrument.name} is {value}{_taken(track)}, {compared} and so at the response line"
    return (
        f"{instrument.name} is {value}{_taken(track)}, {compared}; the response line is {number(track.response_line)}"
    )


def _compared(track: TrackOut, instrument: Instrument, baseline: str) -> str:
    percent = track.improvement_percent
    if track.change == 0:
        return f"equal to the baseline of {baseline}"
    if percent is None:
        assert track.change is not None
        side = "below" if track.change < 0 else "above"
        return f"{number(abs(track.change))} points {side} the baseline of {baseline}"
    if instrument.direction == "higher_is_better":
        best = number(instrument.value(instrument.points[-1]))
        moved = "closer to" if percent >= 0 else "further from"
        return f"{abs(percent)}% {moved} the best score of {best} than the baseline of {baseline}"
    if percent == 50.0 and track.latest is not None and track.baseline is not None:
        exact = 2 * track.latest.value == track.baseline.value
        return f"half of the baseline of {baseline}" if exact else f"50.0% below the baseline of {baseline}"
    return f"{abs(percent)}% {'below' if percent >= 0 else 'above'} the baseline of {baseline}"


def _error(track: TrackOut, instrument: Instrument) -> list[str]:
    """How sure the latest reading is, where the response line lies within its measurement error."""
    if not track.near_line or track.latest is None or track.status not in SAID_OF_READINGS:
        return []
    value, line = number(track.latest.value), number(track.response_line)
    place = "is at the line" if value == line else f"is within measurement error of the line, {line}"
    around = 1.96 * track.measurement_error.points
    about = f"{around:.0f}" if around >= _WHOLE_FROM else f"{around:.1f}".removesuffix(".0")
    unit = "point" if about == "1" else "points"
    by = ", by convention" if track.measurement_error.kind == "convention" else ""
    return [f"{value} {place}; one reading of {instrument.name} is uncertain by about {about} {unit} either way{by}."]


def _flags(track: TrackOut, instrument: Instrument) -> list[str]:
    if not track.flags:
        return []
    rule, error = _rule(instrument), track.measurement_error
    amount = number(error.reliable_change)
    certain = error.kind != "convention"
    change = f"{amount} points, " + ("a reliable change" if certain else "by convention a change beyond noise")
    entry, remission = _line(instrument, rule.entry), number(track.remission_line)
    words = {
        "emergent_symptoms": f"It has worsened by at least {change}, and has reached the entry line of {entry}.",
        "reliable_deterioration": f"The score is worse than the baseline by at least {change}.",
        "remission": f"The score is {_side(instrument)} the remission line of {remission}.",
        "worse_than_best": f"The two latest readings are each worse than the second best one by at least {change}.",
        "recovered_without_retreatment": "Relief had been lost in this course and came back with no infusion between.",
    }
    return [words[flag] for flag in track.flags]


def _rule(instrument: Instrument) -> Rule:
    assert instrument.rule is not None  # only instruments with a rule have a track
    return instrument.rule


def _line(instrument: Instrument, severity: int) -> str:
    """The severity at a line of the rule, written as a score of the instrument."""
    return number(instrument.value(instrument.points_of_severity(severity)))


def _taken(track: TrackOut) -> str:
    """How old the latest reading is; empty if it is from today."""
    days = track.days_since_last_score
    return f" ({_count(days, 'day')} ago)" if days else ""


def _before(track: TrackOut) -> str:
    return f" At the latest reading that counted {_STATES[track.last_known]}." if track.last_known else ""


def _side(instrument: Instrument) -> str:
    return "at or under" if instrument.direction == "lower_is_better" else "at or over"


def _ago(days: int | None) -> str:
    return "today" if days == 0 else f"{_count(days, 'day')} ago"


def number(value: Value | None) -> str:
    return f"{value:g}" if value is not None else "none"


def _count(number: int | None, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def day_in_words(day: date | None) -> str:
    return "an unknown day" if day is None else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _span(first: date, last: date) -> str:
    begin = day_in_words(first) if first.year != last.year else f"{first.day} {_MONTHS[first.month - 1]}"
    return f"{begin} to {day_in_words(last)}"


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
