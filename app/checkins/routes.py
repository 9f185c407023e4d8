"""HTTP of check-ins."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from sqlmodel import Session

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, keep, showed
from app.access.service import Caller
from app.api import paging
from app.api.fields import DayIn
from app.api.idempotency import IdempotencyKey, Reply
from app.api.paging import Cursor, Limit
from app.api.problems import ProblemOut, Responses, faults_of, problem_body, problems
from app.api.versions import IfMatch, expected_version, tag
from app.audit import service as audit
from app.audit.service import Act
from app.checkins import amending, reading, service
from app.checkins.deciding import Post
from app.checkins.models import (
    AmendmentIn,
    BatchIn,
    BatchItemIn,
    BatchOut,
    BatchResult,
    CheckInIn,
    CheckInList,
    CheckInOut,
    CheckInReceipt,
)
from app.checkins.service import Receipt
from app.errors import Fault, Invalid, NotFound, Problem
from app.instruments import INSTRUMENTS
from app.storage import Joined


class BatchRoute(GuardedRoute):
    """A route whose body may be as large as a batch is."""

    body_bytes = 4 * 1024 * 1024


router = APIRouter(tags=["check-ins"], route_class=GuardedRoute)
batches = APIRouter(tags=["check-ins"], route_class=BatchRoute)

_PATH = "/v1/patients/{patient_id}/check-ins"
_REPEATED: Responses = {200: {"model": CheckInReceipt, "description": "Recorded before"}}
_ITEM: TypeAdapter[BatchItemIn] = TypeAdapter(BatchItemIn)
_RECORDING = (
    "not_found",
    "reference_not_found",
    "score_mismatch",
    "answers_required",
    "rater_not_allowed",
    "check_in_conflict",
    "already_recorded",
    "idempotency_key_reused",
    "request_in_progress",
)


@router.post(
    _PATH,
    operation_id="record_check_in",
    summary="Record a check-in",
    status_code=201,
    response_model=CheckInReceipt,
    responses=_REPEATED | problems(*_RECORDING),
)
async def record_check_in(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, body: CheckInIn, key: IdempotencyKey = None
) -> Response:
    """Safe to send again: the same id with the same content, or the same answers at the same moment, are recorded once.
    Answers 201 only after the commit."""
    post = Post(caller, act, patient_id, body)
    if key is not None:
        return await keep(request, caller, act, key, lambda db: _single(db, post))
    recording: Joined[Post, Receipt] = request.app.state.recording
    return _reply(await recording.submit(caller.clinic_id, post)).response()


@batches.post(
    "/v1/check-ins/batch",
    operation_id="record_check_ins",
    summary="Record up to 500 check-ins",
    response_model=BatchOut,
    responses=problems("idempotency_key_reused", "request_in_progress"),
)
async def record_check_ins(
    request: Request, caller: CallerOf, act: ActOf, body: BatchIn, key: IdempotencyKey = None
) -> Response:
    """Each item is validated by itself and stands or falls alone; items of one patient are applied in the order in
    which they were taken."""
    posts, refused = _posts(caller, act, body.items)
    return await keep(request, caller, act, key, lambda db: _batch(db, act, posts, refused))


@router.get(
    _PATH,
    operation_id="list_check_ins",
    summary="List a patient's check-ins",
    response_model=CheckInList,
    responses=problems("not_found", "invalid_cursor"),
)
async def list_check_ins(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    first: Annotated[DayIn | None, Query(alias="from", description="First day, in the clinic's zone")] = None,
    last: Annotated[DayIn | None, Query(alias="to", description="Last day, included")] = None,
    instrument: Annotated[str | None, Query(max_length=50)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CheckInList:
    """Newest first."""
    if instrument is not None and instrument not in INSTRUMENTS:
        raise Invalid(errors=[Fault("parameter", "instrument", "must be a code of /v1/instruments")])
    after = paging.after(request, caller.name, cursor)
    found = await database.read(
        caller.clinic_id,
        lambda db: reading.listed(db, caller, patient_id, first, last, instrument, after, limit),
    )
    items, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda c: [c.taken_at.isoformat(), str(c.id)]
    )
    await showed(request, act, [patient_id])
    return CheckInList(items=items, next_cursor=next_cursor)


@router.get(
    _PATH + "/{check_in_id}",
    operation_id="get_check_in",
    summary="One check-in",
    response_model=CheckInOut,
    responses=problems("not_found"),
)
async def get_check_in(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    check_in_id: UUID,
) -> CheckInOut:
    """As it stands, with its ETag, which an amendment must name."""
    found = await database.read(caller.clinic_id, lambda db: reading.one(db, caller, patient_id, check_in_id))
    await showed(request, act, [patient_id])
    tag(response, found.version)
    return found


@router.get(
    _PATH + "/{check_in_id}/versions",
    operation_id="list_check_in_versions",
    summary="Every version of a check-in",
    response_model=CheckInList,
    responses=problems("not_found"),
)
async def list_check_in_versions(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID, check_in_id: UUID
) -> CheckInList:
    """Oldest first."""
    items = await database.read(caller.clinic_id, lambda db: reading.versions(db, caller, patient_id, check_in_id))
    await showed(request, act, [patient_id])
    return CheckInList(items=list(items), next_cursor=None)


@router.post(
    _PATH + "/{check_in_id}/amendments",
    operation_id="amend_check_in",
    summary="Amend or void a check-in",
    status_code=201,
    response_model=CheckInReceipt,
    responses=problems(
        "not_found",
        "already_recorded",
        "score_mismatch",
        "precondition_failed",
        "precondition_required",
        "idempotency_key_reused",
    ),
)
async def amend_check_in(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    patient_id: UUID,
    check_in_id: UUID,
    body: AmendmentIn,
    if_match: IfMatch = None,
    key: IdempotencyKey = None,
) -> Response:
    """Makes a new version; nothing is overwritten. Relief is folded again; alerts already raised stay, marked."""

    def work(db: Session) -> Reply[CheckInReceipt]:
        expected = expected_version(if_match)
        return amending.amend(db, caller, act, patient_id, check_in_id, expected, body)

    return await keep(request, caller, act, key, work)


def _single(db: Session, post: Post) -> Reply[CheckInReceipt]:
    outcome = service.record_many(db, post.act.clinic_id, [post])[0]
    if isinstance(outcome, Problem):
        raise outcome
    return _reply(outcome)


def _reply(receipt: Receipt) -> Reply[CheckInReceipt]:
    check_in = receipt.check_in
    location = f"/v1/patients/{check_in.patient_id}/check-ins/{check_in.id}"
    headers = {"Location": location, "ETag": f'"{check_in.version}"'}
    if receipt.replayed:
        headers["Replayed"] = "true"
    return Reply(check_in, receipt.status, headers, subjects=(check_in.patient_id,))


def _posts(caller: Caller, act: Act, items: list[Any]) -> tuple[dict[int, Post], dict[int, Receipt | Problem]]:
    """The items that can be posted, and the refusals of those that cannot, by index."""
    posts: dict[int, Post] = {}
    refused: dict[int, Receipt | Problem] = {}
    for index, item in enumerate(items):
        try:
            body = _ITEM.validate_python(item)
            posts[index] = Post(caller, act, body.patient_id, body)
        except ValidationError as error:
            refused[index] = Invalid(errors=faults_of(error.errors()))
    return posts, refused


def _batch(db: Session, act: Act, posts: dict[int, Post], refused: dict[int, Receipt | Problem]) -> Reply[BatchOut]:
    recorded = service.record_each(db, act.clinic_id, list(posts.values()))
    outcomes = refused | dict(zip(posts, recorded, strict=True))
    shown = {r.check_in.patient_id for r in recorded if isinstance(r, Receipt)}
    told = [(p.patient_id, o) for p, o in zip(posts.values(), recorded, strict=True) if isinstance(o, Problem)]
    asked_for = {patient_id: refusal for patient_id, refusal in told if service.tells(refusal)}
    if asked_for and not shown:
        found_nobody = all(isinstance(refusal, NotFound) for refusal in asked_for.values())
        audit.record(db, act, [], "not_found" if found_nobody else "refused", asked_for)
    results = [_result(index, outcomes[index], act) for index in sorted(outcomes)]
    return Reply(BatchOut(results=results), subjects=tuple(shown))


def _result(index: int, outcome: Receipt | Problem, act: Act) -> BatchResult:
    if isinstance(outcome, Problem):
        problem = ProblemOut(**problem_body(outcome, act.request_id))
        return BatchResult(index=index, http_status=outcome.status, problem=problem)
    return BatchResult(index=index, http_status=outcome.status, check_in=outcome.check_in)
