"""A track's answer in words for clinicians, made from the response body alone.

It reports measured scores against stated lines. It does not diagnose, predict or advise. Each sentence is a message
that a catalogue may translate; what stands inside one (`standing`, `compared`, `place`) is a message of its own.
"""

from app.instruments import INSTRUMENTS, Instrument, Rule
from app.relief import STALE_AFTER_DAYS
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.tracks.output import TrackOut

SAID_OF_READINGS = ("holding", "fading", "lost", "partial_response", "no_response")
_WHOLE_FROM = 3  # smaller uncertainties are said to one decimal
_LAST_KNOWN = {
    "holding": _("At the latest reading that counted relief was holding."),
    "fading": _("At the latest reading that counted relief was fading."),
    "lost": _("At the latest reading that counted relief had been lost."),
    "partial_response": _("At the latest reading that counted there was a partial response."),
    "no_response": _("At the latest reading that counted there was no response."),
}
_FADING = _(
    "%(standing)s. There was a response before; the latest reading is worse than the line. Relief counts as lost once "
    "such readings of one course, with no response between, lie at least 5 days apart."
)
_LOST = _(
    "%(standing)s. After a response, readings at least 5 days apart, with no response between them, were worse than "
    "the line: measured relief has counted as lost since %(day)s."
)
_AWAITING = _(
    "No %(name)s score that can count has been recorded since the current course of infusions began (a reading from an "
    "infusion's own day, after it, does not count); the last infusion was %(ago)s."
)
_NEVER_FOLLOWED_UP = _(
    "No %(name)s score that can count has been recorded since the current course of infusions began, and its last "
    "infusion was %(ago)s, more than %(limit)s days: how things stand now is not known."
)
_OLD = _(
    "The latest %(name)s score that counts is %(days)s days old, more than %(limit)s days: how things stand now is not "
    "known."
)
_NO_BASELINE = _(
    "No %(name)s score from the 28 days up to the first infusion on %(day)s is recorded: without a baseline no change "
    "can be measured."
)
_BASELINE_TOO_LATE = _(
    "No %(name)s score from the 28 days up to the first infusion on %(day)s is recorded, though later ones are: "
    "without a baseline no change can be measured."
)
_NOT_EVALUABLE = _(
    "The %(name)s baseline of %(baseline)s is milder than the entry line of %(entry)s, so a percentage change from it "
    "would say little."
)


def explain(track: TrackOut, speech: Speech = ENGLISH) -> str:
    """One to four sentences: how the score compares with the lines, since when, and what is missing."""
    return _Explanation(track, speech).whole()


class _Explanation:
    """The answer of one track, said in one way."""

    def __init__(self, track: TrackOut, speech: Speech) -> None:
        self.track, self.speech = track, speech
        self.instrument: Instrument = INSTRUMENTS[track.instrument]
        self.name = speech.translated(self.instrument.name)

    def whole(self) -> str:
        track, speech = self.track, self.speech
        sentences = [getattr(self, f"_{track.status}")(), *self._error(), *self._flags()]
        if track.provisional:
            sentences.append(
                speech.translated(
                    _("Every reading since this course began also covers time before its infusion: provisional.")
                )
            )
        if track.confirm_due_on is not None:
            once_more = _("One more reading from %(day)s would show whether it repeats.")
            sentences.append(speech.translated(once_more) % {"day": speech.day_of_year(track.confirm_due_on)})
        return " ".join(sentences)

    def _said(self, text: str, **values: object) -> str:
        return self.speech.translated(text) % {"name": self.name, **values}

    def _not_started(self) -> str:
        return self._said(_("No infusion is recorded, so there is nothing to compare %(name)s with yet."))

    def _no_baseline(self) -> str:
        assert self.track.episode is not None
        late = self.track.reason == "baseline_after_first_infusion"
        first = self.speech.day(self.track.episode.first_session_on)
        return self._said(_BASELINE_TOO_LATE if late else _NO_BASELINE, day=first)

    def _not_evaluable(self) -> str:
        track, speech = self.track, self.speech
        assert track.baseline is not None
        baseline = speech.number(track.baseline.value)
        text = self._said(_NOT_EVALUABLE, baseline=baseline, entry=self._line(self._rule().entry))
        if track.latest is None or track.change is None:
            return text
        values = {"latest": self._taken(speech.number(track.latest.value)), "points": speech.number(abs(track.change))}
        latest = _("The latest score, %(latest)s, is %(points)s less than it.")
        if track.change == 0:
            latest = _("The latest score, %(latest)s, is equal to it.")
        elif track.change > 0:
            latest = _("The latest score, %(latest)s, is %(points)s more than it.")
        return f"{text} {self._said(latest, **values)}"

    def _awaiting_follow_up(self) -> str:
        return self._with_last_known(self._said(_AWAITING, ago=self._since_session()))

    def _stale(self) -> str:
        values = {"limit": STALE_AFTER_DAYS, "days": self.track.days_since_last_score, "ago": self._since_session()}
        never = self.track.reason == "never_followed_up"
        return self._with_last_known(self._said(_NEVER_FOLLOWED_UP if never else _OLD, **values))

    def _with_last_known(self, text: str) -> str:
        known = self.track.last_known
        return f"{text} {self.speech.translated(_LAST_KNOWN[known])}" if known else text

    def _holding(self) -> str:
        track, speech = self.track, self.speech
        first, last, days = track.holding_since_on, track.holding_through_on, track.days_holding
        assert first is not None
        assert last is not None
        if not days:
            began = _("%(standing)s; the run of such readings began on %(day)s.")
            return self._said(began, standing=self._standing(), day=speech.day(first))
        begin = speech.day(first) if first.year != last.year else speech.day_of_year(first)
        values = {"standing": self._standing(), "first": begin, "last": speech.day(last), "days": speech.days(days)}
        if self._is_lower_better():
            under = _(
                "%(standing)s; it has been at or under the line at every reading from %(first)s to %(last)s, %(days)s."
            )
            return self._said(under, **values)
        over = _("%(standing)s; it has been at or over the line at every reading from %(first)s to %(last)s, %(days)s.")
        return self._said(over, **values)

    def _fading(self) -> str:
        return self._said(_FADING, standing=self._standing())

    def _lost(self) -> str:
        since = self.track.since_on
        assert since is not None
        return self._said(_LOST, standing=self._standing(), day=self.speech.day(since))

    def _partial_response(self) -> str:
        return self._said(_("%(standing)s: a partial response, short of a response."), standing=self._standing())

    def _no_response(self) -> str:
        return self._said(_("%(standing)s: short of a partial response."), standing=self._standing())

    def _standing(self) -> str:
        """How the latest score compares with the baseline and the response line, and when it was taken."""
        track, speech = self.track, self.speech
        assert track.latest is not None
        assert track.response_line is not None
        values = {
            "latest": self._taken(speech.number(track.latest.value)),
            "compared": self._compared(),
            "line": speech.number(track.response_line),
        }
        if track.latest.value == track.response_line:
            return self._said(_("%(name)s is %(latest)s, %(compared)s and so at the response line"), **values)
        return self._said(_("%(name)s is %(latest)s, %(compared)s; the response line is %(line)s"), **values)

    def _compared(self) -> str:
        track, speech, percent = self.track, self.speech, self.track.improvement_percent
        assert track.latest is not None
        assert track.baseline is not None
        assert track.change is not None
        values = {
            "baseline": speech.number(track.baseline.value),
            "points": speech.number(abs(track.change)),
            "percent": speech.decimal(abs(percent or 0)),
            "best": speech.number(self.instrument.value(self.instrument.points[-1])),
        }
        if track.change == 0:
            text = _("equal to the baseline of %(baseline)s")
        elif percent is None and track.change < 0:
            text = _("%(points)s points below the baseline of %(baseline)s")
        elif percent is None:
            text = _("%(points)s points above the baseline of %(baseline)s")
        elif not self._is_lower_better() and percent >= 0:
            text = _("%(percent)s%% closer to the best score of %(best)s than the baseline of %(baseline)s")
        elif not self._is_lower_better():
            text = _("%(percent)s%% further from the best score of %(best)s than the baseline of %(baseline)s")
        elif 2 * track.latest.value == track.baseline.value:
            text = _("half of the baseline of %(baseline)s")
        elif percent >= 0:
            text = _("%(percent)s%% below the baseline of %(baseline)s")
        else:
            text = _("%(percent)s%% above the baseline of %(baseline)s")
        return self._said(text, **values)

    def _error(self) -> list[str]:
        """How sure the latest reading is, where the response line lies within its measurement error."""
        track, speech = self.track, self.speech
        if not track.near_line or track.latest is None or track.status not in SAID_OF_READINGS:
            return []
        assert track.response_line is not None
        value, line = speech.number(track.latest.value), speech.number(track.response_line)
        near = _("%(value)s is within measurement error of the line, %(line)s")
        place = self._said(_("%(value)s is at the line") if value == line else near, value=value, line=line)
        around = 1.96 * track.measurement_error.points
        points = round(around) if around >= _WHOLE_FROM else round(around, 1)
        values = {"place": place, "name": self.name, "points": speech.number(points)}
        # The number decides between `point` and `points`: 1.5 points, as a language that counts to two would have it.
        count = 1 if points == 1 else 2
        if track.measurement_error.kind == "convention":
            text = speech.counted(
                "%(place)s; one reading of %(name)s is uncertain by about %(points)s point either way, by convention.",
                "%(place)s; one reading of %(name)s is uncertain by about %(points)s points either way, by convention.",
                count,
            )
        else:
            text = speech.counted(
                "%(place)s; one reading of %(name)s is uncertain by about %(points)s point either way.",
                "%(place)s; one reading of %(name)s is uncertain by about %(points)s points either way.",
                count,
            )
        return [text % values]

    def _flags(self) -> list[str]:
        track, speech = self.track, self.speech
        if not track.flags:
            return []
        error = track.measurement_error
        beyond = (
            _("%(points)s points, by convention a change beyond noise")
            if error.kind == "convention"
            else _("%(points)s points, a reliable change")
        )
        values = {
            "change": self._said(beyond, points=speech.number(error.reliable_change)),
            "entry": self._line(self._rule().entry),
            "line": "" if track.remission_line is None else speech.number(track.remission_line),
        }
        remission = (
            _("The score is at or under the remission line of %(line)s.")
            if self._is_lower_better()
            else _("The score is at or over the remission line of %(line)s.")
        )
        words = {
            "emergent_symptoms": _(
                "It has worsened by at least %(change)s, and has reached the entry line of %(entry)s."
            ),
            "reliable_deterioration": _("The score is worse than the baseline by at least %(change)s."),
            "remission": remission,
            "worse_than_best": _(
                "The two latest readings are each worse than the second best one by at least %(change)s."
            ),
            "recovered_without_retreatment": _(
                "Relief had been lost in this course and came back with no infusion between."
            ),
        }
        return [self._said(words[flag], **values) for flag in track.flags]

    def _rule(self) -> Rule:
        assert self.instrument.rule is not None  # only instruments with a rule have a track
        return self.instrument.rule

    def _is_lower_better(self) -> bool:
        return self.instrument.direction == "lower_is_better"

    def _line(self, severity: int) -> str:
        """The severity at a line of the rule, written as a score of the instrument."""
        return self.speech.number(self.instrument.value(self.instrument.points_of_severity(severity)))

    def _taken(self, value: str) -> str:
        """A latest reading, and how old it is if it is not from today."""
        days = self.track.days_since_last_score
        return f"{value} ({self.speech.days_ago(days)})" if days else value

    def _since_session(self) -> str:
        return self.speech.days_ago(self.track.days_since_last_session or 0)
