"""Routes of wording."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.access.dependencies import DoorOf, GuardedRoute
from app.api.problems import problems
from app.api.rendering import as_json, no_content
from app.wording import service
from app.wording.models import LANGUAGE_PATTERN, QuestionnaireIn, WordingList, WordingOut

router = APIRouter(prefix="/v1/clinic/wording", tags=["clinic"], route_class=GuardedRoute)

Code = Annotated[str, Path(max_length=50, description="An instrument's code")]
Language = Annotated[
    str, Path(max_length=35, pattern=LANGUAGE_PATTERN, description="The tag of a language, as in en or es-MX")
]


@router.get("", summary="Which wording is there?", responses=problems())
async def list_wording(door: DoorOf) -> WordingList:
    """By instrument and language."""
    return (await door.read(lambda db: service.listed(db, door.act.clinic_id))).value


@router.get("/{instrument}/{language}", summary="The wording of an instrument", responses=problems("not_found"))
async def get_wording(door: DoorOf, instrument: Code, language: Language) -> WordingOut:
    """Each item's text, and those of its answers."""
    return (await door.read(lambda db: service.one(db, door.act.clinic_id, instrument, language))).value


@router.put(
    "/{instrument}/{language}",
    summary="Load the wording of an instrument",
    response_model=WordingOut,
    responses=problems("not_found"),
)
async def put_wording(door: DoorOf, instrument: Code, language: Language, body: QuestionnaireIn) -> Response:
    """From a FHIR Questionnaire, which is checked item by item; in the place of the one before. The clinic answers for
    its right to use the text."""
    done = await door.write(lambda db: service.put(db, door.act, instrument, language, body), as_json)
    return done.response()


@router.delete(
    "/{instrument}/{language}",
    summary="Remove the wording of an instrument",
    status_code=204,
    responses=problems("not_found"),
)
async def delete_wording(door: DoorOf, instrument: Code, language: Language) -> Response:
    """Short labels stand in its place again."""
    return (await door.write(lambda db: service.remove(db, door.act, instrument, language), no_content)).response()
