"""Routes of check-ins."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf, admitted
from app.access.door import Audited, Door
from app.access.service import Caller
from app.api.aside import aside
from app.api.faults import faults_of
from app.api.fields import ANY_INSTRUMENT, DayIn, as_bytes
from app.api.parts import Part
from app.api.plain import Lanes, PlainRequest
from app.api.problems import Responses, problem_body, problems
from app.api.rendering import Rendered, WrittenOut, created
from app.api.strict import OFF_LOOP_BYTES, body_of, holds_too_many
from app.api.versions import IfMatch, expected_version, tagged
from app.audit.service import Act
from app.checkins import amending, reading, refusing, service
from app.checkins.deciding import Post
from app.checkins.models import (
    AmendmentIn,
    BatchIn,
    BatchItemIn,
    BatchOut,
    CheckInIn,
    CheckInList,
    CheckInOut,
    CheckInReceipt,
    RefusalOut,
)
from app.checkins.plain import plain_check_in
from app.checkins.refusing import Alarm
from app.checkins.service import Receipt
from app.errors import Busy, Fault, Invalid, Problem
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.storage import Transaction

# Posts of one clinic that arrive together share a transaction.
RECORDING: Part[Audited[Post, CheckInReceipt]] = Part("recording")


class RecordingRoute(GuardedRoute):
    """A route for forms. A refused form may hold an answer that somebody must see: then its alert is committed, with
    the audit event, before the refusal leaves, and the refusal carries the notice."""

    async def refused(self, request: Request, problem: Problem) -> Problem:
        door: Door | None = getattr(request.state, "door", None)
        is_form = door is not None and door.is_permitted and refusing.concerns(problem)
        alarms = await self._alarms(request) if is_form else []
        if door is None or not alarms:
            return await super().refused(request, problem)
        problem = await self.where_it_is_theirs(request, door, problem)
        caller, act = door.caller, door.act
        notice = await door.refuse(
            problem, request.path_params, lambda db: refusing.raise_alarms(db, caller, act, alarms)
        )
        if notice is not None:
            problem.more["notice"] = notice.model_dump(mode="json")
        return problem

    async def _alarms(self, request: Request) -> list[Alarm]:
        body = await body_of(request)
        try:
            ids = {name: UUID(value) for name, value in request.path_params.items()}
        except ValueError:
            return []
        if holds_too_many(body, self.body_bytes):  # no form of anybody's
            return []

        def found() -> list[Alarm]:
            return self.alarms_in(refusing.document_of(body), ids)

        return await aside(found) if len(body) > OFF_LOOP_BYTES else found()

    def alarms_in(self, document: Any, ids: dict[str, UUID]) -> list[Alarm]:
        return refusing.alarms_in(document, ids["patient_id"], ids.get("check_in_id"))


class BatchRoute(RecordingRoute):
    """A route with a higher limit on the size of the body, for batches."""

    body_bytes = 4 * 1024 * 1024

    def alarms_in(self, document: Any, ids: dict[str, UUID]) -> list[Alarm]:
        items = document.get("items") if isinstance(document, dict) else None
        forms = items if isinstance(items, list) else []
        return [alarm for form in forms for alarm in refusing.alarms_in(form, None)]


async def _record_plainly(request: PlainRequest) -> Rendered | None:
    """`record_check_in` of a plain body without an Idempotency-Key."""
    door = admitted(request, "record_check_in")
    body = plain_check_in(await request.body()) if door is not None else None
    if door is None or body is None:
        return None
    post = Post(door.caller, door.act, door.caller.whose(request.named), body)
    receipt = await door.join(RECORDING.of(request), post)
    return None if receipt is None else _created(receipt)


router = APIRouter(tags=["check-ins"], route_class=RecordingRoute)
batches = APIRouter(tags=["check-ins"], route_class=BatchRoute)

_PATH = "/v1/patients/{patient_id}/check-ins"
PLAIN: Lanes = {("POST", _PATH): _record_plainly}


def _refusals(*codes: str) -> Responses:
    """`problems`, of which the refusals of forms may carry the notice."""
    found = problems(*codes)
    for status in (403, 409, 422):
        if status in found:
            found[status]["content"]["application/problem+json"]["schema"] = {"$ref": "#/components/schemas/RefusalOut"}
    return found


_REPEATED: Responses = {200: {"model": CheckInReceipt, "description": "Recorded before"}}
_ITEM: TypeAdapter[BatchItemIn] = TypeAdapter(BatchItemIn)
_RECORDING_PROBLEMS = (
    "not_found",
    "merged",
    "reference_not_found",
    "score_mismatch",
    "answers_required",
    "rater_not_allowed",
    "check_in_conflict",
    "already_recorded",
)


@router.post(
    _PATH,
    summary="Record a check-in",
    status_code=201,
    response_model=CheckInReceipt,
    responses=_REPEATED | _refusals(*_RECORDING_PROBLEMS),
)
async def record_check_in(request: Request, door: DoorOf, patient_id: UUID, body: CheckInIn, keyed: KeyOf) -> Response:
    """Safe to send again: the same id with the same content, or the same answers at the same moment, are recorded once.
    Answers 201 only after the commit."""
    post = Post(door.caller, door.act, door.caller.whose(patient_id), body)
    if keyed is not None:
        done = await door.write(lambda db: service.record_one(db, door.act.clinic_id, post), _created, keyed)
        return done.response()
    receipt = await door.join(RECORDING.of(request), post)
    assert receipt is not None  # recording gives a receipt or a refusal
    return _created(receipt).response()


@batches.post(
    "/v1/check-ins/batch",
    summary="Record up to 500 check-ins",
    response_model=BatchOut,
    responses=_refusals("request_in_progress"),
)
async def record_check_ins(door: DoorOf, body: BatchIn, keyed: KeyOf) -> Response:
    """Each item is validated by itself and stands or falls alone; items of one patient are applied in the order in
    which they were taken. They are committed in parts, between which other requests come; if the database becomes busy
    in between, the items that are left are 503."""
    caller, act, items = door.caller, door.act, list[Any](body.items)
    posts, refused, named = await door.compute(lambda: _parsed(caller, act, items))

    def render(found: Sequence[Fact[dict[int, Receipt | Problem]]], busy: Busy | None) -> Rendered:
        outcomes: dict[int, Receipt | Problem] = {} if busy is None else dict.fromkeys(range(len(items)), busy)
        for fact in found:
            outcomes |= fact.value
        # One by one, because other requests stand still while one result is rendered.
        results = (as_bytes(_result(i, outcomes[i], act)).decode() for i in range(len(items)))
        return Rendered(200, {}, f'{{"results":[{",".join(results)}]}}')

    def work(part: Sequence[int]) -> Callable[[Transaction], Fact[dict[int, Receipt | Problem]]]:
        mine = {i: posts[i] for i in part if i in posts}
        not_read = {i: refused[i] for i in part if i in refused}
        whose = [named[i] for i in part if i in named]
        return lambda db: service.record_batch(db, caller, act, items, mine, not_read, whose)

    return (await door.write_parts(service.in_order(posts, refused), work, render, keyed)).response()


@router.get(_PATH, summary="List a patient's check-ins", responses=problems("not_found", "merged", "invalid_cursor"))
async def list_check_ins(
    door: DoorOf,
    page: PageOf,
    patient_id: UUID,
    first: Annotated[DayIn | None, Query(alias="from", description="First day, in the clinic's zone")] = None,
    last: Annotated[DayIn | None, Query(alias="to", description="Last day, included")] = None,
    instrument: Annotated[
        str | None, Query(max_length=50, description="Only check-ins with it", json_schema_extra=ANY_INSTRUMENT)
    ] = None,
) -> CheckInList:
    """Newest first."""
    if instrument is not None and instrument not in INSTRUMENTS:
        raise Invalid(errors=[Fault("parameter", "instrument", "must be a code of /v1/instruments")])
    found = await door.read(
        lambda db: page.cut(
            reading.listed(db, door.caller, patient_id, first, last, instrument, page.after, page.limit),
            lambda c: [c.taken_at.isoformat(), str(c.id)],
        ).about(patient_id)
    )
    return CheckInList(items=found.value, next_cursor=page.next_cursor)


@router.get(_PATH + "/{check_in_id}", summary="One check-in", responses=problems("not_found", "merged"))
async def get_check_in(response: Response, door: DoorOf, patient_id: UUID, check_in_id: UUID) -> CheckInOut:
    """As it stands, with its ETag, which an amendment must name."""
    return tagged(response, await door.read(lambda db: reading.one(db, door.caller, patient_id, check_in_id)))


@router.get(
    _PATH + "/{check_in_id}/versions", summary="Every version of a check-in", responses=problems("not_found", "merged")
)
async def list_check_in_versions(door: DoorOf, patient_id: UUID, check_in_id: UUID) -> CheckInList:
    """Oldest first."""
    found = await door.read(lambda db: reading.versions(db, door.caller, patient_id, check_in_id))
    return CheckInList(items=found.value, next_cursor=None)


@router.post(
    _PATH + "/{check_in_id}/amendments",
    summary="Amend or void a check-in",
    status_code=201,
    response_model=CheckInReceipt | WrittenOut,
    responses=_refusals(
        "not_found",
        "merged",
        "already_recorded",
        "score_mismatch",
        "precondition_failed",
        "precondition_required",
    ),
)
async def amend_check_in(
    door: DoorOf, patient_id: UUID, check_in_id: UUID, body: AmendmentIn, keyed: KeyOf, if_match: IfMatch = None
) -> Response:
    """Makes a new version; nothing is overwritten. Relief is folded again; alerts already raised stay, marked."""
    done = await door.write(
        lambda db: amending.amend(db, door.caller, door.act, patient_id, check_in_id, expected_version(if_match), body),
        _created if door.caller.patient_id is not None else door.showing("checkins:read", _created),
        keyed,
    )
    return done.response()


def _parsed(caller: Caller, act: Act, items: list[Any]) -> tuple[dict[int, Post], dict[int, Problem], dict[int, UUID]]:
    """The items that are valid, and the problems of those that are not, each by index; and whom the latter name."""
    posts: dict[int, Post] = {}
    refused: dict[int, Problem] = {}
    named: dict[int, UUID] = {}
    for index, item in enumerate(items):
        try:
            body = _ITEM.validate_python(item)
            posts[index] = Post(caller, act, caller.whose(body.patient_id), body)
        except ValidationError as error:
            refused[index] = Invalid(errors=faults_of(error.errors()))
            with suppress(TypeError, KeyError, ValueError, AttributeError):
                named[index] = UUID(item["patient_id"])
    return posts, refused, named


def _result(index: int, outcome: Receipt | Problem, act: Act) -> dict[str, Any]:
    """A BatchResult, in which what does not apply is left out."""
    if isinstance(outcome, Problem):
        problem = RefusalOut(**problem_body(outcome, act.request_id))
        return {"index": index, "http_status": outcome.status, "problem": problem}
    return {"index": index, "http_status": 201 if outcome.is_new else 200, "check_in": outcome.value}


def _created(fact: Fact[CheckInReceipt]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.patient_id}/check-ins/{fact.value.id}")
