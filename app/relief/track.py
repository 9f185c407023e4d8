"""The fold: the state of one patient's scores on one instrument, updated event by event.

Source: clinical reference 4.3 and 4.6. `step` takes events in the order of `events.order`; a track is the fold so far
and holds everything that any later day's verdict needs.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from msgspec.structs import replace

from app.instruments import Rule
from app.relief.courses import InfusionPosition, first_position, position_after
from app.relief.episode import Episode, Loss, Standing, is_response, run_on
from app.relief.events import Event, Infusion, Score, order
from app.relief.lines import BASELINE_LOOKBACK_DAYS, CONFIRMATION_DAYS, EARLY_FROM_DAYS, EARLY_TO_DAYS, STALE_AFTER_DAYS
from app.relief.onsets import Onsets, begun, continued, is_running, over
from app.relief.spells import BELOW, DEEP, SHALLOW, Record, Spell, ended, seen, with_course
from app.relief.values import Immutable


class Track(Immutable, frozen=True):
    """The fold so far. `last` is the latest event, `latest_score` the latest score of all, acute ones included;
    `ended` are the episodes before the current one, `past_onsets` the onsets in them."""

    last: Event | None = None
    latest_score: Score | None = None
    episode: Episode | None = None
    ended: tuple[Record, ...] = ()
    past_onsets: Onsets = ()

    def is_before(self, event: Event) -> bool:
        """Whether `event` comes after everything folded so far, so that one `step` is enough."""
        return self.last is None or order(self.last) < order(event)


def fold(events: Iterable[Event], rule: Rule | None) -> Track:
    """Folds events, given in any order, to a track. Without a rule no baseline is ever evaluable."""
    track = Track()
    for event in sorted(events, key=order):
        track = advance(track, event, rule)
    return track


def step(track: Track, event: Event, rule: Rule | None) -> Track:
    """The track after one more event, which must be later than all before it. Raises ValueError otherwise."""
    if not track.is_before(event):
        raise ValueError("a step goes forward in time; fold again for a late arrival")
    return advance(track, event, rule)


def advance(track: Track, event: Event, rule: Rule | None) -> Track:
    """`step` for events that are known to be in order."""
    if isinstance(event, Infusion):
        return _infuse(track, event, rule)
    episode = track.episode
    if episode is not None:
        episode = _on_day(episode, event.day)
        if not episode.scored:
            episode = replace(episode, scored=True)
        if event.day > episode.last_infusion.end_day:
            standing = _represent(episode, episode.settled, event, rule)
            episode = replace(_heard(episode, event), standing=standing)
    return replace(track, last=event, latest_score=event, episode=episode)


def records(track: Track) -> tuple[Record, ...]:
    """The record of each episode, the current one last."""
    return track.ended if track.episode is None else (*track.ended, _record(track.episode, track.episode.standing))


def onsets(track: Track) -> Onsets:
    """Every onset, oldest first."""
    return track.past_onsets if track.episode is None else (*track.past_onsets, *track.episode.standing.onsets)


def _on_day(episode: Episode, day: date) -> Episode:
    """The episode on the day of a new event. On a new day, the status at the end of the day before is fixed."""
    if day == episode.day:
        return episode
    yesterday = run_on(episode, day - timedelta(days=1))
    return replace(episode, day=day, yesterday=yesterday, settled=episode.standing)


def _infuse(track: Track, infusion: Infusion, rule: Rule | None) -> Track:
    last = track.episode
    position = (
        position_after(last.position, last.last_infusion.day, infusion.day) if last else first_position(infusion.day)
    )
    if last is None or position.episode != last.position.episode:
        return _begin_episode(track, infusion, position, rule)
    episode = _on_day(last, infusion.day)
    if position.course == episode.position.course:
        standing = _infuse_again(episode.standing, position.course)
    else:
        standing = _begin_course(episode.standing, infusion.day)
    if position.course == 1:
        episode = replace(episode, induction_sessions=position.number, induction_ended_on=infusion.day, early=None)
    episode = replace(episode, position=position, last_infusion=infusion, standing=standing)
    return replace(track, last=infusion, episode=episode)


def _begin_episode(track: Track, infusion: Infusion, position: InfusionPosition, rule: Rule | None) -> Track:
    before, past = track.ended, onsets(track)
    if track.episode is not None:
        before = (*before, _record(track.episode, _followed_by_course(track.episode.standing, infusion.day)))
    baseline = track.latest_score
    if baseline is not None and (infusion.day - baseline.day).days > BASELINE_LOOKBACK_DAYS:
        baseline = None
    evaluable = baseline is not None and rule is not None and baseline.severity >= rule.entry
    nothing = Standing()
    day = infusion.day
    episode = Episode(position, infusion, baseline, evaluable, False, day, None, nothing, nothing, infusion.id, 1, day)
    return Track(infusion, track.latest_score, episode, before, over(past))


def _record(episode: Episode, standing: Standing) -> Record:
    return Record(
        episode=episode.position.episode,
        first_session=episode.first_session,
        first_session_on=episode.position.episode_day,
        induction_sessions=episode.induction_sessions,
        induction_ended_on=episode.induction_ended_on,
        baseline=episode.baseline.severity if episode.baseline else None,
        evaluable=episode.evaluable,
        early=episode.early.severity if episode.early else None,
        early_days=(episode.early.day - episode.induction_ended_on).days if episode.early else None,
        gaps=episode.gaps,
        followed=standing.latest is not None,
        spell=standing.spell,
    )


def _heard(episode: Episode, score: Score) -> Episode:
    """The episode with a representative counted: the gap before it, and whether it is an early one."""
    before, today = episode.settled.latest, episode.standing.latest
    if before is not None and (today is None or today.day != score.day):
        gap = (score.day - before.day).days
        episode = replace(episode, gaps={**episode.gaps, gap: episode.gaps.get(gap, 0) + 1})
    since = (score.day - episode.induction_ended_on).days
    if episode.position.course == 1 and EARLY_FROM_DAYS <= since <= EARLY_TO_DAYS:
        episode = replace(episode, early=score)
    return episode


def _begin_course(standing: Standing, day: date) -> Standing:
    standing = _followed_by_course(standing, day)
    spell = standing.spell
    if spell is not None and spell.event is None and spell.before_course_on is None and standing.latest is not None:
        spell = replace(spell, before_course_on=standing.latest.day)
    return replace(
        standing,
        spell=spell,
        responded=standing.responded and standing.state != "lost",
        tail_on=None,
        in_course=False,
        before=None,
        only_overlapping=True,
        loss=None,
    )


def _followed_by_course(standing: Standing, day: date) -> Standing:
    """The standing once a later course or a new episode begins: a rescue if the latest is below response."""
    spell = standing.spell
    if spell is None:
        return standing
    if spell.event is None and standing.tail_on is not None and standing.latest is not None:
        spell = replace(ended(spell, "rescue", standing.tail_on, day), before_rescue_on=standing.latest.day)
    return replace(standing, spell=with_course(spell, day))


def _infuse_again(standing: Standing, course: int) -> Standing:
    """The standing after one more infusion of the same course. A spell of this course is dropped, because its origin no
    longer follows the course's last infusion."""
    spell = standing.spell if standing.spell is None or standing.spell.course != course else None
    loss = standing.loss
    if loss is not None and not loss.recovered:
        loss = replace(loss, retreated=True)
    return replace(standing, spell=spell, loss=loss)


def _represent(episode: Episode, standing: Standing, score: Score, rule: Rule | None) -> Standing:
    """The standing with `score` as the representative of its day."""
    overlaps = rule is not None and rule.recall_days > (score.day - episode.last_infusion.day).days
    heard = replace(
        standing,
        latest=score,
        latest_overlaps=overlaps,
        before=standing.latest if standing.in_course else None,
        in_course=True,
        only_overlapping=standing.only_overlapping and overlaps,
    )
    if rule is None or not episode.evaluable:
        return heard
    if is_response(episode, score, rule):
        return _respond(episode, standing, heard, score, rule)
    return _fall_short(episode, standing, _deteriorated(episode, heard, score, rule), score, rule)


def _deteriorated(episode: Episode, heard: Standing, score: Score, rule: Rule) -> Standing:
    """The standing with what a reading below response says of reliable deterioration."""
    assert episode.baseline is not None
    if score.severity - episode.baseline.severity < rule.reliable_change:
        return heard
    if is_running(heard.onsets, "reliable_deterioration"):
        return replace(heard, onsets=continued(heard.onsets, "reliable_deterioration", score))
    return replace(heard, onsets=begun(heard.onsets, "reliable_deterioration", score.day, score))


def _respond(episode: Episode, standing: Standing, heard: Standing, score: Score, rule: Rule) -> Standing:
    best, second = standing.best, standing.second_best
    if not standing.responded or standing.state == "lost" or best is None:
        best, second = score, None
    elif score.severity < best.severity:
        best, second = score, best.severity
    elif second is None or score.severity < second:
        second = score.severity
    last = standing.latest
    unbroken = standing.state == "holding" and last and (score.day - last.day).days <= STALE_AFTER_DAYS
    position = episode.position
    spell = standing.spell or Spell(position.episode, position.course, score.day, score.day)
    return replace(
        heard,
        state="holding",
        responded=True,
        best=best,
        second_best=second,
        tail_on=None,
        holding_since_on=standing.holding_since_on if unbroken else score.day,
        loss=standing.loss and replace(standing.loss, recovered=True),
        spell=_seen(spell, score, DEEP if _is_deep(episode, score, rule) else SHALLOW),
        onsets=over(heard.onsets),
    )


def _fall_short(episode: Episode, standing: Standing, heard: Standing, score: Score, rule: Rule) -> Standing:
    assert episode.baseline is not None
    tail_on = standing.tail_on or score.day
    confirmed = (score.day - tail_on).days >= CONFIRMATION_DAYS
    if standing.responded:
        state = "lost" if confirmed else "fading"
    else:
        partial = rule.falls_by(episode.baseline.severity, score.severity, rule.partial)
        state = "partial_response" if partial else "no_response"
    loss, spell = standing.loss, standing.spell and _seen(standing.spell, score, BELOW)
    if state == "lost" and standing.state != "lost":
        loss = Loss()
        if spell is not None and spell.event is None:
            spell = ended(spell, "lost", tail_on, score.day)
    return replace(
        heard,
        state=state,
        tail_on=tail_on,
        holding_since_on=None,
        loss=loss,
        spell=spell,
        onsets=_lost(standing, heard.onsets, state, tail_on, score),
    )


def _lost(standing: Standing, known: Onsets, state: str, tail_on: date, score: Score) -> Onsets:
    """The onsets with what a reading below response says of a loss. A loss ends with its course, too: the next reading
    after an infusion says whether that one helped."""
    if state != "lost":
        return over(known, "relief_lost")
    if standing.state == "lost" and is_running(known, "relief_lost"):
        return continued(known, "relief_lost", score)
    return begun(known, "relief_lost", tail_on, score)


def _seen(spell: Spell, score: Score, letters: str) -> Spell:
    return spell if spell.event is not None else seen(spell, score.day, letters)


def _is_deep(episode: Episode, score: Score, rule: Rule) -> bool:
    """Whether a response is a fall of at least 75%; scales in points know no such depth."""
    return rule.basis == "percent" and episode.baseline is not None and 4 * score.severity <= episode.baseline.severity
