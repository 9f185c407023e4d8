"""HTTP of outcomes."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from app.access.dependencies import ActOf, AssignedTo, CallerOf, DatabaseOf, GuardedRoute, assignee, showed
from app.access.service import Caller
from app.alerts.mailing import reaches_nobody
from app.api import paging
from app.api.fields import DayIn, MomentIn
from app.api.idempotency import Reply
from app.api.paging import Cursor, Limit
from app.api.problems import Responses, problems
from app.audit.service import Act
from app.drawing import Format, Renderer
from app.instruments import INSTRUMENTS
from app.outcomes import service, trend, worklist
from app.outcomes.models import ReliefOut, TrendOut, WorklistOut
from app.outcomes.picture import picture, with_alternative
from app.outcomes.service import Asked
from app.outcomes.trend import Bucket, Question
from app.patients.models import CareStatus
from app.storage import Database, Joined
from app.tracks.answers import Status
from app.tracks.events import local_day

Domain = Literal["mood", "anxiety", "pain", "ptsd", "ocd", "wellbeing"]


def drawn(media_type: str) -> Responses:
    """The `responses` of an operation that answers with a picture."""
    content = {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}
    return {200: {"description": "The picture", "content": content}} | problems("not_found")


worklists = APIRouter(prefix="/v1/worklist", tags=["outcomes"], route_class=GuardedRoute)
router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["outcomes"], route_class=GuardedRoute)


@router.get(
    "/relief",
    operation_id="get_relief",
    summary="Is relief holding?",
    response_model=ReliefOut,
    responses=problems("not_found"),
)
async def get_relief(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    patient_id: UUID,
    as_of: Annotated[DayIn | None, Query(description="A day in the clinic's zone; today by default")] = None,
    known_at: Annotated[
        MomentIn | None, Query(description="Only what was recorded by then; everything by default")
    ] = None,
    rule: Annotated[str | None, Query(max_length=20, description="Version of the rules; the newest by default")] = None,
) -> Response:
    """By domain and by instrument, with the rule and the scores it rests on, how long it has held, and what is missing.
    Measured scores against stated lines: no diagnosis, prediction or advice."""
    asked = Asked(caller, patient_id, act.at, as_of, known_at, rule)
    reliefs: Joined[tuple[Asked, Act], ReliefOut | None] = request.app.state.reliefs
    answer = await reliefs.submit(caller.clinic_id, (asked, act)) if known_at is None else None
    if answer is None:
        database: Database = request.app.state.database
        answer = await database.read(caller.clinic_id, lambda db: service.relief_of(db, asked))
        await showed(request, act, [patient_id])
    return Reply(answer).response()


async def _trend(request: Request, caller: Caller, act: Act, patient_id: UUID, question: Question) -> TrendOut:
    database: Database = request.app.state.database
    answer = await database.read(caller.clinic_id, lambda db: trend.trend_of(db, caller, patient_id, question, act.at))
    await showed(request, act, [patient_id])
    own = caller.patient_id is not None and caller.clinic.patient_view != "all"
    return trend.without_verdicts(answer) if own else answer


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


@router.get(
    "/trend",
    operation_id="get_trend",
    summary="Every score of one instrument",
    response_model=TrendOut,
    responses=problems("not_found"),
)
async def get_trend(request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, question: QuestionOf) -> TrendOut:
    """Scores with the day's status, the sessions around them, lines and bands, and, if asked, buckets in which days
    without a score stay empty."""
    return await _trend(request, caller, act, patient_id, question)


@router.get(
    "/trend.vl.json",
    operation_id="get_trend_description",
    summary="The trend's picture as a Vega-Lite description",
    response_model=dict[str, Any],
    responses=problems("not_found"),
)
async def get_trend_description(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, question: QuestionOf
) -> Response:
    """Its `description` is the text alternative of the picture."""
    answer = await _trend(request, caller, act, patient_id, question)
    return JSONResponse(picture(answer, INSTRUMENTS[answer.instrument].name, caller.time_zone))


@router.get(
    "/trend.svg",
    operation_id="get_trend_svg",
    summary="The trend's picture, to be scaled",
    response_class=Response,
    responses=drawn("image/svg+xml"),
)
async def get_trend_svg(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, question: QuestionOf
) -> Response:
    """Drawn from the Vega-Lite description, with a title and a text alternative inside."""
    return await _drawn(request, caller, act, patient_id, question, "svg")


@router.get(
    "/trend.png",
    operation_id="get_trend_png",
    summary="The trend's picture as pixels",
    response_class=Response,
    responses=drawn("image/png"),
)
async def get_trend_png(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, question: QuestionOf
) -> Response:
    """At 144 pixels per inch. The trend's `description` is its text alternative."""
    return await _drawn(request, caller, act, patient_id, question, "png")


async def _drawn(
    request: Request, caller: Caller, act: Act, patient_id: UUID, question: Question, image: Format
) -> Response:
    answer = await _trend(request, caller, act, patient_id, question)
    renderer: Renderer = request.app.state.renderer
    name = INSTRUMENTS[answer.instrument].name
    content = await renderer.draw(picture(answer, name, caller.time_zone), image)
    if image == "svg":
        content = with_alternative(content.decode(), name, answer.description).encode()
    return Response(content, media_type="image/svg+xml" if image == "svg" else "image/png")


@worklists.get(
    "",
    operation_id="get_worklist",
    summary="Who waits for a person?",
    response_model=WorklistOut,
    responses=problems("invalid_cursor"),
)
async def get_worklist(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    domain: Annotated[Domain | None, Query(description="Only this domain")] = None,
    status: Annotated[list[Status] | None, Query(description="Only these statuses; may be repeated")] = None,
    assigned_to: AssignedTo = None,
    care_status: Annotated[CareStatus, Query(description="Whom to show")] = "active",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> WorklistOut:
    """A row per patient and domain, most pressing first: open timely alerts, then lost, fading and what fell silent
    after either, down to holding and not started; the longest standing first in each."""
    at = paging.after(request, caller.name, cursor)
    day, after = worklist.place_at(at) if at else (local_day(act.at, caller.time_zone), None)
    found = await database.read(
        caller.clinic_id,
        lambda db: worklist.listed(
            db, caller, day, care_status, domain, status or (), assignee(caller, assigned_to), after, limit
        ),
    )
    shown, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda row: worklist.position(day, row[0])
    )
    items = [item for _, item in shown]
    await showed(request, act, [item.patient.id for item in items])
    nobody = reaches_nobody(caller.clinic.alert_recipients, request.app.state.mail)
    return WorklistOut(as_of=day, alerts_reach_nobody=nobody, items=items, next_cursor=next_cursor)
