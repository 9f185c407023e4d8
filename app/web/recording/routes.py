"""Routes of the forms that record. Each form has the id of what it makes, so that one that is sent twice is recorded
once."""

from collections.abc import Awaitable
from typing import Annotated, Any, get_args
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import DoorOf
from app.access.door import Door
from app.checkins import amending, reading
from app.checkins import service as checkins
from app.checkins.deciding import Post
from app.checkins.models import AmendmentIn, CheckInIn
from app.errors import Fault, Invalid, Problem
from app.events import service as events
from app.events.models import EventIn
from app.facts import Fact
from app.instruments import DOMAINS, INSTRUMENTS
from app.patients import service as patients
from app.patients.models import FailedTreatment, Indication, PatientIn, PatientPatch
from app.plans import service as plans
from app.plans.models import PlanIn
from app.sessions import service as sessions
from app.sessions.models import Effect, SessionIn, SessionPatch
from app.storage import Transaction, new_id
from app.tracks.days import local_day
from app.web.forms import Form, body_of, form_of, version_of
from app.web.pages import PageRoute, page, see_other, tried
from app.web.patient.gathering import colleagues
from app.web.patient.routes import shown_check_in, shown_patient
from app.web.recording import contents
from app.web.recording.alarms import called_for

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_USUAL = ("phq-9", "gad-7", "nrs-pain")
# What a session's form shows and may be blank: then it is cleared.
_CLEARED = ("ended_at", "weight_kg", "dose_mg", "notes")
_CHOICES = {
    "indications": get_args(Indication),
    "failed_treatments": get_args(FailedTreatment),
    "domains": dict(DOMAINS.items()),
}


@router.get("/patients/new", name="page_new_patient")
async def new_patient_page(request: Request, door: DoorOf) -> Response:
    """The form of a new patient."""
    return await _patient_form(request, door, None, Form([("id", str(new_id()))]), None)


@router.post("/patients", name="create_patient")
async def create_patient(request: Request, door: DoorOf) -> Response:
    """Adds a patient, and leads to their page."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(PatientIn, {"id": form.get("id"), **contents.patient_content(form)})
        made = await door.do(lambda db: patients.create(db, door.caller, door.act, body))
        return see_other(f"/patients/{made.value.id}")

    return await tried(request, door, work, lambda problem: _patient_form(request, door, None, form, problem))


@router.get("/patients/{patient_id}/edit", name="page_edit_patient")
async def edit_patient_page(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """The form that changes a patient's record."""
    return await _patient_form(request, door, patient_id, Form([]), None)


@router.post("/patients/{patient_id}/edit", name="update_patient")
async def update_patient(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """Changes a patient's record; another change meanwhile is not overwritten."""
    form = await form_of(request)

    async def work() -> Response:
        content = contents.patient_content(form)
        content["primary_instruments"] = {d: content["primary_instruments"].get(d) for d in DOMAINS}
        body = body_of(PatientPatch, {**content, "reason": form.get("reason")})
        await door.do(lambda db: patients.update(db, door.caller, door.act, patient_id, version_of(form), body))
        return see_other(f"/patients/{patient_id}?done=saved")

    return await tried(request, door, work, lambda problem: _patient_form(request, door, patient_id, form, problem))


@router.get("/patients/{patient_id}/sessions/new", name="page_new_session")
async def new_session_page(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """The form of a session, with what was given the last time."""
    return await _session_form(request, door, patient_id, Form([]), None)


@router.post("/patients/{patient_id}/sessions", name="record_session")
async def record_session(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """Records a session, and leads to the patient's page."""
    form = await form_of(request)

    async def work() -> Response:
        content = contents.session_content(form, door.caller.time_zone)
        body = body_of(SessionIn, {"id": form.get("id"), **content})
        await door.do(lambda db: sessions.record(db, door.caller, door.act, patient_id, body))
        return see_other(f"/patients/{patient_id}?done=recorded#sessions")

    return await tried(request, door, work, lambda problem: _session_form(request, door, patient_id, form, problem))


@router.get("/patients/{patient_id}/sessions/{session_id}", name="page_session")
async def session_page(request: Request, door: DoorOf, patient_id: UUID, session_id: UUID) -> Response:
    """Every version of a session, and the form that changes it."""
    return await _session_page(request, door, patient_id, session_id, None, Form([]))


@router.post("/patients/{patient_id}/sessions/{session_id}", name="update_session")
async def update_session(request: Request, door: DoorOf, patient_id: UUID, session_id: UUID) -> Response:
    """Changes a session: each change is a version."""
    form = await form_of(request)

    async def work() -> Response:
        content = contents.session_content(form, door.caller.time_zone)
        for name in ("side_effects", "vitals"):  # the form does not show them: they stay
            content.pop(name)
        for name in _CLEARED:
            if name not in form:
                content[name] = None
        if "dose_mg" in content and "weight_kg" in content:
            content["dose_mg_per_kg"] = None  # it follows from both
        body = body_of(SessionPatch, {**content, "reason": form.get("reason")})
        await door.do(
            lambda db: sessions.update(db, door.caller, door.act, patient_id, session_id, version_of(form), body)
        )
        return see_other(f"/patients/{patient_id}?done=recorded#sessions")

    return await tried(request, door, work, lambda p: _session_page(request, door, patient_id, session_id, p, form))


@router.get("/patients/{patient_id}/check-ins/new", name="page_new_check_in")
async def new_check_in_page(
    request: Request, door: DoorOf, patient_id: UUID, instrument: Annotated[list[str] | None, Query()] = None
) -> Response:
    """The paper form: the items of the instruments that are due, or that were chosen, by their numbers."""
    return await _paper_form(request, door, patient_id, tuple(instrument or ()), Form([]), None)


@router.post("/patients/{patient_id}/check-ins", name="record_check_in")
async def record_check_in(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """Records what a paper form says. A refused form with an alarming answer raises its alert all the same."""
    form = await form_of(request)
    content: dict[str, Any] = {}

    async def work() -> Response:
        # First what may call for an alert, whatever is wrong with the rest.
        content["responses"] = contents.responses_of(form)
        content.update(contents.check_in_content(form, door.caller.time_zone))
        if not content["responses"]:
            raise Invalid(errors=[Fault("pointer", "/responses", "must hold at least one answer or total")])
        contents.check_totals(content["responses"])
        body = body_of(CheckInIn, content)
        post = Post(door.caller, door.act, patient_id, body)
        await door.do(lambda db: checkins.record_one(db, door.act.clinic_id, post))
        return see_other(f"/patients/{patient_id}?done=recorded")

    def again(problem: Problem) -> Awaitable[Response]:
        told = contents.named(problem, content.get("responses", []))
        return _paper_form(request, door, patient_id, tuple(form.every("instrument")), form, told)

    return await tried(request, door, work, again, called_for(door.caller, door.act, content, patient_id))


@router.post("/patients/{patient_id}/check-ins/{check_in_id}", name="amend_check_in")
async def amend_check_in(request: Request, door: DoorOf, patient_id: UUID, check_in_id: UUID) -> Response:
    """Amends a check-in, takes it back, or back again: each is a version, and nothing is overwritten."""
    form = await form_of(request)
    content: dict[str, Any] = {}

    async def work() -> Response:
        content["reason"] = form.get("reason", "")
        if "void" in form:
            content["void"] = form["void"] == "yes"
        else:
            if responses := contents.responses_of(form):
                content["responses"] = responses
                contents.check_totals(responses)
            taken_at = form.moment("taken_at", door.caller.time_zone)
            if taken_at is not None:
                content["taken_at"] = taken_at.isoformat()
        body = body_of(AmendmentIn, content)
        version = version_of(form)
        await door.do(lambda db: amending.amend(db, door.caller, door.act, patient_id, check_in_id, version, body))
        return see_other(f"/patients/{patient_id}/check-ins/{check_in_id}")

    def again(problem: Problem) -> Awaitable[Response]:
        told = contents.named(problem, content.get("responses", []))
        return shown_check_in(request, door, patient_id, check_in_id, told, form)

    return await tried(request, door, work, again, called_for(door.caller, door.act, content, patient_id, check_in_id))


@router.post("/patients/{patient_id}/events", name="record_event")
async def record_event(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """Records what else happened."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(EventIn, {name: form.get(name) for name in ("id", "kind", "on", "label")})
        await door.do(lambda db: events.record(db, door.caller, door.act, patient_id, body))
        return see_other(f"/patients/{patient_id}#events")

    return await tried(request, door, work, lambda problem: shown_patient(request, door, patient_id, problem, form))


@router.get("/patients/{patient_id}/plan", name="get_plan")
async def plan_page(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """What a patient is asked for, and the form that changes it."""
    return await _plan_form(request, door, patient_id)


@router.post("/patients/{patient_id}/plan", name="put_plan")
async def put_plan(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """Sets what a patient is asked for from tomorrow on, or goes back to the clinic's plan."""
    form = await form_of(request)

    async def work() -> Response:
        items = None if form.get("source") == "clinic" else contents.plan_items(form)
        body = body_of(PlanIn, {"items": items, "confirm": None if items is None else form.get("confirm") == "yes"})
        await door.do(lambda db: plans.put_plan(db, door.caller, door.act, patient_id, version_of(form), body))
        return see_other(f"/patients/{patient_id}/plan")

    return await tried(request, door, work, lambda problem: _plan_form(request, door, patient_id, problem, form))


async def _patient_form(
    request: Request, door: Door, patient_id: UUID | None, form: Form, problem: Problem | None
) -> Response:
    def work(db: Transaction) -> Fact[Any]:
        people = colleagues(db, door.caller)
        if patient_id is None:
            return Fact((None, people))
        return Fact((patients.one(db, door.act.clinic_id, patient_id).value, people), (patient_id,))

    patient, people = (await door.read(work)).value
    values = contents.patient_content_shown(form) if "external_id" in form else None
    return page(
        request, "patient_form.html", patient=patient, people=people,
        form=form, values=values or patient, choices=_CHOICES, problem=problem,
    )  # fmt: skip


async def _session_form(
    request: Request, door: Door, patient_id: UUID, form: Form, problem: Problem | None
) -> Response:
    caller = door.caller

    def work(db: Transaction) -> Fact[Any]:
        patient = patients.one(db, caller.clinic_id, patient_id).value
        found, _ = sessions.listed(db, caller, patient_id, None, 1, None)
        return Fact((patient, found[0] if found else None), (patient_id,))

    patient, last = (await door.read(work)).value
    return page(
        request, "session_form.html", patient=patient, last=last,
        form=form, new_id=str(new_id()), now=door.act.at.astimezone(caller.time_zone), effects=get_args(Effect),
        rows=contents, problem=problem,
    )  # fmt: skip


async def _session_page(
    request: Request, door: Door, patient_id: UUID, session_id: UUID, problem: Problem | None, form: Form
) -> Response:
    caller = door.caller

    def work(db: Transaction) -> Fact[Any]:
        patient = patients.one(db, caller.clinic_id, patient_id).value
        session = sessions.one(db, caller, patient_id, session_id).value
        as_of = local_day(door.act.at, caller.time_zone)
        effect = sessions.effect(db, caller, patient_id, session_id, as_of).value
        versions = sessions.versions(db, caller.clinic_id, patient_id, session_id).value
        return Fact((patient, session, effect, versions, colleagues(db, door.caller)), (patient_id,))

    patient, session, effect, versions, people = (await door.read(work)).value
    return page(
        request, "session.html", patient=patient, session=session,
        effect=effect, form=form, versions=versions, people=people, problem=problem,
    )  # fmt: skip


async def _paper_form(
    request: Request, door: Door, patient_id: UUID, chosen: tuple[str, ...], form: Form, problem: Problem | None
) -> Response:
    caller = door.caller

    def work(db: Transaction) -> Fact[Any]:
        today = local_day(door.act.at, caller.time_zone)
        patient = patients.one(db, caller.clinic_id, patient_id).value
        due = plans.due_of(db, caller, patient_id, today, today, door.act.at).value.items
        latest = reading.listed(db, caller, patient_id, None, None, None, None, 1)
        waiting = [code for one in due if one.state in ("due", "overdue") for code in one.missing]
        usual = [score.instrument for check_in in latest[:1] for score in check_in.scores]
        return Fact((patient, list(dict.fromkeys(waiting or usual or _USUAL))), (patient_id,))

    patient, proposed = (await door.read(work)).value
    shown = [code for code in chosen if code in INSTRUMENTS] or proposed
    return page(
        request, "paper.html", patient=patient,
        shown=[INSTRUMENTS[code] for code in shown], every=list(INSTRUMENTS.values()), form=form,
        new_id=form.get("id") or str(new_id()), now=door.act.at.astimezone(caller.time_zone), problem=problem,
    )  # fmt: skip


async def _plan_form(
    request: Request, door: Door, patient_id: UUID, problem: Problem | None = None, form: Form | None = None
) -> Response:
    def work(db: Transaction) -> Fact[Any]:
        patient = patients.one(db, door.act.clinic_id, patient_id).value
        due = plans.due_of(db, door.caller, patient_id, None, None, door.act.at).value.items
        return Fact((patient, plans.plan(db, door.caller, patient_id).value, due), (patient_id,))

    patient, plan, due = (await door.read(work)).value
    rows, confirms = contents.plan_rows(plan, form), contents.plan_confirms(plan, form)
    return page(
        request, "plan.html", patient=patient, plan=plan, rows=rows, confirms=confirms, due=due,
        codes=list(INSTRUMENTS), problem=problem,
    )  # fmt: skip
