"""HTTP of the trend and its picture."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from app.access.dependencies import DoorOf, GuardedRoute
from app.access.door import Door
from app.api.fields import DayIn
from app.api.parts import Part
from app.api.problems import Responses, problems
from app.drawing import Format, Renderer
from app.instruments import INSTRUMENTS
from app.trend import service
from app.trend.models import TrendOut
from app.trend.picture import picture, with_alternative
from app.trend.service import Bucket, Question

RENDERER: Part[Renderer] = Part("renderer")

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["outcomes"], route_class=GuardedRoute)


def _drawn_as(media_type: str) -> Responses:
    """The `responses` of an operation that answers with a picture."""
    content = {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}
    return {200: {"description": "The picture", "content": content}} | problems("not_found", "merged")


def _question(
    instrument: Annotated[str, Query(max_length=50, description="Code of an instrument", examples=["phq-9"])],
    first: Annotated[
        DayIn | None, Query(alias="from", description="First day; by default of the first score or session")
    ] = None,
    last: Annotated[DayIn | None, Query(alias="to", description="Last day; today by default and at most")] = None,
    bucket: Annotated[Bucket, Query(description="Weeks start on Monday")] = "none",
) -> Question:
    return Question(instrument, first, last, bucket)


QuestionOf = Annotated[Question, Depends(_question)]


@router.get("/trend", summary="Every score of one instrument", responses=problems("not_found", "merged"))
async def get_trend(door: DoorOf, patient_id: UUID, question: QuestionOf) -> TrendOut:
    """Scores with the day's status, the sessions around them, lines and bands, and, if asked, buckets in which days
    without a score stay empty."""
    return await _trend(door, patient_id, question)


@router.get(
    "/trend.vl.json",
    summary="The trend's picture as a Vega-Lite description",
    response_model=dict[str, Any],
    responses=problems("not_found", "merged"),
)
async def get_trend_description(door: DoorOf, patient_id: UUID, question: QuestionOf) -> Response:
    """Its `description` is the text alternative of the picture."""
    return JSONResponse(_picture(door, await _trend(door, patient_id, question)))


@router.get(
    "/trend.svg",
    summary="The trend's picture, to be scaled",
    response_class=Response,
    responses=_drawn_as("image/svg+xml"),
)
async def get_trend_svg(request: Request, door: DoorOf, patient_id: UUID, question: QuestionOf) -> Response:
    """Drawn from the Vega-Lite description, with a title and a text alternative inside."""
    return await _drawn(request, door, patient_id, question, "svg")


@router.get(
    "/trend.png", summary="The trend's picture as pixels", response_class=Response, responses=_drawn_as("image/png")
)
async def get_trend_png(request: Request, door: DoorOf, patient_id: UUID, question: QuestionOf) -> Response:
    """At 144 pixels per inch. The trend's `description` is its text alternative."""
    return await _drawn(request, door, patient_id, question, "png")


async def _drawn(request: Request, door: Door, patient_id: UUID, question: Question, image: Format) -> Response:
    trend = await _trend(door, patient_id, question)
    content = await RENDERER.of(request).draw(_picture(door, trend), image)
    if image == "svg":
        name = INSTRUMENTS[trend.instrument].name
        content = with_alternative(content.decode(), name, trend.description).encode()
    return Response(content, media_type="image/svg+xml" if image == "svg" else "image/png")


def _picture(door: Door, trend: TrendOut) -> dict[str, Any]:
    return picture(trend, INSTRUMENTS[trend.instrument].name, door.caller.time_zone)


async def _trend(door: Door, patient_id: UUID, question: Question) -> TrendOut:
    found = await door.read(lambda db: service.trend_of(db, door.caller, patient_id, question, door.act.at))
    return found.value
