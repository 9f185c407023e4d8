"""Routes of the clinic's settings, its plan and its wording."""

from smtplib import SMTPException
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import DoorOf
from app.access.door import Door
from app.alerts.routes import MAIL
from app.api.aside import aside
from app.api.strict import parse
from app.clinic import service as clinics
from app.clinic.models import ClinicOut, ClinicPatch
from app.errors import Fault, Invalid, Problem
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.plans import service as plans
from app.plans.models import ClinicPlanIn
from app.speech.languages import LANGUAGES
from app.storage import Transaction, new_id
from app.web.forms import Form, body_of, form_of, version_of
from app.web.pages import PageRoute, page, see_other, tried
from app.web.recording import contents
from app.wording import service as wording
from app.wording.models import QuestionnaireIn

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=PageRoute)


@router.get("", name="page_clinic")
async def clinic_page(request: Request, door: DoorOf, mail: Annotated[str, Query(max_length=10)] = "") -> Response:
    """The clinic's settings, and whether urgent alerts reach anybody."""
    return await _clinic(request, door, told=mail)


@router.post("/clinic", name="update_clinic")
async def update_clinic(request: Request, door: DoorOf) -> Response:
    """Changes the clinic's settings."""
    form = await form_of(request)

    async def work() -> Response:
        lines = [line for line in form.get("crisis_contacts", "").splitlines() if line.strip()]
        contacts = [dict(zip(("label", "contact"), map(str.strip, line.split(":", 1)), strict=False)) for line in lines]
        body = body_of(
            ClinicPatch,
            {
                "name": form.get("name", ""),
                "alert_recipients": form.get("alert_recipients", "").replace(",", " ").split(),
                "crisis_contacts": contacts,
                "patient_view": form.get("patient_view"),
                "second_factor": form.get("second_factor"),
                "smallest_group": form.number("smallest_group"),
            },
        )
        await door.do(lambda db: clinics.update(db, door.act, version_of(form), body, MAIL.of(request)))
        return see_other("/admin")

    return await tried(request, door, work, lambda problem: _clinic(request, door, problem, form))


@router.post("/mail-test", name="send_test_mail")
async def send_test_mail(request: Request, door: DoorOf) -> Response:
    """Sends one mail to each of those who are told of urgent alerts."""
    mail, told = MAIL.of(request), "none"

    def work(db: Transaction) -> Fact[list[str]]:
        return Fact(clinics.one(db, door.act.clinic_id, mail).value.alert_recipients)

    recipients = (await door.do(work)).value
    if mail is not None and recipients:
        told = "sent"
        for recipient in recipients:
            try:
                await aside(lambda to=recipient: mail.send(to, _SUBJECT, _BODY, f"test.{new_id()}"))  # type: ignore[misc]
            except (OSError, SMTPException):
                told = "failed"
    return see_other(f"/admin?mail={told}")


_SUBJECT = "Holdfast test mail"
_BODY = "Mail about urgent alerts of your clinic reaches this address.\n"


@router.get("/plan", name="get_clinic_plan")
async def plan_page(request: Request, door: DoorOf) -> Response:
    """What the clinic asks of all its patients."""
    return await _plan(request, door)


@router.post("/plan", name="put_clinic_plan")
async def put_clinic_plan(request: Request, door: DoorOf) -> Response:
    """Sets what the clinic asks of all its patients, from tomorrow on."""
    form = await form_of(request)

    async def work() -> Response:
        content = {"items": contents.plan_items(form), "confirm": form.get("confirm") == "yes"}
        body = body_of(ClinicPlanIn, content)
        await door.do(lambda db: plans.put_clinic_plan(db, door.caller, door.act, version_of(form), body))
        return see_other("/admin/plan")

    return await tried(request, door, work, lambda problem: _plan(request, door, problem, form))


@router.get("/wording", name="list_wording")
async def wording_page(request: Request, door: DoorOf) -> Response:
    """The wording that the clinic has loaded, and the form that loads one."""
    return await _wording(request, door)


@router.post("/wording", name="put_wording")
async def put_wording(request: Request, door: DoorOf) -> Response:
    """Loads the wording of an instrument from a file."""
    async with request.form() as sent:
        file, code, language = sent.get("file"), str(sent.get("instrument", "")), str(sent.get("language", ""))
        content = b"" if file is None or isinstance(file, str) else await file.read()

    async def work() -> Response:
        if language not in LANGUAGES:
            raise Invalid(errors=[Fault("pointer", "/language", "must be a language of the pages")])
        body = body_of(QuestionnaireIn, parse(content))
        await door.do(lambda db: wording.put(db, door.act, code, language, body))
        return see_other("/admin/wording")

    return await tried(request, door, work, lambda problem: _wording(request, door, problem, code, language))


@router.post("/wording/{instrument}/{language}/removal", name="delete_wording")
async def delete_wording(door: DoorOf, instrument: str, language: str) -> Response:
    """Removes a wording."""
    await door.do(lambda db: wording.remove(db, door.act, instrument, language))
    return see_other("/admin/wording")


async def _clinic(
    request: Request, door: Door, problem: Problem | None = None, form: Form | None = None, told: str = ""
) -> Response:
    mail = MAIL.of(request)
    settings = (await door.read(lambda db: clinics.one(db, door.act.clinic_id, mail))).value
    stands = _as_typed(settings)
    shown = stands if form is None else form
    return page(request, "admin.html", settings=settings, stands=stands, shown=shown, told=told, problem=problem)


def _as_typed(settings: ClinicOut) -> Form:
    """The settings as the form's own text."""
    contacts = "\n".join(f"{one.label}: {one.contact}" for one in settings.crisis_contacts)
    return Form(
        [
            ("name", settings.name),
            ("alert_recipients", " ".join(settings.alert_recipients)),
            ("crisis_contacts", contacts),
            ("patient_view", settings.patient_view),
            ("second_factor", settings.second_factor),
            ("smallest_group", str(settings.smallest_group)),
        ]
    )


async def _plan(request: Request, door: Door, problem: Problem | None = None, form: Form | None = None) -> Response:
    plan = (await door.read(lambda db: plans.clinic_plan(db, door.caller))).value
    rows, confirms = contents.plan_rows(plan, form), contents.plan_confirms(plan, form)
    return page(
        request, "plan.html", patient=None, plan=plan, rows=rows, confirms=confirms, due=None, codes=list(INSTRUMENTS),
        problem=problem,
    )  # fmt: skip


async def _wording(
    request: Request, door: Door, problem: Problem | None = None, code: str = "", language: str = ""
) -> Response:
    found = (await door.read(lambda db: wording.listed(db, door.act.clinic_id))).value.items
    codes = [one.code for one in INSTRUMENTS.values() if one.rater == "self"]
    return page(request, "admin_wording.html", wording=found, codes=codes, chosen=(code, language), problem=problem)
