"""Routes of the page about many patients."""

from typing import Annotated, cast, get_args

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import DoorOf
from app.cohorts import service as cohorts
from app.cohorts.models import CohortDurabilityOut, CohortOutcomesOut
from app.cohorts.policies import SMALLEST_AT_RISK
from app.cohorts.tallies import GroupBy, Question
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.storage import Transaction
from app.web.pages import PageRoute, page

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_GROUPINGS = get_args(GroupBy)
_READ_AT = (14, 28, 56, 90, 180)


@router.get("/cohorts", name="page_cohorts")
async def cohorts_page(
    request: Request,
    door: DoorOf,
    instrument: Annotated[str, Query(max_length=50)] = "phq-9",
    endpoint: Annotated[str, Query(max_length=20)] = "loss_or_rescue",
    boosters: Annotated[str, Query(max_length=20)] = "ignore",
    group_by: Annotated[str, Query(max_length=30)] = "none",
) -> Response:
    """How long relief lasts: curves with intervals, numbers at risk and where they end, group beside group."""
    code = instrument if instrument in INSTRUMENTS and INSTRUMENTS[instrument].rule is not None else "phq-9"
    caller, now = door.caller, door.act.at
    question = Question(
        code,
        cast(GroupBy, group_by if group_by in _GROUPINGS else "none"),
        cohorts.today(caller, now),
        "loss" if endpoint == "loss" else "loss_or_rescue",
        "censor" if boosters == "censor" else "ignore",
    )

    def work(db: Transaction) -> Fact[tuple[CohortDurabilityOut, CohortOutcomesOut]]:
        lasting = cohorts.durability_of(db, caller, question, None, None, "first_day", now)
        return Fact((lasting.value, cohorts.outcomes_of(db, caller, question, None, now).value))

    durability, rates = (await door.read(work)).value
    return page(
        request,
        "cohorts.html",
        durability=durability,
        rates=rates,
        question=question,
        read_at=_READ_AT,
        least_at_risk=SMALLEST_AT_RISK,
        codes=[code for code, found in INSTRUMENTS.items() if found.rule is not None],
        groupings=_GROUPINGS,
    )
