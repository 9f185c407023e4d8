"""Routes of a patient's page, and of what leads from it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from app.access.dependencies import DoorOf, PageOf
from app.access.door import Door
from app.api.fields import DayIn
from app.api.parts import PUBLIC_URL
from app.checkins import reading
from app.devices import service as devices
from app.errors import Problem
from app.facts import Fact
from app.patients import history
from app.patients import service as patients
from app.patients.models import PatientOut, PatientSearch
from app.speech import in_language
from app.storage import Transaction, new_id
from app.web import words
from app.web.codes import qr
from app.web.forms import Form, body_of, filled, form_of
from app.web.pages import PageRoute, language_of, page, see_other
from app.web.patient import gathering
from app.web.patient.gathering import Asked

router = APIRouter(include_in_schema=False, route_class=PageRoute)


_MOST_FOUND = 50


# What was just done, to be said once.
Done = Annotated[Literal["", "recorded", "saved"], Query()]
Day = Annotated[DayIn | None, BeforeValidator(filled), Query()]


@router.get("/patients", name="list_patients")
async def patients_page(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Every patient, the newest first."""
    listed = await door.read(
        lambda db: found.cut(
            patients.listed(db, door.act.clinic_id, None, None, found.after, found.limit),
            lambda patient: [patient.created_at.isoformat(), str(patient.id)],
            lambda patient: (patient.id,),
        )
    )
    return page(request, "patients.html", patients=listed.value, next_cursor=found.next_cursor, q=None)


@router.post("/patients/search", name="search_patients")
async def search(request: Request, door: DoorOf) -> Response:
    """Patients by a part of their number or label. Only one: their page."""
    form = await form_of(request)
    body = body_of(PatientSearch, {"q": form["q"]}) if "q" in form else None

    def work(db: Transaction) -> Fact[list[PatientOut]]:
        found = list(patients.search(db, door.act.clinic_id, body, None, _MOST_FOUND)) if body is not None else []
        return Fact(found, tuple(patient.id for patient in found))

    found = (await door.read(work)).value
    if body is None:
        return see_other("/patients")
    if len(found) == 1:
        return see_other(f"/patients/{found[0].id}")
    return page(request, "patients.html", patients=found, next_cursor=None, q=form["q"])


@router.get("/patients/{patient_id}", name="page_patient")
async def patient_page(
    request: Request, door: DoorOf, patient_id: UUID, as_of: Day = None, known_on: Day = None, done: Done = ""
) -> Response:
    """Is relief holding? Then everything that the answer rests on."""
    return await shown_patient(request, door, patient_id, asked=Asked(as_of, known_on), done=done)


async def shown_patient(
    request: Request,
    door: Door,
    patient_id: UUID,
    problem: Problem | None = None,
    form: Form | None = None,
    asked: Asked = Asked(),  # noqa: B008 - it is frozen
    done: str = "",
) -> Response:
    """A patient's page; `form`: what was typed of an event that was refused."""
    found = (await door.read(lambda db: gathering.patient_page(db, door.caller, door.act, patient_id, asked))).value
    return page(
        request,
        "patient.html",
        it=found,
        asked=asked,
        done=done,
        form=form or Form([("id", str(new_id())), ("on", found.today.isoformat())]),
        sentences=sentences(request, found.answers),
        problem=problem,
    )


@router.get("/patients/{patient_id}/check-ins/{check_in_id}", name="page_check_in")
async def check_in_page(request: Request, door: DoorOf, patient_id: UUID, check_in_id: UUID) -> Response:
    """Every version of a check-in, and the form that amends it."""
    return await shown_check_in(request, door, patient_id, check_in_id, None)


async def shown_check_in(
    request: Request, door: DoorOf, patient_id: UUID, check_in_id: UUID, problem: Any, form: Form | None = None
) -> Response:
    def work(db: Transaction) -> Fact[Any]:
        versions = reading.versions(db, door.caller, patient_id, check_in_id).value
        people = gathering.colleagues(db, door.caller)
        return Fact((patients.one(db, door.act.clinic_id, patient_id).value, versions, people), (patient_id,))

    patient, versions, people = (await door.read(work)).value
    return page(
        request, "check_in.html", patient=patient, versions=versions, people=people, problem=problem,
        form=form or Form([]),
    )  # fmt: skip


@router.get("/patients/{patient_id}/history", name="page_history")
async def history_page(request: Request, door: DoorOf, patient_id: UUID, found: PageOf) -> Response:
    """Who changed what of a patient, and every check-in, the newest first."""

    def work(db: Transaction) -> Fact[Any]:
        clinic_id = door.act.clinic_id
        patient = patients.find(db, clinic_id, patient_id)
        versions = history.versions(db, patient).value
        rows = reading.listed(db, door.caller, patient_id, None, None, None, found.after, found.limit)
        cut = found.cut(rows, lambda c: [c.taken_at.isoformat(), str(c.id)]).value
        value = (patients.patient_out(db, patient), versions, cut, gathering.colleagues(db, door.caller))
        return Fact(value, (patient_id,))

    patient, versions, check_ins, people = (await door.read(work)).value
    return page(
        request, "history.html", patient=patient, versions=versions, check_ins=check_ins, people=people,
        next_cursor=found.next_cursor,
    )  # fmt: skip


@router.post("/patients/{patient_id}/enrolments", name="enrol_device")
async def enrol(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """A code for the patient's phone, as a QR code and as a link, shown once."""
    public_url = PUBLIC_URL.of(request)
    made = (await door.do(lambda db: devices.enrol(db, door.act, patient_id, public_url))).value
    return page(request, "enrolment.html", made=made, picture=qr(made.link), patient_id=patient_id)


@router.post("/patients/{patient_id}/devices/{device_id}/revocation", name="revoke_device")
async def revoke(door: DoorOf, patient_id: UUID, device_id: UUID) -> Response:
    """Ends a phone's access."""
    await door.do(lambda db: devices.revoke(db, door.act, patient_id, device_id))
    return see_other(f"/patients/{patient_id}#phone")


def sentences(request: Request, answers: Any) -> list[str]:
    """The answer of each domain in one sentence, in the reader's language."""
    speech = in_language(language_of(request))
    return [words.sentence(speech, one.domain, one.track) for one in answers]
