"""Routes of cohorts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query

from app.access.dependencies import DoorOf, GuardedRoute
from app.access.door import Door
from app.api.fields import DayIn, MomentIn
from app.api.parameters import RuledInstrument
from app.api.problems import problems
from app.cohorts import service
from app.cohorts.models import CohortDurabilityOut, CohortOutcomesOut
from app.cohorts.tallies import GroupBy, MedianRead, Question
from app.facts import Fact
from app.relief import Boosters, Endpoint
from app.storage import Transaction

T = TypeVar("T")

router = APIRouter(prefix="/v1/cohorts", tags=["cohorts"], route_class=GuardedRoute)

Grouping = Annotated[
    GroupBy,
    Query(
        description="Indications overlap; unknown is a group of its own. By route, dose, quarter or age, of the "
        "episode's first session, only with patients:read"
    ),
]
AsOf = Annotated[
    DayIn | None, Query(description="A day in the clinic's zone; today by default. Another one needs patients:read")
]
KnownAt = Annotated[
    MomentIn | None, Query(description="Only what was recorded by then; everything by default. Needs patients:read")
]
Tau = Annotated[
    int | None,
    Query(
        ge=1,
        le=3_650,
        description="Days of the restricted mean; by default what every group covers, 90 at most. Without "
        "patients:read a multiple of 7",
    ),
]


@dataclass(frozen=True, slots=True)
class Cohort:
    """A question about durability as it was asked."""

    instrument: str
    endpoint: Endpoint
    boosters: Boosters
    group_by: GroupBy
    as_of: date | None
    known_at: datetime | None
    tau: int | None
    median: MedianRead


def _cohort(
    instrument: RuledInstrument,
    endpoint: Annotated[Endpoint, Query(description="`loss` censors a rescue")] = "loss_or_rescue",
    boosters: Annotated[Boosters, Query(description="What a course begun during response does to a spell")] = "ignore",
    group_by: Grouping = "none",
    as_of: AsOf = None,
    known_at: KnownAt = None,
    tau: Tau = None,
    median: Annotated[
        MedianRead,
        Query(
            description="Where the curve is one half for some days: the first of them, or the middle, as in R and SAS"
        ),
    ] = "first_day",
) -> Cohort:
    return Cohort(instrument, endpoint, boosters, group_by, as_of, known_at, tau, median)


CohortOf = Annotated[Cohort, Depends(_cohort)]


@router.get("/durability", summary="How long does relief last?", responses=problems())
async def get_durability(door: DoorOf, cohort: CohortOf) -> CohortDurabilityOut:
    """From the first durable response of each episode to loss of response or rescue: curve, median, restricted mean and
    comparison of groups. Without the scope patients:read a snapshot answers, which is renewed at most weekly; small
    groups, and those in which few patients changed, are hidden, and days come in weeks."""
    return await answered(door, cohort)


@router.get("/outcomes", summary="How many responded?", responses=problems())
async def get_outcome_rates(
    door: DoorOf, instrument: RuledInstrument, group_by: Grouping = "none", as_of: AsOf = None, known_at: KnownAt = None
) -> CohortOutcomesOut:
    """Response, partial response, remission and deterioration 14 to 31 days after the first course, with 95% intervals.
    Without the scope patients:read a snapshot answers, and small groups are hidden."""
    question = Question(instrument, group_by, as_of or service.today(door.caller, door.act.at))
    return await _answered(door, lambda db: service.outcomes_of(db, door.caller, question, known_at, door.act.at))


async def answered(door: Door, cohort: Cohort) -> CohortDurabilityOut:
    """The answer to a question about durability."""
    as_of = cohort.as_of or service.today(door.caller, door.act.at)
    question = Question(cohort.instrument, cohort.group_by, as_of, cohort.endpoint, cohort.boosters)
    read = (cohort.known_at, cohort.tau, cohort.median, door.act.at)
    return await _answered(door, lambda db: service.durability_of(db, door.caller, question, *read))


async def _answered(door: Door, work: Callable[[Transaction], Fact[T]]) -> T:
    """The answer; for the first question of the clinic's callers who may not see patients, a snapshot is taken."""
    try:
        return (await door.read(work)).value
    except service.NoSnapshotError:
        caller, now = door.caller, door.act.at
        whose = (caller.clinic_id, caller.time_zone, caller.clinic.smallest_group)
        await door.prepare(lambda db: service.take_first_snapshot(db, *whose, now))
        return (await door.read(work)).value
