"""Routes of moves."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf
from app.api.problems import problems
from app.api.rendering import Rendered, created
from app.api.versions import IfMatch, expected_version
from app.checkins.models import CheckInOut
from app.facts import Fact
from app.moves import service
from app.moves.models import MergeIn, MergeOut, MoveIn, UndoIn, UndoOut
from app.sessions.models import SessionOut

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["patients"], route_class=GuardedRoute)

_MOVING = (
    "not_found", "merged", "reference_not_found", "already_recorded", "precondition_failed", "precondition_required",
)  # fmt: skip


@router.post(
    "/check-ins/{check_in_id}/move",
    summary="Move a check-in to the patient it is of",
    status_code=201,
    response_model=CheckInOut,
    responses=problems(*_MOVING),
)
async def move_check_in(
    door: DoorOf, patient_id: UUID, check_in_id: UUID, body: MoveIn, keyed: KeyOf, if_match: IfMatch = None
) -> Response:
    """It ends here as `moved` and goes on there with an id of its own. Alerts about its answers are open again: nobody
    has looked after that patient because of them."""
    expected = expected_version(if_match)
    done = await door.write(
        lambda db: service.move_check_in(db, door.caller, door.act, patient_id, check_in_id, expected, body),
        _check_in,
        keyed,
    )
    return done.response()


@router.post(
    "/sessions/{session_id}/move",
    summary="Move a session to the patient it is of",
    status_code=201,
    response_model=SessionOut,
    responses=problems(*_MOVING, "session_overlaps"),
)
async def move_session(
    door: DoorOf, patient_id: UUID, session_id: UUID, body: MoveIn, keyed: KeyOf, if_match: IfMatch = None
) -> Response:
    """It ends here as `moved` and goes on there with an id of its own. Check-ins stay where they are."""
    expected = expected_version(if_match)
    done = await door.write(
        lambda db: service.move_session(db, door.caller, door.act, patient_id, session_id, expected, body),
        _session,
        keyed,
    )
    return done.response()


@router.post(
    "/merge",
    summary="Merge a patient's record into another",
    status_code=201,
    response_model=MergeOut,
    responses=problems(
        "not_found", "merged", "reference_not_found", "already_recorded", "erased", "precondition_failed",
    ),
)  # fmt: skip
async def merge_patient(
    door: DoorOf, patient_id: UUID, body: MergeIn, keyed: KeyOf, if_match: IfMatch = None
) -> Response:
    """For two records of one person. What the other record holds too stays behind; what differs in one place is
    refused, and nothing is moved. Then this record answers 410 `merged`, but for reads with an earlier `known_at`; its
    devices' posts count for the other, and its external id still finds it. The answer's ETag is needed to undo it."""
    expected = None if if_match is None else expected_version(if_match)
    done = await door.write(
        lambda db: service.merge(db, door.caller, door.act, patient_id, expected, body), created, keyed
    )
    return done.response()


@router.post(
    "/merge/undo",
    summary="Take a merge back",
    status_code=201,
    response_model=UndoOut,
    responses=problems(*_MOVING),
)
async def undo_merge(door: DoorOf, patient_id: UUID, body: UndoIn, keyed: KeyOf, if_match: IfMatch = None) -> Response:
    """What the merge moved returns as it now stands; what came to the other record since stays there and is listed."""
    expected = expected_version(if_match)
    done = await door.write(
        lambda db: service.undo(db, door.caller, door.act, patient_id, expected, body), created, keyed
    )
    return done.response()


def _check_in(fact: Fact[CheckInOut]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.patient_id}/check-ins/{fact.value.id}")


def _session(fact: Fact[SessionOut]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.patient_id}/sessions/{fact.value.id}")
