"""Response bodies of answers over many patients, and their snapshots. The rows of episodes belong to `tracks`."""

from datetime import date, datetime
from typing import get_args
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, LargeBinary
from sqlmodel import Field, SQLModel

from app.api.fields import MomentOut, ResponseBody, grows
from app.cohorts.tallies import GroupBy
from app.storage import Moment, key
from app.tracks.output import Value

_REASON = grows("one_group", "groups_overlap", "groups_suppressed", "nothing_to_compare")


class CohortSnapshot(SQLModel, table=True):
    """A clinic's episodes at one moment, from which callers who may not see patients are answered. `content`: JSON,
    compressed (zlib); see `cohorts.snapshots`."""

    __tablename__ = "cohort_snapshots"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),)

    clinic_id: UUID = key()
    taken_at: datetime = Field(primary_key=True, sa_type=Moment)
    day: date
    content: bytes = Field(sa_type=LargeBinary)


class MethodOut(ResponseBody):
    """How the numbers were made, and what they do not say."""

    unit: str
    origin: str
    event: str
    censoring: str
    statistics: list[str]
    """Each statistic with its published source."""
    shown: str
    """Where curves end, and which groups are hidden."""
    cautions: list[str]


class CompletenessOut(ResponseBody):
    """How much of the cohort the answer rests on. Patients with a session that counts; of them with a baseline; with
    one at or over the entry line; of those with a reading that counts after it; with a durable response; with a
    reading 14 to 31 days after the first course. Null: not shown."""

    patients: int | None
    with_baseline: int | None
    evaluable: int | None
    with_follow_up: int | None
    responders: int | None
    with_early_reading: int | None
    median_gap_days: float | None
    """The median, over episodes, of the median days between readings: sparse readings make relief look longer."""


class StepOut(ResponseBody):
    """The curve from `day` on: the share of spells without an event by then. Limits are null where they are undefined,
    at 1 and at 0."""

    day: int
    at_risk: int
    events: int
    survival: float
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None


class HoldingOut(ResponseBody):
    """The curve read at a day. `survival` is null where too few are at risk; once nobody holds it stays 0. `lowest` and
    `highest` bound it and need nobody at risk: shares of all spells, were each lost on the day after its last response,
    and were every censored one still holding. `by_last_response` is the second curve. The last three are null without
    the scope patients:read."""

    day: int
    at_risk: int | None
    survival: float | None
    ci_low: float | None
    ci_high: float | None
    lowest: float | None
    highest: float | None
    by_last_response: float | None


class AtRiskOut(ResponseBody):
    """How many spells were in response and followed until a day."""

    day: int
    at_risk: int


class RestrictedMeanOut(ResponseBody):
    """Mean days of relief within the first `tau` days, with its standard error and 95% interval; null where `tau` lies
    past what is known or shown. The interval is null without the scope patients:read."""

    tau: int
    value: float | None
    se: float | None
    ci: list[float] | None


class IncidenceOut(ResponseBody):
    """From `day` on: the share of spells that a loss has ended, and the share that a rescue has ended before any loss
    could be seen (Aalen-Johansen). `events` and `competing` are the losses and rescues on that day."""

    day: int
    at_risk: int
    events: int
    competing: int
    loss: float
    standard_error: float
    rescue: float


class BesidesOut(ResponseBody):
    """What else groups differ in: the mean baseline, in the instrument's own unit, and, of the episodes whose number of
    failed antidepressant trials is known, how many are of treatment-resistant patients."""

    episodes: int
    mean_baseline: float
    resistance_known: int
    treatment_resistant: int


class DurabilityGroupOut(ResponseBody):
    """How long relief lasted in one group. Everything is null where the group is hidden. `small`: fewer patients than
    the limit."""

    group: str
    suppressed: bool
    small: bool
    responders: int | None
    """Spells: first durable responses, one per patient and episode."""
    events: int | None
    censored: int | None
    censored_below: int | None
    """Of the censored, those whose latest reading is short of response; null without the scope patients:read."""
    median_days: Value | None
    """The first day on which at most half still hold; null where the curve does not come down to that."""
    median_ci: list[Value | None] | None
    """The days on which the curve's limits come down to one half; null where one does not."""
    restricted_mean_days: RestrictedMeanOut | None
    followed_to_day: int | None
    """The last day with enough at risk for the curve to be shown."""
    median_follow_up_days: Value | None
    """By the reverse estimate, in which events are censored; null where half were not followed so long, and without the
    scope patients:read."""
    numbers_at_risk: list[AtRiskOut] | None
    """Every 7 days, as far as the curve is shown."""
    curve: list[StepOut] | None
    by_last_response: list[StepOut] | None
    """The same estimate, with censored spells censored at their last response; null without the scope patients:read."""
    incidence: list[IncidenceOut] | None
    """Under endpoint `loss` only, where rescue competes; null without the scope patients:read."""
    still_holding: list[HoldingOut] | None
    besides: BesidesOut | None
    """Null without a grouping, and without the scope patients:read."""


class LogRankOut(ResponseBody):
    """Do the groups' curves differ? A log-rank test."""

    chi_square: float
    df: int
    p_value: float


class CohortDurabilityOut(ResponseBody):
    """How long the first durable response of each episode lasted, over the clinic's patients."""

    instrument: str
    endpoint: str = grows("loss_or_rescue", "loss")
    boosters: str = grows("ignore", "censor")
    median: str = grows("first_day", "midpoint")
    """How a median is read where the curve is one half for some days."""
    group_by: str = grows(*get_args(GroupBy))
    as_of: date
    known_at: MomentOut
    snapshot_on: date | None
    """The day of the snapshot that answered; null for callers with the scope patients:read, who get today's numbers."""
    rule: str
    method: MethodOut
    groups: list[DurabilityGroupOut]
    log_rank: LogRankOut | None
    reason: str | None = _REASON
    """Why `log_rank` is null."""
    completeness: CompletenessOut


class RateOut(ResponseBody):
    """`n` of `of` episodes, in percent, with the 95% interval of the percentage."""

    n: int
    of: int
    percent: float | None
    ci: list[float] | None


class BoundsOut(ResponseBody):
    """The response rate were every episode without a reading in the window no response, or every one a response."""

    missing: int
    lowest_percent: float | None
    highest_percent: float | None


class OutcomeGroupOut(ResponseBody):
    """How one group stood 14 to 31 days after the first course. Everything is null where the group is hidden;
    `overlapping` and `provisional` in answers from a snapshot of an earlier release; `remission`, which needs a
    response, where the instrument has no such line; `response_bounds` without the scope patients:read."""

    group: str
    suppressed: bool
    small: bool
    response: RateOut | None
    partial: RateOut | None
    remission: RateOut | None
    deterioration: RateOut | None
    overlapping: RateOut | None
    """Readings whose recall window reaches back to the first course."""
    provisional: RateOut | None
    """Readings that show no response and whose recall window reaches back to the first course."""
    response_bounds: BoundsOut | None
    besides: BesidesOut | None
    """Null without a grouping, and without the scope patients:read."""


class CohortOutcomesOut(ResponseBody):
    """How many had responded 14 to 31 days after their first course, over the clinic's patients."""

    instrument: str
    group_by: str = grows(*get_args(GroupBy))
    as_of: date
    known_at: MomentOut
    snapshot_on: date | None
    """The day of the snapshot that answered; null for callers with the scope patients:read, who get today's numbers."""
    rule: str
    method: MethodOut
    groups: list[OutcomeGroupOut]
    completeness: CompletenessOut
