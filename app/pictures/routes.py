"""HTTP of pictures: each as SVG, as PNG, and as the Vega-Lite specification that both are drawn from."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from app.access.dependencies import DoorOf, GuardedRoute
from app.access.door import Door
from app.api.fields import DayIn
from app.api.parameters import RuledInstrument
from app.api.parts import Part
from app.api.problems import Responses, problems
from app.cohorts.routes import CohortOf, answered
from app.drawing import Format, Renderer
from app.pictures import service
from app.pictures.durability import durability_picture, title_of
from app.pictures.service import Picture
from app.pictures.style import with_alternative
from app.speech import Speech, of_pictures
from app.trend.routes import QuestionOf
from app.trend.service import Question

RENDERER: Part[Renderer] = Part("renderer")

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["pictures"], route_class=GuardedRoute)
cohort_router = APIRouter(prefix="/v1/cohorts", tags=["pictures"], route_class=GuardedRoute)


def _drawn_as(media_type: str, *codes: str) -> Responses:
    """The `responses` of an operation that answers with a picture."""
    content = {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}
    return {200: {"description": "The picture", "content": content}} | problems(*codes)


_OF_PATIENT = ("not_found", "merged")
_SVG, _PNG = _drawn_as("image/svg+xml", *_OF_PATIENT), _drawn_as("image/png", *_OF_PATIENT)

First = Annotated[
    DayIn | None,
    Query(
        alias="from", description="First day; by default of the first score, session, or event of the 90 days before"
    ),
]
Last = Annotated[DayIn | None, Query(alias="to", description="Last day; today by default and at most")]


def _speech(
    language: Annotated[Literal["en", "es"], Query(description="The language of the words in the picture")] = "en",
) -> Speech:
    return of_pictures(language)


SpeechOf = Annotated[Speech, Depends(_speech)]


@router.get(
    "/trend.vl.json",
    summary="The trend's picture as a Vega-Lite specification",
    response_model=dict[str, Any],
    responses=problems(*_OF_PATIENT),
)
async def get_trend_description(door: DoorOf, patient_id: UUID, question: QuestionOf, speech: SpeechOf) -> Response:
    """Its `description` is the text alternative of the picture."""
    return JSONResponse((await _trend(door, patient_id, question, speech)).specification)


@router.get("/trend.svg", summary="The trend's picture, to be scaled", response_class=Response, responses=_SVG)
async def get_trend_svg(
    request: Request, door: DoorOf, patient_id: UUID, question: QuestionOf, speech: SpeechOf
) -> Response:
    """Drawn from the Vega-Lite specification, with a title and a text alternative inside."""
    return await _drawn(request, await _trend(door, patient_id, question, speech), "svg")


@router.get("/trend.png", summary="The trend's picture as pixels", response_class=Response, responses=_PNG)
async def get_trend_png(
    request: Request, door: DoorOf, patient_id: UUID, question: QuestionOf, speech: SpeechOf
) -> Response:
    """At 144 pixels per inch. The trend's `description` is its text alternative."""
    return await _drawn(request, await _trend(door, patient_id, question, speech), "png")


@router.get(
    "/overview.vl.json",
    summary="Mood, anxiety and pain over time, as a Vega-Lite specification",
    response_model=dict[str, Any],
    responses=problems(*_OF_PATIENT),
)
async def get_overview_description(
    door: DoorOf, patient_id: UUID, speech: SpeechOf, first: First = None, last: Last = None
) -> Response:
    """Each domain by the instrument that answers for it now. Its `description` is the text alternative."""
    return JSONResponse((await _overview(door, patient_id, first, last, speech)).specification)


@router.get(
    "/overview.svg", summary="Mood, anxiety and pain over time, to be scaled", response_class=Response, responses=_SVG
)
async def get_overview_svg(
    request: Request, door: DoorOf, patient_id: UUID, speech: SpeechOf, first: First = None, last: Last = None
) -> Response:
    """Three panels over one time axis, with sessions, statuses and what else happened."""
    return await _drawn(request, await _overview(door, patient_id, first, last, speech), "svg")


@router.get(
    "/overview.png", summary="Mood, anxiety and pain over time, as pixels", response_class=Response, responses=_PNG
)
async def get_overview_png(
    request: Request, door: DoorOf, patient_id: UUID, speech: SpeechOf, first: First = None, last: Last = None
) -> Response:
    """At 144 pixels per inch."""
    return await _drawn(request, await _overview(door, patient_id, first, last, speech), "png")


@router.get(
    "/effects.vl.json",
    summary="Days of relief by session, as a Vega-Lite specification",
    response_model=dict[str, Any],
    responses=problems(*_OF_PATIENT),
)
async def get_effects_description(
    door: DoorOf, patient_id: UUID, instrument: RuledInstrument, speech: SpeechOf
) -> Response:
    """With the change per booster and its interval. Its `description` is the text alternative."""
    return JSONResponse((await _effects(door, patient_id, instrument, speech)).specification)


@router.get("/effects.svg", summary="Days of relief by session, to be scaled", response_class=Response, responses=_SVG)
async def get_effects_svg(
    request: Request, door: DoorOf, patient_id: UUID, instrument: RuledInstrument, speech: SpeechOf
) -> Response:
    """How long relief lasted after each session of the current episode, beside the days to the next one."""
    return await _drawn(request, await _effects(door, patient_id, instrument, speech), "svg")


@router.get("/effects.png", summary="Days of relief by session, as pixels", response_class=Response, responses=_PNG)
async def get_effects_png(
    request: Request, door: DoorOf, patient_id: UUID, instrument: RuledInstrument, speech: SpeechOf
) -> Response:
    """At 144 pixels per inch."""
    return await _drawn(request, await _effects(door, patient_id, instrument, speech), "png")


@cohort_router.get(
    "/durability.vl.json",
    summary="How long relief lasts, as a Vega-Lite specification",
    response_model=dict[str, Any],
    responses=problems(),
)
async def get_durability_description(door: DoorOf, cohort: CohortOf, speech: SpeechOf) -> Response:
    """Its `description` is the text alternative."""
    return JSONResponse((await _durability(door, cohort, speech)).specification)


@cohort_router.get(
    "/durability.svg",
    summary="How long relief lasts, to be scaled",
    response_class=Response,
    responses=_drawn_as("image/svg+xml"),
)
async def get_durability_svg(request: Request, door: DoorOf, cohort: CohortOf, speech: SpeechOf) -> Response:
    """The curves of `GET /v1/cohorts/durability`, with intervals, numbers at risk, and where they end."""
    return await _drawn(request, await _durability(door, cohort, speech), "svg")


@cohort_router.get(
    "/durability.png",
    summary="How long relief lasts, as pixels",
    response_class=Response,
    responses=_drawn_as("image/png"),
)
async def get_durability_png(request: Request, door: DoorOf, cohort: CohortOf, speech: SpeechOf) -> Response:
    """At 144 pixels per inch."""
    return await _drawn(request, await _durability(door, cohort, speech), "png")


async def _trend(door: Door, patient_id: UUID, question: Question, speech: Speech) -> Picture:
    found = await door.read(lambda db: service.trend_of(db, door.caller, patient_id, question, door.act.at, speech))
    return found.value


async def _overview(door: Door, patient_id: UUID, first: First, last: Last, speech: Speech) -> Picture:
    asked = (patient_id, first, last, door.act.at, speech)
    return (await door.read(lambda db: service.overview_of(db, door.caller, *asked))).value


async def _effects(door: Door, patient_id: UUID, instrument: str, speech: Speech) -> Picture:
    found = await door.read(lambda db: service.effects(db, door.caller, patient_id, instrument, door.act.at, speech))
    return found.value


async def _durability(door: Door, cohort: CohortOf, speech: Speech) -> Picture:
    answer = await answered(door, cohort)
    clinic = door.caller.clinic
    specification = durability_picture(answer, clinic.name, speech, synthetic=clinic.synthetic)
    return Picture(specification, title_of(answer, speech))


async def _drawn(request: Request, picture: Picture, image: Format) -> Response:
    content = await RENDERER.of(request).draw(picture.specification, image)
    if image == "svg":
        content = with_alternative(content.decode(), picture.name, picture.description).encode()
    return Response(content, media_type="image/svg+xml" if image == "svg" else "image/png")
