"""Response bodies for tracks and domains. Every score is in its instrument's own unit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import Field, WithJsonSchema

from app.api.fields import MomentOut, grows, response_body
from app.instruments import INSTRUMENTS, Instrument
from app.relief import VERSION, Score, Spell, Verdict
from app.tracks.domains import line_severity, near_line, rule

Status = Literal[
    "not_started",
    "no_baseline",
    "not_evaluable",
    "awaiting_follow_up",
    "stale",
    "lost",
    "fading",
    "holding",
    "partial_response",
    "no_response",
]
_STATUS = grows(*get_args(Status))
Value = int | float


@response_body
class ReadingOut:
    """One score the verdict rests on, in the instrument's unit."""

    value: Value
    taken_at: MomentOut
    score_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]


@response_body
class LatestOut(ReadingOut):
    """The latest representative reading. `window` is `overlapping` when its recall reaches back past the infusion."""

    window: str = grows("clean", "overlapping")


@response_body
class MeasurementErrorOut:
    """The standard error of measurement of one reading, in the score's own unit: the reliable change / (1.96 x sqrt 2),
    with the kind and the source of the reliable change."""

    points: float
    reliable_change: Value
    """The smallest change between two readings that counts as more than chance, by `kind`."""
    kind: str = grows("nhs", "published", "computed", "convention")
    source: str


@response_body
class EpisodeOut:
    """The current series of infusions."""

    number: int
    first_session_on: date
    sessions: int
    courses: int


@response_body
class DurabilityOut:
    """How long the first durable response lasted. `through_on` is the onset of the event, or the latest reading; `days`
    run from `origin_on` to it. All null without such a response."""

    origin_on: date | None
    event: str | None = grows("lost", "rescue")
    onset_on: date | None
    ascertained_on: date | None
    through_on: date | None
    days: int | None


@response_body
class SpellOut(DurabilityOut):
    """The durability of an episode that a new episode ended."""

    instrument: str
    domain: str
    episode: int


@response_body
class TrackOut:
    """Whether relief is holding by one instrument: the status, the scores used and what is missing. Scores and lines
    are in the instrument's own unit and direction; a null is a number this status does not have."""

    instrument: str
    domain: str
    status: str = _STATUS
    reason: str | None = grows(
        "baseline_after_first_infusion",
        "none_in_window",
        "baseline_below_threshold",
        "never_followed_up",
        "no_recent_score",
    )
    flags: list[str] = Field(
        json_schema_extra={
            "x-known-values": [
                "emergent_symptoms",
                "recovered_without_retreatment",
                "reliable_deterioration",
                "remission",
                "worse_than_best",
            ]
        }
    )
    provisional: bool
    """Every reading of the current course also covers time before its infusion."""
    last_known: str | None
    """While awaiting or stale: the status at the latest reading that counted."""
    baseline: ReadingOut | None
    """The latest score at or before the first infusion of the episode, at most 28 days earlier."""
    best: ReadingOut | None
    """The mildest response since response began; null where there is none."""
    latest: LatestOut | None
    """The latest reading of the episode that counts."""
    improvement_percent: float | None
    """Of the baseline severity, rounded down to one decimal; negative is worse."""
    change: Value | None
    """Latest minus baseline, on the score's own scale."""
    response_line: Value | None
    """The worst score that still is a response."""
    remission_line: Value | None
    """The worst score that still is remission; null where the instrument has no such line."""
    measurement_error: MeasurementErrorOut
    """How far one reading may be off by chance."""
    near_line: bool | None
    """Whether the latest reading and the response line are at most 1.96 standard errors of measurement apart; null
    without either. It is said of one reading and is no status."""
    confirm_due_on: date | None
    """The day from which one more reading would show whether the latest one repeats, where the plan asks for it."""
    since_on: date | None
    """The first day of the unbroken run of days with this status."""
    holding_since_on: date | None
    """The first reading of the unbroken run of responses."""
    holding_through_on: date | None
    """The last reading of that run."""
    days_holding: int | None
    """Days between the two: nothing is counted after the last reading."""
    days_since_last_session: int | None
    """Days from the start of the latest infusion to `as_of`."""
    latest_incomplete_on: date | None
    """The day of the latest score with unanswered items, which is no reading."""
    days_since_last_score: int | None
    """Days from the latest reading that counts to `as_of`."""
    episode: EpisodeOut | None
    durability: DurabilityOut
    explanation: str
    """The answer in words, made from this answer alone."""


@response_body
class OtherOut:
    """Another instrument of the domain, and what it says."""

    instrument: str
    status: str = _STATUS
    last_known: str | None


@response_body
class DomainOut:
    """A domain's answer: the status of the instrument that answers for it. `others` are the further instruments of the
    domain that have a baseline or a score in the current episode."""

    domain: str
    instrument: str
    status: str = _STATUS
    last_known: str | None
    reason: str | None
    since_on: date | None
    improvement_percent: float | None
    note: str | None = grows("instrument_changed")
    others: list[OtherOut]


def track_out(
    instrument: Instrument, verdict: Verdict, incomplete_on: date | None = None, version: str = VERSION
) -> TrackOut:
    """Converts a verdict by a version of the rules to a response body in the instrument's unit. `explanation` stays
    empty here; the caller makes it from the result."""
    tenths = verdict.improvement_tenths
    return TrackOut(
        instrument=instrument.code,
        domain=instrument.domain,
        status=verdict.status,
        reason=verdict.reason,
        flags=list(verdict.flags),
        provisional=verdict.provisional,
        last_known=verdict.last_known,
        baseline=reading_out(instrument, verdict.baseline),
        best=reading_out(instrument, verdict.best),
        latest=_latest(instrument, verdict),
        improvement_percent=None if tenths is None else tenths / 10,
        change=_change(instrument, verdict),
        response_line=line_of(instrument, verdict.response_severity),
        remission_line=line_of(instrument, instrument.rule.remission if instrument.rule else None),
        measurement_error=_measurement_error(instrument.code, version),
        near_line=near_line(instrument.code, verdict, version),
        confirm_due_on=None,
        since_on=verdict.since_on,
        holding_since_on=verdict.holding_since_on,
        holding_through_on=verdict.holding_through_on,
        days_holding=verdict.days_holding,
        days_since_last_session=verdict.days_since_last_session,
        days_since_last_score=verdict.days_since_last_score,
        latest_incomplete_on=incomplete_on,
        episode=_episode(verdict),
        durability=durability_out(verdict.spell),
        explanation="",
    )


@lru_cache(maxsize=256)
def _measurement_error(code: str, version: str) -> MeasurementErrorOut:
    instrument, by = INSTRUMENTS[code], rule(code, version)
    return MeasurementErrorOut(
        points=round(by.measurement_error / instrument.per_unit, 2),
        reliable_change=instrument.value(by.reliable_change),
        kind=by.reliable_change_kind,
        source=by.reliable_change_source,
    )


def domain_out(
    domain: str, instrument: str, verdict: Verdict, note: str | None, others: Mapping[str, Verdict]
) -> DomainOut:
    tenths = verdict.improvement_tenths
    return DomainOut(
        domain=domain,
        instrument=instrument,
        status=verdict.status,
        last_known=verdict.last_known,
        reason=verdict.reason,
        since_on=verdict.since_on,
        improvement_percent=None if tenths is None else tenths / 10,
        note=note,
        others=[
            OtherOut(instrument=code, status=other.status, last_known=other.last_known)
            for code, other in others.items()
        ],
    )


_NO_SPELL = DurabilityOut(origin_on=None, event=None, onset_on=None, ascertained_on=None, through_on=None, days=None)


def durability_out(spell: Spell | None) -> DurabilityOut:
    if spell is None:
        return _NO_SPELL
    return DurabilityOut(
        origin_on=spell.origin_on,
        event=spell.event,
        onset_on=spell.onset_on,
        ascertained_on=spell.ascertained_on,
        through_on=spell.through_on,
        days=spell.days,
    )


def spells_out(verdicts: Mapping[str, Verdict]) -> Sequence[SpellOut]:
    """The spells that the start of a new episode ended, grouped by instrument, oldest first."""
    return [
        SpellOut(
            instrument=code,
            domain=INSTRUMENTS[code].domain,
            episode=spell.episode,
            **asdict(durability_out(spell)),
        )
        for code, verdict in verdicts.items()
        for spell in verdict.previous_spells
    ]


def reading_out(instrument: Instrument, score: Score | None) -> ReadingOut | None:
    if score is None:
        return None
    value = instrument.value(instrument.points_of_severity(score.severity))
    return ReadingOut(value=value, taken_at=score.taken_at, score_id=score.id)


def _latest(instrument: Instrument, verdict: Verdict) -> LatestOut | None:
    reading = reading_out(instrument, verdict.latest)
    if reading is None:
        return None
    window = "overlapping" if verdict.latest_overlaps else "clean"
    return LatestOut(value=reading.value, taken_at=reading.taken_at, score_id=reading.score_id, window=window)


def _change(instrument: Instrument, verdict: Verdict) -> Value | None:
    """Latest minus baseline on the score's own scale. On some instruments a higher score is better."""
    if verdict.change is None:
        return None
    return instrument.value(verdict.change if instrument.direction == "lower_is_better" else -verdict.change)


def line_of(instrument: Instrument, severity: int | None) -> Value | None:
    """The worst score that the instrument can give whose severity is at most `severity`."""
    worst = None if severity is None else line_severity(instrument.code, severity)
    return None if worst is None else instrument.value(instrument.points_of_severity(worst))


def _episode(verdict: Verdict) -> EpisodeOut | None:
    number, first = verdict.episode_number, verdict.first_session_on
    if number is None or first is None or verdict.sessions is None or verdict.courses is None:
        return None  # all of them at once, before the first infusion
    return EpisodeOut(number=number, first_session_on=first, sessions=verdict.sessions, courses=verdict.courses)
