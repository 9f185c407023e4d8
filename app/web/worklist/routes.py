"""Routes of the worklist and of the list of alerts."""

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access import store as access
from app.access.dependencies import DoorOf, PageOf, assignee
from app.alert_list import service as alert_list
from app.alerts import service as alerts
from app.alerts.models import AcknowledgementIn
from app.alerts.store import Wanted
from app.errors import Problem
from app.facts import Fact
from app.patients import service as patients
from app.reminders import service as reminders
from app.storage import Transaction
from app.tracks.days import local_day
from app.web.forms import body_of, form_of
from app.web.pages import PageRoute, is_of_here, page, see_other, tried
from app.web.patient.gathering import colleagues
from app.worklist import service as worklist

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_STATUSES = {
    "": (),
    "attention": ("lost", "fading", "stale", "no_response"),
    "lost": ("lost",),
    "fading": ("fading",),
    "holding": ("holding",),
    "stale": ("stale",),
    "no_response": ("no_response",),
    "partial_response": ("partial_response",),
    "no_baseline": ("no_baseline",),
    "awaiting_follow_up": ("awaiting_follow_up",),
}
_MOST_CHANGED = 20
_DOMAINS = ("mood", "anxiety", "pain", "ptsd", "ocd", "wellbeing")
Mine = Annotated[Literal["", "me"], Query()]


@router.get("/", name="page_worklist")
async def worklist_page(
    request: Request,
    door: DoorOf,
    found: PageOf,
    domain: Annotated[str, Query(max_length=20)] = "",
    show: Annotated[str, Query(max_length=20)] = "",
    assigned_to: Mine = "",
) -> Response:
    """Who needs a look, why and since when; the most urgent first. What changed since yesterday stands apart."""
    caller, at = door.caller, found.after
    day, after = worklist.position_at(at) if at else (local_day(door.act.at, caller.time_zone), None)
    whose = assignee(caller, assigned_to or None)
    chosen = domain if domain in _DOMAINS else None
    asked = (caller, day, "active", chosen, _STATUSES.get(show, ()), whose, after, found.limit)
    since = datetime.combine(day - timedelta(days=1), time(), caller.time_zone)

    def work(db: Transaction) -> Fact[Any]:
        rows = found.cut(
            worklist.listed(db, *asked),
            lambda row: worklist.cursor_of(day, row[0]),
            lambda row: (row[1].patient.id,),
        )
        changed = ([], False) if at else worklist.changed(db, caller, day, since, chosen, whose, _MOST_CHANGED)
        shown = tuple(dict.fromkeys([*rows.patient_ids, *(one[0].patient.id for one in changed[0])]))
        reach = reminders.reach(db, caller.clinic_id, rows.patient_ids)
        return Fact((rows.value, changed, {one for one in reach if reach[one].lost_at is not None}), shown)

    rows, changed, unreached = (await door.read(work)).value
    items = [row for _, row in rows]
    return page(
        request,
        "worklist.html",
        rows=items,
        unreached=unreached,
        day_shown=day,
        changed=changed[0],
        has_more_changed=changed[1],
        domains=_DOMAINS,
        shows=[name for name in _STATUSES if name],
        chosen={"domain": domain, "show": show, "assigned_to": assigned_to},
        next_cursor=found.next_cursor,
    )


@router.get("/alerts", name="list_alerts")
async def alerts_page(
    request: Request,
    door: DoorOf,
    found: PageOf,
    state: Annotated[Literal["open", "acknowledged", "withdrawn", "historic", ""], Query()] = "open",
    assigned_to: Mine = "",
) -> Response:
    """Alerts: urgent, high, routine; in each the timely ones first, then the newest."""
    clinic_id, whose = door.act.clinic_id, assignee(door.caller, assigned_to or None)
    cared = None if whose is None else access.cared_for(clinic_id, whose)
    wanted = Wanted(state=state or None, patient_ids=cared)

    def work(db: Transaction) -> Fact[Any]:
        cut = found.cut(
            alert_list.listed(db, clinic_id, wanted, found.after, found.limit),
            alert_list.place,
            lambda alert: (alert.patient_id,),
        )
        return Fact((cut.value, colleagues(db, door.caller)), cut.patient_ids)

    shown, people = (await door.read(work)).value
    return page(
        request,
        "alerts.html",
        alerts=shown,
        chosen={"state": state, "assigned_to": assigned_to},
        next_cursor=found.next_cursor,
        people=people,
    )


@router.post("/alerts/{alert_id}/acknowledgement", name="acknowledge_alert")
async def acknowledge(request: Request, door: DoorOf, alert_id: UUID) -> Response:
    """Records what was done about an alert, and leads back to where it was said."""
    form = await form_of(request)
    back = form.get("next", "/alerts") if is_of_here(form.get("next", "/alerts")) else "/alerts"

    async def work() -> Response:
        body = body_of(AcknowledgementIn, {"disposition": form.get("disposition"), "note": form.get("note", "")})
        await door.do(lambda db: alerts.acknowledge(db, door.act, alert_id, body))
        return see_other(back)

    async def again(problem: Problem) -> Response:
        def read(db: Transaction) -> Fact[Any]:
            alert = alerts.one(db, door.act.clinic_id, alert_id).value
            patient = patients.one(db, door.act.clinic_id, alert.patient_id).value
            return Fact((alert, patient, colleagues(db, door.caller)), (alert.patient_id,))

        alert, patient, people = (await door.read(read)).value
        return page(
            request, "acknowledgement.html", alert=alert, patient=patient, people=people, form=form, back=back,
            problem=problem,
        )  # fmt: skip

    return await tried(request, door, work, again)
