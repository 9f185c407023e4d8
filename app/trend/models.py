"""What the trend gives. Bodies only: the room has no tables."""

from datetime import date

from app.api.fields import Id, IdText, MomentOut, grows, response_body
from app.events.models import HappenedOut
from app.tracks.output import ReadingOut, Value


@response_body
class TrendBandOut:
    """A severity band in the score's unit, both ends included."""

    label: str
    min: Value
    max: Value


@response_body
class PointOut:
    """One score. `session_id` is the latest session before it, `days_since_session` counts from its day. `window` is
    `overlapping` where the recall reaches back past that session. `status` is the verdict of the whole day; `counts` is
    false for scores that are only charted: before any session, on a session's day after it (`acute`), or replaced by a
    later one of their day. Null: there is none."""

    score_id: IdText
    taken_at: MomentOut
    day: date
    value: Value
    severity: str | None
    improvement_percent: float | None
    phase: str = grows("baseline", "pre_infusion", "post_infusion", "follow_up")
    session_id: IdText | None
    days_since_session: int | None
    window: str | None = grows("clean", "overlapping")
    counts: bool
    acute: bool
    status: str | None


@response_body
class StatusRunOut:
    """An unbroken run of days with one status, both ends included."""

    from_on: date
    to_on: date
    status: str


@response_body
class BucketOut:
    """The scores of one day, week or month; an empty one has `n` 0 and nothing else."""

    start_on: date
    end_on: date
    n: int
    mean: float | None
    median: float | None
    min: Value | None
    max: Value | None


@response_body
class TrendSessionOut:
    """A session that counts, as a mark on the trend."""

    id: Id
    started_at: MomentOut
    day: date
    kind: str = grows("induction", "maintenance", "booster")
    number: int
    episode_number: int
    dose_mg_per_kg: float | None


@response_body
class TrendEpisodeOut:
    """An episode's own baseline and response line; null where it has none."""

    number: int
    first_session_on: date
    baseline: Value | None
    response_line: Value | None


@response_body
class TrendOut:
    """Every score of one instrument between two days, with what surrounds it. Status, baseline, latest reading and
    lines are those of `to_on`, in the instrument's unit; `episodes` has each episode's own, `statuses` the status of
    every day from the first session on, `events` what else happened (for callers with the scope sessions:read).
    `description` says in words what the picture shows."""

    patient_id: Id
    instrument: str
    domain: str
    direction: str = grows("lower_is_better", "higher_is_better")
    min: Value
    max: Value
    recall_days: int
    from_on: date | None
    to_on: date
    status: str | None
    """The verdict on `to_on`; null for a screen, which has none."""
    last_known: str | None
    reason: str | None
    """Why the status is `no_baseline`, `not_evaluable` or `stale`."""
    baseline: ReadingOut | None
    latest: ReadingOut | None
    """The latest reading that counts."""
    days_since_last_score: int | None
    response_line: Value | None
    remission_line: Value | None
    bands: list[TrendBandOut]
    points: list[PointOut]
    statuses: list[StatusRunOut]
    buckets: list[BucketOut]
    sessions: list[TrendSessionOut]
    episodes: list[TrendEpisodeOut]
    events: list[HappenedOut]
    description: str
