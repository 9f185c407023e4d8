"""Response bodies of answers over many patients, and their snapshots. The rows of episodes belong to `tracks`."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, LargeBinary
from sqlmodel import Field, SQLModel

from app.api.fields import MomentOut, ResponseBody, grows
from app.storage import Moment, key

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
    """The curve read at a day, and its bounds were every censored spell lost at once (`lowest`) or still holding
    (`highest`; both null without the scope patients:read). Null where too few are at risk."""

    day: int
    at_risk: int | None
    survival: float | None
    ci_low: float | None
    ci_high: float | None
    lowest: float | None
    highest: float | None


class RestrictedMeanOut(ResponseBody):
    """Mean days of relief within the first `tau` days; null where `tau` lies past what is known or shown."""

    tau: int
    value: float | None


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
    median_days: int | None
    """The first day on which at most half still hold; null where the curve does not come down to that."""
    median_ci: list[int | None] | None
    """The days on which the curve's limits come down to one half; null where one does not."""
    restricted_mean_days: RestrictedMeanOut | None
    curve: list[StepOut] | None
    still_holding: list[HoldingOut] | None


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
    group_by: str = grows("none", "indication", "treatment_resistant", "induction_sessions")
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
    `remission` where the instrument has no such line; `response_bounds` without the scope patients:read."""

    group: str
    suppressed: bool
    small: bool
    response: RateOut | None
    partial: RateOut | None
    remission: RateOut | None
    deterioration: RateOut | None
    response_bounds: BoundsOut | None


class CohortOutcomesOut(ResponseBody):
    """How many had responded 14 to 31 days after their first course, over the clinic's patients."""

    instrument: str
    group_by: str = grows("none", "indication", "treatment_resistant", "induction_sessions")
    as_of: date
    known_at: MomentOut
    snapshot_on: date | None
    """The day of the snapshot that answered; null for callers with the scope patients:read, who get today's numbers."""
    rule: str
    method: MethodOut
    groups: list[OutcomeGroupOut]
    completeness: CompletenessOut
