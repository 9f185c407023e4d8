"""The route of the feed of changes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.access.dependencies import DoorOf, GuardedRoute, identify
from app.api.paging import Limit
from app.api.problems import problems
from app.changes import service
from app.changes.models import ChangeList
from app.outbox import service as outbox
from app.outbox import store

router = APIRouter(prefix="/v1/changes", tags=["exchange"], route_class=GuardedRoute)

_LONGEST_WAIT = 30


@router.get("", summary="What happened, in order", responses=problems("changes_gone"))
async def list_changes(
    request: Request,
    door: DoorOf,
    after: Annotated[
        int | None,
        Query(ge=0, le=2**53 - 1, description="`next_after` of the answer before; else from the oldest kept"),
    ] = None,
    limit: Limit = 50,
    wait: Annotated[int, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for something to happen")] = 0,
) -> ChangeList:
    """Ids and kinds, never values; of each kind only with the scope that its resource takes to be read
    (`checkins:read`, `sessions:read`, `outcomes:read` for `relief.changed`, `alerts:read`, `patients:read`,
    `plans:read` for `plan.due`). The feed has no gaps: whoever has read up to a position has missed nothing before it
    that they may read. Changes are kept for 90 days. After that, and after the service was restored from a backup,
    `after` is answered by 410 `changes_gone`: read everything that you keep anew, and go on without `after`. `wait`
    ends with the first change that you may read, and where the service stops."""
    clinic_id = door.act.clinic_id
    fact = await door.read_once_there(
        lambda caller: lambda db: service.page(db, caller, after, limit),
        lambda page: bool(page.items),
        lambda: identify(request),
        lambda db: store.has_waiting(db, clinic_id),
        lambda db: outbox.place(db, clinic_id),
        wait,
    )
    return fact.value
