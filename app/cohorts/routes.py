"""Routes of cohorts."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.access.dependencies import DoorOf, GuardedRoute
from app.api.fields import DayIn, MomentIn
from app.api.problems import problems
from app.cohorts import service
from app.cohorts.models import CohortDurabilityOut, CohortOutcomesOut
from app.cohorts.tallies import GroupBy, Question
from app.relief import Boosters, Endpoint

router = APIRouter(prefix="/v1/cohorts", tags=["cohorts"], route_class=GuardedRoute)

Instrument = Annotated[str, Query(max_length=50, description="Code of an instrument with a rule", examples=["phq-9"])]
Grouping = Annotated[GroupBy, Query(description="Indications overlap; unknown is a group of its own")]
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


@router.get("/durability", summary="How long does relief last?", responses=problems())
async def get_durability(
    door: DoorOf,
    instrument: Instrument,
    endpoint: Annotated[Endpoint, Query(description="`loss` censors a rescue")] = "loss_or_rescue",
    boosters: Annotated[Boosters, Query(description="What a course begun during response does to a spell")] = "ignore",
    group_by: Grouping = "none",
    as_of: AsOf = None,
    known_at: KnownAt = None,
    tau: Tau = None,
) -> CohortDurabilityOut:
    """From the first durable response of each episode to loss of response or rescue: curve, median, restricted mean and
    comparison of groups. Without the scope patients:read small groups are hidden and days come in weeks."""
    question = Question(instrument, group_by, as_of or service.today(door.caller, door.act.at), endpoint, boosters)
    found = await door.read(lambda db: service.durability_of(db, door.caller, question, known_at, tau, door.act.at))
    return found.value


@router.get("/outcomes", summary="How many responded?", responses=problems())
async def get_outcome_rates(
    door: DoorOf, instrument: Instrument, group_by: Grouping = "none", as_of: AsOf = None, known_at: KnownAt = None
) -> CohortOutcomesOut:
    """Response, partial response, remission and deterioration 14 to 31 days after the first course, with 95% intervals.
    Without the scope patients:read small groups are hidden."""
    question = Question(instrument, group_by, as_of or service.today(door.caller, door.act.at))
    found = await door.read(lambda db: service.outcomes_of(db, door.caller, question, known_at, door.act.at))
    return found.value
