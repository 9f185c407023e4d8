"""HTTP of the trend."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.access.dependencies import DoorOf, GuardedRoute
from app.api.fields import ANY_INSTRUMENT, DayIn
from app.api.problems import problems
from app.api.rendering import as_json
from app.trend import service
from app.trend.models import TrendOut
from app.trend.service import Bucket, Question

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["outcomes"], route_class=GuardedRoute)


def _question(
    instrument: Annotated[
        str,
        Query(max_length=50, description="Code of an instrument", examples=["phq-9"], json_schema_extra=ANY_INSTRUMENT),
    ],
    first: Annotated[
        DayIn | None,
        Query(
            alias="from",
            description="First day; by default of the first score, session, or event of the 90 days before",
        ),
    ] = None,
    last: Annotated[DayIn | None, Query(alias="to", description="Last day; today by default and at most")] = None,
    bucket: Annotated[Bucket, Query(description="Weeks start on Monday")] = "none",
) -> Question:
    return Question(instrument, first, last, bucket)


QuestionOf = Annotated[Question, Depends(_question)]


@router.get(
    "/trend",
    summary="Every score of one instrument",
    response_model=TrendOut,
    responses=problems("not_found", "merged"),
)
async def get_trend(door: DoorOf, patient_id: UUID, question: QuestionOf) -> Response:
    """Scores with the day's status, the sessions around them, lines and bands, and, if asked, buckets in which days
    without a score stay empty."""
    found = await door.read(lambda db: service.trend_of(db, door.caller, patient_id, question, door.act.at))
    return as_json(found).response()
