"""Routes of the patient's check-in.

The page of what is due is whole without scripts: a form. With scripts it asks one question at a time, keeps answers on
the phone until they are received, and works without a network."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access import cookies
from app.access.cookies import DEVICE
from app.access.dependencies import DOOR_PARTS, DoorOf, origin_of
from app.access.door import Door
from app.api.parts import PUBLIC_URL
from app.api.problems import render
from app.api.rendering import created
from app.checkins import reading
from app.checkins import service as checkins
from app.checkins.deciding import Post
from app.checkins.models import CheckInIn
from app.checkins.output import crisis_notice
from app.checkins.routes import RECORDING, RecordingRoute
from app.devices.models import RedeemIn
from app.devices.redeeming import redeemed
from app.errors import Fault, Invalid, InvalidToken, NotFound, Problem
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.pictures import service as pictures
from app.pictures.routes import RENDERER
from app.plans import service as plans
from app.relief_answers import service as relief_answers
from app.relief_answers.service import Question
from app.reminders import service as reminders
from app.reminders.leaving import given_up
from app.speech import in_language, of_pictures
from app.storage import Transaction, new_id
from app.tracks.days import local_day
from app.tracks.explanation_for_patient import explain_to_patient
from app.web.assets import assets
from app.web.check_in import questions
from app.web.forms import Form, body_of, form_of
from app.web.pages import DevicePageRoute, forget, gettext_of, keep, language_of, page, see_other, tried
from app.web.recording.alarms import called_for
from app.web.recording.contents import responses_of
from app.wording import service as wording

router = APIRouter(prefix="/check-in", include_in_schema=False, route_class=DevicePageRoute)

# Without scripts nobody knows when a form was begun, only when its page was opened.
_FINISHED_WITHIN = timedelta(hours=1)
_MOST_SHOWN = 30
_PHONE = "browser"


class SendingRoute(DevicePageRoute, RecordingRoute):
    """A route to which the page sends a check-in: a refusal is a problem, which the page reads, and one that holds an
    alarming answer raises its alert."""

    async def problem_page(self, request: Request, problem: Problem) -> Response:
        return render(request.scope["request_id"], problem)


sending = APIRouter(prefix="/check-in", include_in_schema=False, route_class=SendingRoute)


@router.get("", name="page_my_check_in")
async def check_in_page(request: Request, door: DoorOf) -> Response:
    """What is due now, to be answered; with the crisis contacts."""
    return await _due_page(request, door)


@router.post("", name="record_check_in")
async def record_by_form(request: Request, door: DoorOf) -> Response:
    """Records what was answered, where scripts are off."""
    form, caller = await form_of(request), door.caller
    assert caller.patient_id is not None  # only a device comes here
    patient_id, content = caller.patient_id, dict[str, Any]()

    async def work() -> Response:
        content["responses"] = responses_of(form)
        content.update({"id": form.get("id"), "taken_at": _begun(form, door.act.at)})
        if not content["responses"]:
            raise Invalid(errors=[Fault("pointer", "/responses", "must hold at least one answer")])
        post = Post(caller, door.act, patient_id, body_of(CheckInIn, content))
        done = await door.do(lambda db: checkins.record_one(db, caller.clinic_id, post))
        return page(request, "check_in_received.html", notice=done.value.notice)

    again = lambda problem: _due_page(request, door, problem, form)  # noqa: E731
    return await tried(request, door, work, again, called_for(door.caller, door.act, content, patient_id))


def _begun(form: Form, now: datetime) -> str:
    """When the page was opened, if that was within the hour: a form that is finished after midnight counts for the day
    on which it was begun. Else now."""
    try:
        begun = datetime.fromisoformat(form.get("begun_at", ""))
    except ValueError:
        return now.isoformat()
    is_whole = begun.tzinfo is not None and timedelta(0) <= now - begun <= _FINISHED_WITHIN
    return (begun if is_whole else now).isoformat()


@sending.post("/patients/{patient_id}/check-ins", name="record_check_in")
async def record_check_in(request: Request, door: DoorOf, patient_id: UUID, body: CheckInIn) -> Response:
    """Records a check-in that the page sends, as `POST /v1/patients/{patient_id}/check-ins` does."""
    post = Post(door.caller, door.act, door.caller.whose(patient_id), body)
    receipt = await door.join(RECORDING.of(request), post)
    assert receipt is not None  # recording gives a receipt or a refusal
    return created(receipt).response()


@router.get("/enrol")
async def enrol_page(request: Request) -> Response:
    """Where an enrolment link leads: the code is in its fragment, which only the page's script reads."""
    return page(request, "check_in_enrol.html", problem=None)


@router.post("/enrol")
async def enrol(request: Request) -> Response:
    """Makes this browser the patient's own, by a code that works once."""
    form = await form_of(request)
    try:
        body = body_of(RedeemIn, {"code": form.get("code", ""), "device_name": form.get("device_name", _PHONE)})
        granted = await redeemed(DOOR_PARTS.of(request), body, origin_of(request))
    except (Invalid, InvalidToken) as problem:
        return page(request, "check_in_enrol.html", 422, problem=problem)
    await _given_up(request)  # what this browser was before, perhaps for somebody else
    response = see_other("/check-in")
    keep(response, request, granted, DEVICE)
    return response


async def _given_up(request: Request) -> None:
    """Ends the session that this browser has as a patient's phone, with its reminders."""
    token = cookies.refresh_token(request.cookies, PUBLIC_URL.of(request), DEVICE)
    if token is not None:
        await given_up(DOOR_PARTS.of(request), token, origin_of(request))


@router.post("/sign-out")
async def sign_out_device(request: Request) -> Response:
    """Ends this browser's access, and clears what it keeps. What was sent stays in the clinic."""
    response = see_other("/check-in/enrol")
    await _given_up(request)
    forget(response, request, DEVICE)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.get("/scores", name="page_my_scores")
async def scores_page(request: Request, door: DoorOf) -> Response:
    """The patient's own scores, as far as their clinic shows them: the scores, the curve, and what they say."""
    caller = door.caller
    assert caller.patient_id is not None  # only a device comes here
    patient_id, view = caller.patient_id, caller.clinic.patient_view

    def work(db: Transaction) -> Fact[Any]:
        found = reading.listed(db, caller, patient_id, None, None, None, None, _MOST_SHOWN)
        told = None
        if view == "all":
            told = relief_answers.relief_of(db, Question(caller, door.act, patient_id)).value
        return Fact((found[:_MOST_SHOWN], told), (patient_id,))

    check_ins, relief = (await door.read(work)).value
    said = in_language(language_of(request))
    tracks = {track.instrument: track for track in relief.tracks} if relief is not None else {}
    answers = [
        (domain, explain_to_patient(tracks[domain.instrument], said))
        for domain in (relief.domains if relief is not None else ())
        if domain.instrument in tracks
    ]
    return page(
        request, "check_in_scores.html", check_ins=check_ins, answers=answers, has_curve=view != "scores",
    )  # fmt: skip


@router.get("/overview.svg", name="get_overview_svg")
async def my_curve(request: Request, door: DoorOf) -> Response:
    """The patient's own curve, drawn by the server: an old phone has little to do."""
    patient_id = door.caller.patient_id
    assert patient_id is not None  # only a device comes here
    asked = (patient_id, None, None, door.act.at, of_pictures(language_of(request)))
    found = await door.read(lambda db: pictures.overview_of(db, door.caller, *asked))
    content = await RENDERER.of(request).draw(found.value.specification, "svg")
    return Response(content, media_type="image/svg+xml")


@router.get("/worker.js", name="get_check_in_worker")
async def service_worker(request: Request) -> Response:
    """The script that keeps the page for when there is no network. It stands beside the page, which it may then
    serve."""
    names = ("style.css", "check-in.js", "reminders.js", "icon.svg")
    kept = " ".join(f"/static/{assets()[name].fingerprint}/{name}" for name in names)
    content = assets()["worker.js"].content.decode().replace("{{KEPT}}", kept)
    headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/check-in"}
    return Response(content, headers=headers, media_type="text/javascript")


@router.get("/app.webmanifest", name="get_check_in_manifest")
async def manifest(request: Request) -> Response:
    """What makes the page one that can be installed."""
    gettext = gettext_of(request)
    icon = f"/static/{assets()['icon.svg'].fingerprint}/icon.svg"
    content = {
        "name": gettext("Check-in"),
        "short_name": gettext("Check-in"),
        "id": "/check-in",
        "start_url": "/check-in",
        "scope": "/check-in",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": "#0b5394",
        "lang": language_of(request),
        "icons": [{"src": icon, "sizes": "any", "type": "image/svg+xml", "purpose": "any maskable"}],
    }
    return Response(json.dumps(content), media_type="application/manifest+json", headers={"Cache-Control": "no-cache"})


async def _due_page(request: Request, door: Door, problem: Problem | None = None, form: Form | None = None) -> Response:
    caller = door.caller
    if caller.patient_id is None:
        raise NotFound
    patient_id, today = caller.patient_id, local_day(door.act.at, caller.time_zone)

    def work(db: Transaction) -> Fact[Any]:
        due = plans.due_of(db, caller, patient_id, None, None, door.act.at).value.items
        worded = wording.in_language(db, caller.clinic_id, language_of(request))
        return Fact((due, worded, reminders.phone_of(db, caller)), (patient_id,))

    due, worded, phone = (await door.read(work)).value
    coming = next((one for one in due if one.state == "upcoming"), None)
    return page(
        request,
        "check_in_due.html",
        asked=questions.asked(due, worded, gettext_of(request)),
        coming=coming,
        today=today,
        begun_at=form["begun_at"] if form else door.act.at.isoformat(),
        new_id=form["id"] if form else str(new_id()),
        form=form or Form([]),
        patient_id=patient_id,
        phone=phone,
        contacts=crisis_notice(caller).crisis_contacts,
        instruments=INSTRUMENTS,
        problem=problem,
    )
