"""The trend in words, for people who cannot see the picture. Made from the response body alone. Each sentence is a
message that a catalogue may translate."""

from collections.abc import Sequence
from itertools import pairwise

from app.events.models import HappenedOut
from app.relief import STALE_AFTER_DAYS
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.trend.models import TrendBandOut, TrendOut

_MOST_RUNS = 6
DIRECTIONS = {"lower_is_better": _("lower is better"), "higher_is_better": _("higher is better")}
# The words for codes, as they stand within a sentence.
CODES = (
    *(_("mood"), _("anxiety"), _("pain")),
    *(_("not started"), _("no baseline"), _("not evaluable"), _("awaiting follow up"), _("stale"), _("lost")),
    *(_("fading"), _("holding"), _("partial response"), _("no response")),
    *(_("induction"), _("maintenance"), _("booster")),
    *(_("medication started"), _("medication changed"), _("medication stopped"), _("tms"), _("ect")),
    *(_("psychotherapy"), _("admission"), _("missed session"), _("life event"), _("other")),
)


def described(trend: TrendOut, name: str, speech: Speech = ENGLISH) -> str:
    """Describes the scale and bands, the scores, lines, sessions, what else happened, gaps and statuses."""
    happened = happened_in_words(trend.events, speech)
    parts = [_scale(trend, name, speech), _scores(trend, speech), _lines(trend, speech), _sessions(trend, speech)]
    parts += [happened, _gaps(trend, speech), _runs(trend, speech), _status(trend, speech)]
    return " ".join(part for part in parts if part)


def happened_in_words(events: Sequence[HappenedOut], speech: Speech = ENGLISH) -> str:
    """What else happened, by day; empty where nothing did."""
    told = ", ".join(event_in_words(one.label or speech.code(one.kind), one, speech) for one in events)
    return speech.translated(_("What else happened: %(told)s.")) % {"told": told} if told else ""


def event_in_words(name: str, event: HappenedOut, speech: Speech) -> str:
    """An event and its day."""
    return speech.translated(_("%(what)s on %(day)s")) % {"what": name, "day": speech.day(event.on)}


def _runs(trend: TrendOut, speech: Speech) -> str:
    """The last runs of days with one status."""
    shown = trend.statuses[-_MOST_RUNS:]
    if len(trend.statuses) < 2:
        return ""
    run_from = speech.translated(_("%(status)s from %(day)s"))
    told = "; ".join(run_from % {"status": speech.code(run.status), "day": speech.day(run.from_on)} for run in shown)
    return speech.translated(_("Day by day: %(told)s.")) % {"told": told}


def _scale(trend: TrendOut, name: str, speech: Speech) -> str:
    bands = ", ".join(_band(band, speech) for band in trend.bands)
    values = {
        "name": name,
        "min": speech.number(trend.min),
        "max": speech.number(trend.max),
        "direction": speech.translated(DIRECTIONS[trend.direction]),
        "bands": f" ({bands})" if bands else "",
    }
    return speech.translated(_("%(name)s, %(min)s to %(max)s, %(direction)s%(bands)s.")) % values


def _band(band: TrendBandOut, speech: Speech) -> str:
    label, low, high = speech.translated(band.label), speech.number(band.min), speech.number(band.max)
    if band.max > band.min:
        return speech.translated(_("%(band)s %(min)s to %(max)s")) % {"band": label, "min": low, "max": high}
    return f"{label} {low}"


def _scores(trend: TrendOut, speech: Speech) -> str:
    if not trend.points:
        until = speech.day(trend.to_on)
        if trend.from_on is None:
            return speech.translated(_("No scores to %(last)s.")) % {"last": until}
        between = _("No scores from %(first)s to %(last)s.")
        return speech.translated(between) % {"first": speech.day(trend.from_on), "last": until}
    values = [point.value for point in trend.points]
    first, last = trend.points[0], trend.points[-1]
    said = {
        "count": len(values), "first": speech.day(first.day), "last": speech.day(last.day),
        "low": speech.number(min(values)), "high": speech.number(max(values)),
        "earliest": speech.number(first.value), "latest": speech.number(last.value),
    }  # fmt: skip
    if len(values) == 1:
        return speech.translated(_("One score: %(earliest)s on %(first)s.")) % said
    if first.day == last.day:
        on_one_day = _(
            "%(count)s scores on %(first)s, between %(low)s and %(high)s, the first %(earliest)s, the latest "
            "%(latest)s."
        )
        return speech.translated(on_one_day) % said
    on_many = _(
        "%(count)s scores from %(first)s to %(last)s, between %(low)s and %(high)s, the first %(earliest)s, the latest "
        "%(latest)s."
    )
    return speech.translated(on_many) % said


def _lines(trend: TrendOut, speech: Speech) -> str:
    if trend.status is None and trend.response_line is None:  # a screening instrument has neither baseline nor lines
        return ""
    found = []
    for episode in trend.episodes:
        if episode.baseline is None:
            told = [speech.translated(_("no baseline"))]
        else:
            told = [speech.translated(_("baseline %(value)s")) % {"value": speech.number(episode.baseline)}]
        if episode.response_line is not None:
            value = speech.number(episode.response_line)
            told.append(speech.translated(_("response line %(value)s")) % {"value": value})
        lines = ", ".join(told)
        if len(trend.episodes) > 1:
            whose = _("Episode %(number)s, from %(day)s: %(lines)s")
            values = {"number": episode.number, "day": speech.day(episode.first_session_on), "lines": lines}
            lines = speech.translated(whose) % values
        found.append(lines)
    if trend.remission_line is not None:
        value = speech.number(trend.remission_line)
        found.append(speech.translated(_("remission line %(value)s")) % {"value": value})
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in found)


def _sessions(trend: TrendOut, speech: Speech) -> str:
    if not trend.sessions:
        return speech.translated(_("No session in these days.") if trend.episodes else _("No sessions."))
    kinds = [session.kind for session in trend.sessions]
    counted = ", ".join(f"{kinds.count(kind)} {speech.code(kind)}" for kind in dict.fromkeys(kinds))
    values = {"count": len(kinds), "kinds": counted, "last": speech.day(trend.sessions[-1].day)}
    one, many = _("One session (%(kinds)s), on %(last)s."), _("%(count)s sessions (%(kinds)s), the last on %(last)s.")
    return speech.translated(one if len(kinds) == 1 else many) % values


def _status(trend: TrendOut, speech: Speech) -> str:
    """The status on the last day; if stale or awaiting, "last known" is that at the latest reading that counted."""
    if trend.status is None:
        return ""
    values = {"day": speech.day(trend.to_on), "status": speech.code(trend.status)}
    if trend.last_known is None:
        return speech.translated(_("Status on %(day)s: %(status)s.")) % values
    known = _("Status on %(day)s: %(status)s, last known %(known)s.")
    return speech.translated(known) % {**values, "known": speech.code(trend.last_known)}


def _gaps(trend: TrendOut, speech: Speech) -> str:
    days = [point.day for point in trend.points]
    gaps = [(a, b) for a, b in pairwise(days) if (b - a).days > STALE_AFTER_DAYS]
    silent = (trend.to_on - days[-1]).days if days else 0
    between = speech.translated(_("No score between %(first)s and %(last)s."))
    found = [between % {"first": speech.day(a), "last": speech.day(b)} for a, b in gaps[:3]]
    if len(gaps) > 3:
        found.append(speech.translated(_("%(count)s more such gaps.")) % {"count": len(gaps) - 3})
    if silent > STALE_AFTER_DAYS:
        found.append(speech.translated(_("No score since %(day)s.")) % {"day": speech.day(days[-1])})
    return " ".join(found)
