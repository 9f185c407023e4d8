"""A slow, plain second implementation of the verdict in clinical.md, for tests to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

LOOK_BACK_DAYS = 28
COURSE_GAP_DAYS = 14
FIRST_COURSE_DAYS = 28
EPISODE_GAP_DAYS = 180
CONFIRM_SPAN_DAYS = 5
STALE_DAYS = 35


@dataclass(frozen=True)
class Parameters:
    entry: int
    basis: str  # "percent" or "points"
    response: int
    partial: int
    reliable_change: int
    remission: int | None
    recall_days: int


@dataclass(frozen=True)
class InfusionVersion:
    id: str
    version: int
    recorded_at: datetime
    started_at: datetime
    ended_at: datetime | None
    counts: bool


@dataclass(frozen=True)
class ScoreVersion:
    id: str
    version: int
    recorded_at: datetime
    taken_at: datetime
    severity: int
    counts: bool


# What is left of the versions: things that exist and count, with their local days.


@dataclass(frozen=True)
class _Infusion:
    id: str
    start: datetime
    day: date
    end_day: date


@dataclass(frozen=True)
class _Score:
    id: str
    taken: datetime
    day: date
    severity: int
    recorded: datetime


_Course = list[_Infusion]
_Episode = list[_Course]


@dataclass(frozen=True)
class _Representative:
    score: _Score
    course: int  # index of its course in the episode
    infusion: _Infusion  # the latest infusion before it


@dataclass(frozen=True)
class _History:
    """One episode as a given day sees it."""

    courses: _Episode
    baseline: _Score | None
    evaluable: bool
    representatives: list[_Representative]
    responses: list[bool]  # one for each representative; both lists empty unless evaluable
    states: list[str]


@dataclass(frozen=True)
class _Answer:
    """The rules 1 to 10 on one day."""

    status: str
    reason: str | None = None
    flags: tuple[str, ...] = ()
    provisional: bool = False
    last_known: str | None = None


# ---- versions and local days


def _local_day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _existing_infusions(
    versions: Sequence[InfusionVersion], zone: ZoneInfo, known_at: datetime | None
) -> list[_Infusion]:
    latest: dict[str, InfusionVersion] = {}
    for each in versions:
        if known_at is not None and each.recorded_at > known_at:
            continue
        if each.id not in latest or each.version > latest[each.id].version:
            latest[each.id] = each
    found = []
    for each in latest.values():
        if each.counts:
            day = _local_day(each.started_at, zone)
            end_day = day if each.ended_at is None else _local_day(each.ended_at, zone)
            found.append(_Infusion(each.id, each.started_at, day, end_day))
    return sorted(found, key=lambda infusion: (infusion.start, infusion.id))


def _existing_scores(versions: Sequence[ScoreVersion], zone: ZoneInfo, known_at: datetime | None) -> list[_Score]:
    latest: dict[str, ScoreVersion] = {}
    for each in versions:
        if known_at is not None and each.recorded_at > known_at:
            continue
        if each.id not in latest or each.version > latest[each.id].version:
            latest[each.id] = each
    found = []
    for each in latest.values():
        if each.counts:
            day = _local_day(each.taken_at, zone)
            found.append(_Score(each.id, each.taken_at, day, each.severity, each.recorded_at))
    return sorted(found, key=_score_order)


def _score_order(score: _Score) -> tuple[datetime, datetime, str]:
    # "ties on time: the version recorded latest, then the highest id"
    return (score.taken, score.recorded, score.id)


# ---- episodes, courses, baseline, representatives


def _episodes(infusions: list[_Infusion]) -> list[_Episode]:
    episodes: list[_Episode] = []
    previous: _Infusion | None = None
    for infusion in infusions:
        if previous is None or (infusion.day - previous.day).days > EPISODE_GAP_DAYS:
            episodes.append([[infusion]])
        else:
            episode = episodes[-1]
            near = (infusion.day - previous.day).days <= COURSE_GAP_DAYS
            in_first_course = len(episode) == 1
            since_first = (infusion.day - episode[0][0].day).days
            if near and not (in_first_course and since_first > FIRST_COURSE_DAYS):
                episode[-1].append(infusion)
            else:
                episode.append([infusion])
        previous = infusion
    return episodes


def _kind(courses: _Episode, index: int) -> str:
    if index == 0:
        return "induction"
    gap = (courses[index][0].day - courses[index - 1][-1].day).days
    return "maintenance" if gap <= COURSE_GAP_DAYS else "booster"


def _baseline(courses: _Episode, scores: list[_Score]) -> _Score | None:
    first = courses[0][0]
    candidates = [
        score for score in scores if score.taken <= first.start and (first.day - score.day).days <= LOOK_BACK_DAYS
    ]
    return max(candidates, key=_score_order, default=None)


def _representatives(courses: _Episode, scores: list[_Score], next_episode: _Infusion | None) -> list[_Representative]:
    of_day: dict[date, _Representative] = {}
    for score in sorted(scores, key=_score_order):
        if next_episode is not None and score.taken > next_episode.start:
            continue  # belongs to a later episode
        before = [
            (index, infusion)
            for index, course in enumerate(courses)
            for infusion in course
            if infusion.start < score.taken
        ]
        if not before:
            continue
        index, infusion = before[-1]
        if score.day > infusion.end_day:  # otherwise acute
            of_day[score.day] = _Representative(score, index, infusion)
    return sorted(of_day.values(), key=lambda each: _score_order(each.score))


# ---- what is carried through an episode


def _improved(parameters: Parameters, baseline: _Score, score: _Score, line: int) -> bool:
    gain = baseline.severity - score.severity
    if parameters.basis == "points":
        return gain >= line
    return 100 * gain >= line * baseline.severity


def _tail_start(representatives: list[_Representative], responses: list[bool], last: int) -> int:
    """Index of the first of the below representatives, in one course, that end at `last`."""
    start = last
    while start > 0 and not responses[start - 1] and representatives[start - 1].course == representatives[last].course:
        start -= 1
    return start


def _after_reset(courses: _Episode, representatives: list[_Representative], states: list[str], course: int) -> int:
    """Index of the first representative after the last course begun while `lost`, up to `course`."""
    start = 0
    for begun in courses[1 : course + 1]:
        before = [each for each in representatives if each.score.taken <= begun[0].start]
        if before and states[len(before) - 1] == "lost":
            start = len(before)
    return start


def _states(
    parameters: Parameters,
    baseline: _Score,
    courses: _Episode,
    representatives: list[_Representative],
    responses: list[bool],
) -> list[str]:
    """The result of rules 6 to 10 at each representative."""
    states: list[str] = []
    for index, each in enumerate(representatives):
        start = _after_reset(courses, representatives[:index], states, each.course)
        responded = any(responses[start : index + 1])
        if responses[index]:
            states.append("holding")
        elif responded:
            onset = _tail_start(representatives, responses, index)
            span = (each.score.day - representatives[onset].score.day).days
            lost = index > onset and span >= CONFIRM_SPAN_DAYS
            states.append("lost" if lost else "fading")
        elif _improved(parameters, baseline, each.score, parameters.partial):
            states.append("partial_response")
        else:
            states.append("no_response")
    return states


def _history(
    parameters: Parameters,
    courses: _Episode,
    scores: list[_Score],
    next_episode: _Infusion | None,
) -> _History:
    baseline = _baseline(courses, scores)
    representatives = _representatives(courses, scores, next_episode)
    if baseline is None:
        return _History(courses, None, False, representatives, [], [])
    # 4.1: a baseline of 0 has no percentage, wherever the entry line is
    without_percentage = parameters.basis == "percent" and baseline.severity <= 0
    if baseline.severity < parameters.entry or without_percentage:
        return _History(courses, baseline, False, representatives, [], [])
    responses = [_improved(parameters, baseline, each.score, parameters.response) for each in representatives]
    states = _states(parameters, baseline, courses, representatives, responses)
    return _History(courses, baseline, True, representatives, responses, states)


def _best_severities(history: _History) -> list[int]:
    """Severities of the responses that `best` and `second best` choose from, lowest first."""
    start = _after_reset(history.courses, history.representatives, history.states, len(history.courses) - 1)
    chosen: list[int] = []
    for index in range(start, len(history.representatives)):
        if history.responses[index]:
            if index > 0 and history.states[index - 1] == "lost":
                chosen = []
            chosen.append(history.representatives[index].score.severity)
    return sorted(chosen)


def _overlaps(parameters: Parameters, each: _Representative) -> bool:
    return parameters.recall_days > (each.score.day - each.infusion.day).days


# ---- the rules


def _seen(
    parameters: Parameters, infusions: list[_Infusion], scores: list[_Score], day: date
) -> tuple[list[_Episode], list[_Score], _History | None]:
    """Episodes, scores and the current episode's history as `day` sees them."""
    episodes = _episodes([infusion for infusion in infusions if infusion.day <= day])
    seen_scores = [score for score in scores if score.day <= day]
    if not episodes:
        return episodes, seen_scores, None
    return episodes, seen_scores, _history(parameters, episodes[-1], seen_scores, None)


def _answer(  # noqa: PLR0911 - one return per rule of the text
    parameters: Parameters, history: _History | None, scores: list[_Score], day: date
) -> _Answer:
    if history is None:
        return _Answer("not_started")
    courses = history.courses
    if history.baseline is None:
        after = any(score.taken > courses[0][0].start for score in scores)
        reason = "baseline_after_first_infusion" if after else "none_in_window"
        return _Answer("no_baseline", reason)
    baseline = history.baseline
    if not history.evaluable:
        return _Answer(
            "not_evaluable",
            "baseline_below_threshold",
            _emergent(parameters, baseline, history.representatives, day),
        )
    state = history.states[-1] if history.states else None
    here = [each for each in history.representatives if each.course == len(courses) - 1]
    if not here:
        if (day - courses[-1][-1].day).days <= STALE_DAYS:
            return _Answer("awaiting_follow_up", last_known=state)
        return _Answer("stale", "never_followed_up", last_known=state)
    if (day - here[-1].score.day).days > STALE_DAYS:
        return _Answer("stale", "no_recent_score", last_known=state)
    assert state is not None
    flags = _holding_flags(parameters, history) if state == "holding" else set()
    if here[-1].score.severity - baseline.severity >= parameters.reliable_change:
        flags.add("reliable_deterioration")
    provisional = state in ("partial_response", "no_response") and all(_overlaps(parameters, each) for each in here)
    return _Answer(state, None, tuple(sorted(flags)), provisional)


def _emergent(
    parameters: Parameters, baseline: _Score, representatives: list[_Representative], day: date
) -> tuple[str, ...]:
    if not representatives:
        return ()
    latest = representatives[-1].score
    recent = (day - latest.day).days <= STALE_DAYS
    risen = latest.severity - baseline.severity >= parameters.reliable_change
    if recent and latest.severity >= parameters.entry and risen:
        return ("emergent_symptoms",)
    return ()


def _holding_flags(parameters: Parameters, history: _History) -> set[str]:
    flags: set[str] = set()
    course = len(history.courses) - 1
    here = [index for index, each in enumerate(history.representatives) if each.course == course]
    latest = history.representatives[here[-1]].score
    if parameters.remission is not None and latest.severity <= parameters.remission:
        flags.add("remission")

    best = _best_severities(history)
    if len(here) >= 2 and len(best) >= 2:
        earlier = history.representatives[here[-2]].score
        both_respond = history.responses[here[-1]] and history.responses[here[-2]]
        apart = (latest.day - earlier.day).days >= CONFIRM_SPAN_DAYS
        both_worse = all(score.severity - best[1] >= parameters.reliable_change for score in (earlier, latest))
        if both_respond and apart and both_worse:
            flags.add("worse_than_best")

    losses = [index for index in here if history.states[index] == "lost"]
    if losses:
        confirmed = losses[-1]
        while confirmed - 1 in losses:
            confirmed -= 1
        first_response = next(index for index in here if index > confirmed and history.responses[index])
        from_moment = history.representatives[confirmed].score.taken
        to_moment = history.representatives[first_response].score.taken
        retreated = any(from_moment <= infusion.start < to_moment for each in history.courses for infusion in each)
        if not retreated:
            flags.add("recovered_without_retreatment")
    return flags


# ---- derived dates


def _since_on(
    parameters: Parameters,
    infusions: list[_Infusion],
    scores: list[_Score],
    history: _History,
    status: str,
    as_of: date,
) -> date:
    if status == "awaiting_follow_up":
        return history.courses[-1][0].day
    # The status of a day follows from the events up to it and from what is more than 35 days old,
    # so it is the same on every day between two of these.
    first = history.courses[0][0].day
    events = {infusion.day for infusion in infusions} | {score.day for score in scores}
    turned_old = {day + timedelta(days=STALE_DAYS + 1) for day in events}
    since = as_of
    for day in sorted(events | turned_old, reverse=True):
        if not first <= day <= as_of:
            continue
        _, seen_scores, then = _seen(parameters, infusions, scores, day)
        if _answer(parameters, then, seen_scores, day).status != status:
            break
        since = day
    return since


def _holding_run(history: _History) -> tuple[date, date]:
    days = [each.score.day for each in history.representatives]
    start = len(days) - 1
    while start > 0 and history.responses[start - 1] and (days[start] - days[start - 1]).days <= STALE_DAYS:
        start -= 1
    return days[start], days[-1]


def _durability(history: _History, next_episode: _Infusion | None) -> dict[str, object]:
    spell: dict[str, object] = {
        "origin_on": None,
        "event": None,
        "onset_on": None,
        "ascertained_on": None,
        "through_on": None,
        "days": None,
    }
    representatives, responses = history.representatives, history.responses
    origins = [
        index
        for index, responds in enumerate(responses)
        if responds and representatives[index].score.taken > history.courses[representatives[index].course][-1].start
    ]
    if not origins:
        return spell
    origin = representatives[origins[0]].score

    # (moment, 0 for a loss or 1 for a rescue, onset, ascertained): at one instant the score is first
    events: list[tuple[datetime, int, date, date]] = []
    for index in range(origins[0] + 1, len(representatives)):
        if history.states[index] == "lost" and history.states[index - 1] != "lost":
            onset = _tail_start(representatives, responses, index)
            score = representatives[index].score
            events.append((score.taken, 0, representatives[onset].score.day, score.day))
    beginnings = [course[0] for course in history.courses]
    if next_episode is not None:
        beginnings.append(next_episode)
    for infusion in beginnings:
        if infusion.start < origin.taken:
            continue
        latest = len([each for each in representatives if each.score.taken <= infusion.start]) - 1
        if not responses[latest]:
            onset = _tail_start(representatives, responses, latest)
            events.append((infusion.start, 1, representatives[onset].score.day, infusion.day))

    through = representatives[-1].score.day
    if events:
        _, kind, through, ascertained = min(events)
        spell["event"] = "lost" if kind == 0 else "rescue"
        spell["onset_on"] = through
        spell["ascertained_on"] = ascertained
    spell["origin_on"] = origin.day
    spell["through_on"] = through
    spell["days"] = (through - origin.day).days
    return spell


# ---- the two entrances


def sessions_of(
    infusions: Sequence[InfusionVersion], zone: str, known_at: datetime | None = None
) -> dict[str, tuple[int, int, int, str]]:
    """For each counting infusion: number in its episode, episode, course in the episode, kind."""
    found: dict[str, tuple[int, int, int, str]] = {}
    existing = _existing_infusions(infusions, ZoneInfo(zone), known_at)
    for episode_number, courses in enumerate(_episodes(existing), start=1):
        number = 0
        for index, course in enumerate(courses):
            for infusion in course:
                number += 1
                found[infusion.id] = (number, episode_number, index + 1, _kind(courses, index))
    return found


def verdict(
    parameters: Parameters,
    infusions: Sequence[InfusionVersion],
    scores: Sequence[ScoreVersion],
    zone: str,
    as_of: date,
    known_at: datetime | None = None,
) -> dict[str, object]:
    """The whole answer for one track on one day, from what was recorded up to `known_at`."""
    all_infusions = _existing_infusions(infusions, ZoneInfo(zone), known_at)
    all_scores = _existing_scores(scores, ZoneInfo(zone), known_at)
    episodes, seen_scores, history = _seen(parameters, all_infusions, all_scores, as_of)
    answer = _answer(parameters, history, seen_scores, as_of)
    result: dict[str, object] = {
        "status": answer.status,
        "reason": answer.reason,
        "flags": sorted(answer.flags),
        "provisional": answer.provisional,
        "last_known": answer.last_known,
        "baseline": None,
        "best": None,
        "latest": None,
        "latest_window": None,
        "improvement_percent": None,
        "change": None,
        "since_on": None,
        "holding_since_on": None,
        "holding_through_on": None,
        "days_holding": None,
        "days_since_last_session": None,
        "days_since_last_score": None,
        "episode": None,
        "durability": _durability(_History([], None, False, [], [], []), None),
        "previous_spells": [],
    }
    if history is None:
        return result

    courses = history.courses
    result["episode"] = {
        "number": len(episodes),
        "first_session_on": courses[0][0].day,
        "sessions": sum(len(course) for course in courses),
        "courses": len(courses),
    }
    result["days_since_last_session"] = (as_of - courses[-1][-1].day).days
    result["since_on"] = _since_on(parameters, all_infusions, all_scores, history, answer.status, as_of)

    baseline = history.baseline
    if baseline is not None:
        result["baseline"] = baseline.id
    if history.representatives:
        latest = history.representatives[-1]
        result["latest"] = latest.score.id
        result["latest_window"] = "overlapping" if _overlaps(parameters, latest) else "clean"
        result["days_since_last_score"] = (as_of - latest.score.day).days
        if baseline is not None:
            result["change"] = latest.score.severity - baseline.severity
            if history.evaluable and parameters.basis == "percent":
                gain = baseline.severity - latest.score.severity
                # floor division rounds down, toward worse, on either side of zero
                result["improvement_percent"] = (1000 * gain // baseline.severity) / 10

    if history.evaluable:
        best = _best_severities(history)
        if best:
            result["best"] = best[0]
    if answer.status == "holding":
        since, through = _holding_run(history)
        result["holding_since_on"] = since
        result["holding_through_on"] = through
        result["days_holding"] = (through - since).days

    result["durability"] = _durability(history, None)
    previous_spells: list[dict[str, object]] = []
    for number in range(1, len(episodes)):
        next_episode = episodes[number][0][0]
        before = _history(parameters, episodes[number - 1], seen_scores, next_episode)
        spell = _durability(before, next_episode)
        if spell["origin_on"] is not None:
            previous_spells.append({"episode": number, **spell})
    result["previous_spells"] = previous_spells
    return result


def records(
    parameters: Parameters,
    infusions: Sequence[InfusionVersion],
    scores: Sequence[ScoreVersion],
    zone: str,
    as_of: date,
) -> list[dict[str, object]]:
    """For each episode: what answers over many patients read of it, under every endpoint and booster policy of 4.3."""
    seen = [i for i in _existing_infusions(infusions, ZoneInfo(zone), None) if i.day <= as_of]
    all_scores = [s for s in _existing_scores(scores, ZoneInfo(zone), None) if s.day <= as_of]
    episodes = _episodes(seen)
    found: list[dict[str, object]] = []
    for number, courses in enumerate(episodes, start=1):
        following = episodes[number][0][0] if number < len(episodes) else None
        history = _history(parameters, courses, all_scores, following)
        days = [each.score.day for each in history.representatives]
        last_of_first = courses[0][-1].day
        early = [
            each.score.severity
            for each in history.representatives
            if each.course == 0 and 14 <= (each.score.day - last_of_first).days <= 31
        ]
        found.append(
            {
                "episode": number,
                "induction_sessions": len(courses[0]),
                "baseline": history.baseline and history.baseline.severity,
                "evaluable": history.evaluable,
                "followed": bool(history.representatives),
                "early": early[-1] if early else None,
                "gaps": sorted((later - day).days for day, later in pairwise(days)),
                "endings": _endings(history, following),
            }
        )
    return found


def _endings(history: _History, next_episode: _Infusion | None) -> dict[tuple[str, str], tuple[int, bool]] | None:
    spell = _durability(history, next_episode)
    origin = spell["origin_on"]
    if not isinstance(origin, date):
        return None
    days = spell["days"]
    assert isinstance(days, int)
    either = (days, spell["event"] is not None)
    loss = (days, spell["event"] == "lost")
    if spell["event"] == "rescue":
        ascertained = spell["ascertained_on"]
        assert isinstance(ascertained, date)
        starts = [course[0] for course in history.courses] + ([next_episode] if next_episode else [])
        begun = next(s for s in starts if s.day == ascertained and s.start > _origin_moment(history))
        before = [each.score.day for each in history.representatives if each.score.taken <= begun.start]
        loss = ((before[-1] - origin).days, False)
    found = {("loss_or_rescue", "ignore"): either, ("loss", "ignore"): loss}
    cut = _before_first_later_course(history, spell)
    for endpoint in ("loss_or_rescue", "loss"):
        uncut = found[(endpoint, "ignore")]
        found[(endpoint, "censor")] = uncut if cut is None else ((cut - origin).days, False)
    return found


def _origin_moment(history: _History) -> datetime:
    return next(
        each.score.taken
        for each, responds in zip(history.representatives, history.responses, strict=True)
        if responds and each.score.taken > history.courses[each.course][-1].start
    )


def _before_first_later_course(history: _History, spell: dict[str, object]) -> date | None:
    """The latest representative before the first course begun after the origin, if the spell had not ended by then."""
    origin = _origin_moment(history)
    later = [course[0] for course in history.courses if course[0].start >= origin]
    if not later:
        return None
    before = [
        (each, responds)
        for each, responds in zip(history.representatives, history.responses, strict=True)
        if each.score.taken <= later[0].start
    ]
    each, responds = before[-1]
    ended = spell["event"] == "lost" and isinstance(spell["ascertained_on"], date)
    if ended and spell["ascertained_on"] <= each.score.day:  # type: ignore[operator]
        return None
    return each.score.day if responds else None
