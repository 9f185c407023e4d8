"""Routes for administrators: the clinic's settings, people, integrations, plan, audit log and webhooks. What is secret
is shown once."""

from smtplib import SMTPException
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from app.access.dependencies import DoorOf, PageOf
from app.access.door import Door
from app.access.policies import SCOPES
from app.alerts.routes import MAIL
from app.api.aside import aside
from app.api.strict import parse
from app.audit import service as audit
from app.clients import service as clients
from app.clients.models import ClientIn, ClientPatch, SecretRotation
from app.clinic import service as clinics
from app.clinic.models import ClinicPatch
from app.errors import Fault, Invalid, Problem
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.outbox.kinds import KIND_MEANINGS
from app.people import service as people
from app.people.models import UserIn, UserPatch
from app.plans import service as plans
from app.plans.models import ClinicPlanIn
from app.speech.languages import LANGUAGES
from app.storage import Transaction, new_id
from app.web.forms import Form, body_of, form_of
from app.web.pages import PageRoute, page, see_other, tried
from app.web.patient.gathering import colleagues
from app.web.recording import contents
from app.web.recording.routes import version_of
from app.webhooks import service as webhooks
from app.webhooks.models import WebhookIn
from app.webhooks.routes import ALLOWED_HOSTS
from app.wording import service as wording
from app.wording.models import QuestionnaireIn

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=PageRoute)

_MOST = 200


def _filled(value: Any) -> Any:
    return None if value == "" else value


AnyId = Annotated[UUID | None, BeforeValidator(_filled), Query()]


@router.get("", name="page_clinic")
async def clinic_page(request: Request, door: DoorOf, mail: Annotated[str, Query(max_length=10)] = "") -> Response:
    """The clinic's settings, and whether urgent alerts reach anybody."""
    return await _clinic(request, door, None, mail)


@router.post("/clinic", name="update_clinic")
async def update_clinic(request: Request, door: DoorOf) -> Response:
    """Changes the clinic's settings."""
    form = await form_of(request)

    async def work() -> Response:
        lines = form.get("crisis_contacts", "").splitlines()
        contacts = [dict(zip(("label", "contact"), map(str.strip, line.split(":", 1)), strict=False)) for line in lines]
        body = body_of(
            ClinicPatch,
            {
                "name": form.get("name", ""),
                "alert_recipients": form.get("alert_recipients", "").replace(",", " ").split(),
                "crisis_contacts": [contact for contact in contacts if contact.get("label")],
                "patient_view": form.get("patient_view"),
                "second_factor": form.get("second_factor"),
                "smallest_group": form.number("smallest_group"),
            },
        )
        await door.do(lambda db: clinics.update(db, door.act, version_of(form), body, MAIL.of(request)))
        return see_other("/admin")

    return await tried(request, door, work, lambda problem: _clinic(request, door, problem))


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


@router.get("/people", name="list_users")
async def people_page(request: Request, door: DoorOf) -> Response:
    """Everybody with a login."""
    return await _people(request, door, None, None)


@router.post("/people", name="create_user")
async def create_user(request: Request, door: DoorOf) -> Response:
    """Adds a person, and shows the code with which they set their password, once."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(UserIn, {"email": form.get("email", ""), "role": form.get("role")})
        made = (await door.do(lambda db: people.create(db, door.act, body))).value
        return _shown_once(request, made.email, made.password_code.code, "/admin/people", is_password=True)

    return await tried(request, door, work, lambda problem: _people(request, door, problem, form))


@router.post("/people/{user_id}", name="update_user")
async def update_user(request: Request, door: DoorOf, user_id: UUID) -> Response:
    """Changes a person's role, or disables them."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(UserPatch, {"role": form.get("role"), "disabled": form.get("disabled") == "yes"})
        await door.do(lambda db: people.update(db, door.act, user_id, version_of(form), body))
        return see_other("/admin/people")

    return await tried(request, door, work, lambda problem: _people(request, door, problem, None))


@router.post("/people/{user_id}/password-reset", name="reset_password")
async def reset_password(request: Request, door: DoorOf, user_id: UUID) -> Response:
    """Ends a person's password and sessions, and shows the code for a new one, once."""
    made = (await door.do(lambda db: people.reset_password(db, door.act, user_id))).value
    return _shown_once(request, "", made.code, "/admin/people", is_password=True)


@router.post("/people/{user_id}/second-factor-removal", name="remove_second_factor")
async def remove_second_factor(door: DoorOf, user_id: UUID) -> Response:
    """Takes a person's second factor off, where they have lost it."""
    await door.do(lambda db: people.remove_second_factor(db, door.act, user_id))
    return see_other("/admin/people")


@router.get("/integrations", name="list_clients")
async def integrations_page(request: Request, door: DoorOf) -> Response:
    """Every integration with its scopes."""
    return await _integrations(request, door, None, None)


@router.post("/integrations", name="create_client")
async def create_client(request: Request, door: DoorOf) -> Response:
    """Adds an integration, and shows its secret once."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(ClientIn, {"name": form.get("name", ""), "scope": " ".join(form.every("scope"))})
        made = (await door.do(lambda db: clients.create(db, door.act, body))).value
        return _shown_once(request, str(made.id), made.client_secret, "/admin/integrations")

    return await tried(request, door, work, lambda problem: _integrations(request, door, problem, form))


@router.post("/integrations/{client_id}", name="update_client")
async def update_client(request: Request, door: DoorOf, client_id: UUID) -> Response:
    """Disables an integration, or lets it in again."""
    form = await form_of(request)
    body = body_of(ClientPatch, {"disabled": form.get("disabled") == "yes"})
    await door.do(lambda db: clients.update(db, door.act, client_id, version_of(form), body))
    return see_other("/admin/integrations")


@router.post("/integrations/{client_id}/secrets", name="rotate_client_secret")
async def rotate_client_secret(request: Request, door: DoorOf, client_id: UUID) -> Response:
    """Gives an integration a new secret, shown once. The one before works for a day more."""
    made = (await door.do(lambda db: clients.rotate(db, door.act, client_id, SecretRotation()))).value
    return _shown_once(request, str(made.id), made.client_secret, "/admin/integrations")


@router.get("/plan", name="get_clinic_plan")
async def plan_page(request: Request, door: DoorOf) -> Response:
    """What the clinic asks of all its patients."""
    return await _plan(request, door, None)


@router.post("/plan", name="put_clinic_plan")
async def put_clinic_plan(request: Request, door: DoorOf) -> Response:
    """Sets what the clinic asks of all its patients, from tomorrow on."""
    form = await form_of(request)

    async def work() -> Response:
        content = {"items": contents.plan_items(form), "confirm": form.get("confirm") == "yes"}
        body = body_of(ClinicPlanIn, content)
        await door.do(lambda db: plans.put_clinic_plan(db, door.caller, door.act, version_of(form), body))
        return see_other("/admin/plan")

    return await tried(request, door, work, lambda problem: _plan(request, door, problem))


@router.get("/wording", name="list_wording")
async def wording_page(request: Request, door: DoorOf) -> Response:
    """The wording that the clinic has loaded, and the form that loads one."""
    return await _wording(request, door, None)


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

    return await tried(request, door, work, lambda problem: _wording(request, door, problem))


@router.post("/wording/{instrument}/{language}/removal", name="delete_wording")
async def delete_wording(door: DoorOf, instrument: str, language: str) -> Response:
    """Removes a wording."""
    await door.do(lambda db: wording.remove(db, door.act, instrument, language))
    return see_other("/admin/wording")


@router.get("/audit", name="list_audit_events")
async def audit_page(
    request: Request, door: DoorOf, found: PageOf, patient_id: AnyId = None, actor: AnyId = None
) -> Response:
    """Who read or wrote whose data, the newest first."""
    clinic_id = door.act.clinic_id

    def work(db: Transaction) -> Fact[Any]:
        events = found.cut(
            audit.events_of(db, clinic_id, patient_id, actor, found.after, found.limit),
            lambda event: [str(event.id)],
            lambda event: event.patient_ids,
        )
        return Fact((events.value, colleagues(db, door.caller)), events.patient_ids)

    events, names = (await door.read(work)).value
    return page(
        request, "admin_audit.html", events=events, people=names, patient_id=patient_id, actor=actor,
        next_cursor=found.next_cursor,
    )  # fmt: skip


@router.get("/webhooks", name="list_webhooks")
async def webhooks_page(request: Request, door: DoorOf) -> Response:
    """Who is told what happens."""
    return await _webhooks(request, door, None, None)


@router.post("/webhooks", name="create_webhook")
async def create_webhook(request: Request, door: DoorOf) -> Response:
    """Adds a webhook, and shows its secret once."""
    form, allowed = await form_of(request), ALLOWED_HOSTS.of(request)

    async def work() -> Response:
        body = body_of(WebhookIn, {"url": form.get("url", ""), "events": form.every("events")})
        made = (await door.do(lambda db: webhooks.create(db, door.caller, door.act, body, allowed))).value
        return _shown_once(request, made.url, made.secret, "/admin/webhooks")

    return await tried(request, door, work, lambda problem: _webhooks(request, door, problem, form))


@router.get("/webhooks/{webhook_id}", name="list_deliveries")
async def deliveries_page(request: Request, door: DoorOf, webhook_id: UUID, found: PageOf) -> Response:
    """What was delivered to a webhook, or is to be, with each try."""

    def work(db: Transaction) -> Fact[Any]:
        rows = webhooks.deliveries(db, door.act.clinic_id, webhook_id, None, found.after, found.limit)
        cut = found.cut(
            rows,
            lambda one: [one[0].position, str(one[0].id)],
            lambda one: () if one[1].patient_id is None else (one[1].patient_id,),
        )
        hook = webhooks.one(db, door.act.clinic_id, webhook_id).value
        return Fact((hook, [shown for _, shown in cut.value]), cut.patient_ids)

    hook, deliveries = (await door.read(work)).value
    return page(request, "admin_webhook.html", hook=hook, deliveries=deliveries, next_cursor=found.next_cursor)


@router.post("/webhooks/{webhook_id}/test", name="test_webhook")
async def test_webhook(door: DoorOf, webhook_id: UUID) -> Response:
    """Sends a test event."""
    await door.do(lambda db: webhooks.test(db, door.act, webhook_id))
    return see_other(f"/admin/webhooks/{webhook_id}")


@router.post("/webhooks/{webhook_id}/removal", name="delete_webhook")
async def delete_webhook(door: DoorOf, webhook_id: UUID) -> Response:
    """Removes a webhook, with what waits for it."""
    await door.do(lambda db: webhooks.remove(db, door.act, webhook_id))
    return see_other("/admin/webhooks")


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", name="replay_delivery")
async def replay_delivery(door: DoorOf, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Delivers once more."""
    await door.do(lambda db: webhooks.replay(db, door.act, webhook_id, delivery_id))
    return see_other(f"/admin/webhooks/{webhook_id}")


def _status(problem: Problem | None) -> int:
    return 200 if problem is None else problem.status


def _shown_once(request: Request, name: str, secret: str, back: str, *, is_password: bool = False) -> Response:
    return page(request, "admin_secret.html", shown_name=name, secret=secret, back=back, is_password=is_password)


async def _clinic(request: Request, door: Door, problem: Problem | None, told: str = "") -> Response:
    mail = MAIL.of(request)
    settings = (await door.read(lambda db: clinics.one(db, door.act.clinic_id, mail))).value
    return page(request, "admin.html", _status(problem), settings=settings, told=told, problem=problem)


async def _people(request: Request, door: Door, problem: Problem | None, form: Form | None) -> Response:
    users = (await door.read(lambda db: Fact(people.listed(db, door.act.clinic_id, None, _MOST)))).value
    return page(request, "admin_people.html", _status(problem), users=users, problem=problem, form=form or Form([]))


async def _integrations(request: Request, door: Door, problem: Problem | None, form: Form | None) -> Response:
    found = (await door.read(lambda db: Fact(clients.listed(db, door.act.clinic_id, None, _MOST)))).value
    return page(
        request, "admin_integrations.html", _status(problem), clients=found, scopes=SCOPES, problem=problem,
        form=form or Form([]),
    )  # fmt: skip


async def _plan(request: Request, door: Door, problem: Problem | None) -> Response:
    plan = (await door.read(lambda db: plans.clinic_plan(db, door.caller))).value
    return page(
        request, "plan.html", _status(problem), patient=None, plan=plan, due=None, more=contents.NEW_PLAN_ROWS,
        codes=list(INSTRUMENTS), problem=problem,
    )  # fmt: skip


async def _webhooks(request: Request, door: Door, problem: Problem | None, form: Form | None) -> Response:
    hooks = (await door.read(lambda db: Fact(webhooks.listed(db, door.act.clinic_id, None, _MOST)))).value
    return page(
        request, "admin_webhooks.html", _status(problem), hooks=hooks, kinds=list(KIND_MEANINGS), problem=problem,
        form=form or Form([]),
    )  # fmt: skip


async def _wording(request: Request, door: Door, problem: Problem | None) -> Response:
    found = (await door.read(lambda db: wording.listed(db, door.act.clinic_id))).value.items
    codes = [code for code, instrument in INSTRUMENTS.items() if instrument.rater == "self"]
    return page(request, "admin_wording.html", _status(problem), wording=found, codes=codes, problem=problem)
