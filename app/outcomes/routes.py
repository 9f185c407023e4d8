"""HTTP of outcomes."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, showed
from app.api import paging
from app.api.fields import DayIn, MomentIn
from app.api.paging import Cursor, Limit
from app.api.problems import problems
from app.outcomes import service, worklist
from app.outcomes.models import ReliefOut, WorklistOut
from app.patients.models import CareStatus
from app.tracks.events import local_day

Domain = Literal["mood", "anxiety", "pain", "ptsd", "ocd", "wellbeing"]
Status = Literal[
    "not_started",
    "no_baseline",
    "not_evaluable",
    "awaiting_follow_up",
    "stale",
    "lost",
    "fading",
    "holding",
    "partial_response",
    "no_response",
]

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
    database: DatabaseOf,
    patient_id: UUID,
    as_of: Annotated[DayIn | None, Query(description="A day in the clinic's zone; today by default")] = None,
    known_at: Annotated[
        MomentIn | None, Query(description="Only what was recorded by then; everything by default")
    ] = None,
    rule: Annotated[str | None, Query(max_length=20, description="Version of the rules; the newest by default")] = None,
) -> ReliefOut:
    """By domain and by instrument, with the rule and the scores it rests on, how long it has held, and what is missing.
    Measured scores against stated lines: no diagnosis, prediction or advice."""
    answer = await database.read(
        caller.clinic_id, lambda db: service.relief_of(db, caller, patient_id, as_of, known_at, rule, act.at)
    )
    await showed(request, act, [patient_id])
    return answer


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
        lambda db: worklist.listed(db, caller, day, care_status, domain, status or (), after, limit),
    )
    shown, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda row: worklist.position(day, row[0])
    )
    items = [item for _, item in shown]
    await showed(request, act, [item.patient.id for item in items])
    return WorklistOut(as_of=day, items=items, next_cursor=next_cursor)
