"""Routes of the patient's reminders."""

from collections.abc import Collection

from fastapi import APIRouter, Request, Response

from app.access import tokens
from app.access.dependencies import DOOR_PARTS, DoorOf, origin_of
from app.access.door import Door, prove
from app.api.parts import DATABASE, PUBLIC_URL, Part
from app.api.problems import render
from app.calendars import service as calendars
from app.calendars import store as calendar_links
from app.errors import InvalidToken, NotFound, Problem
from app.facts import Fact
from app.reminders import service as reminders
from app.reminders.models import SubscriptionIn
from app.speech import languages
from app.storage import NO_CLINIC
from app.web.pages import DevicePageRoute, language_of, page, see_other

# Hosts that push services may have though they are not public: none, but in tests.
PUSH_HOSTS: Part[Collection[str]] = Part("push_hosts")

router = APIRouter(prefix="/check-in", include_in_schema=False, route_class=DevicePageRoute)


class ScriptRoute(DevicePageRoute):
    """A route that only the page's script asks: a refusal is a problem, which it reads."""

    async def problem_page(self, request: Request, problem: Problem) -> Response:
        return render(request.scope["request_id"], problem)


asked_by_script = APIRouter(prefix="/check-in", include_in_schema=False, route_class=ScriptRoute)


@router.get("/reminders", name="page_my_reminders")
async def reminders_page(request: Request, door: DoorOf) -> Response:
    """What reminds the patient: this phone, and a calendar; with the forms that turn each on and off."""
    return await _page(request, door, None)


async def _page(request: Request, door: Door, link: str | None) -> Response:
    caller = door.caller
    whose = () if caller.patient_id is None else (caller.patient_id,)
    phone = (await door.read(lambda db: Fact(reminders.phone_of(db, caller), whose))).value
    return page(request, "check_in_reminders.html", phone=phone, link=link)


@asked_by_script.post("/reminders/key", name="prepare_reminders")
async def prepare_reminders(door: DoorOf) -> dict[str, str]:
    """The key with which the browser makes a subscription."""
    return {"public_key": (await door.do(lambda db: reminders.prepare(db, door.caller, door.act))).value}


@asked_by_script.post("/reminders/on", name="turn_on_reminders", status_code=204)
async def turn_on_reminders(request: Request, door: DoorOf, body: SubscriptionIn) -> None:
    """Keeps where the browser is reached. Only a script can ask for it, since only a script has a subscription."""
    language, allowed = language_of(request), PUSH_HOSTS.of(request)
    await door.do(lambda db: reminders.turn_on(db, door.caller, door.act, body, language, allowed))


@asked_by_script.post("/reminders/renewal", name="renew_reminders", status_code=204)
async def renew_reminders(request: Request, door: DoorOf, body: SubscriptionIn) -> None:
    """Keeps where the browser is reached from now on, and in which language, if reminders are turned on: its push
    service has changed that, or the patient the language."""
    language, allowed = language_of(request), PUSH_HOSTS.of(request)
    await door.do(lambda db: reminders.renew(db, door.caller, body, language, allowed))


@router.post("/reminders/off", name="turn_off_reminders")
async def turn_off_reminders(door: DoorOf) -> Response:
    """Reminds no more on this phone."""
    await door.do(lambda db: reminders.turn_off(db, door.caller, door.act))
    return see_other("/check-in/reminders")


@router.post("/calendar", name="make_calendar_link")
async def make_calendar_link(request: Request, door: DoorOf) -> Response:
    """A link with which a calendar reads what is due, shown once; those before end."""
    language = language_of(request)
    code = (await door.do(lambda db: calendars.make(db, door.caller, door.act, language))).value
    return await _page(request, door, f"{PUBLIC_URL.of(request).rstrip('/')}/check-in/calendar/{code}.ics")


@router.post("/calendar/end", name="end_calendar_links")
async def end_calendar_links(door: DoorOf) -> Response:
    """Ends the links that this phone made."""
    await door.do(lambda db: calendars.end(db, door.caller, door.act))
    return see_other("/check-in/reminders")


@router.get("/calendar/{code}.ics", name="read_calendar")
async def read_calendar(request: Request, code: str) -> Response:
    """What is due, for a calendar that has the link. The titles are neutral."""
    database, origin = DATABASE.of(request), origin_of(request)
    found = await database.read(NO_CLINIC, lambda db: calendar_links.by_hash(db, tokens.digest(code)))
    if found is None:
        raise NotFound
    clinic_id, parts = found.clinic_id, DOOR_PARTS.of(request)
    try:
        language, due, link_id = await prove(parts, clinic_id, lambda db: calendars.read(db, clinic_id, code, origin))
    except InvalidToken:  # the phone that made it is removed
        raise NotFound from None
    title = languages.translations(language).gettext("Check-in")
    address = f"{PUBLIC_URL.of(request).rstrip('/')}/check-in"
    content = calendars.calendar(title, due, link_id, origin, address)
    return Response(content, media_type="text/calendar; charset=utf-8")
