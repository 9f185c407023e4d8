"""Routes of pages for paper. Each is one page, dated, and says what it rests on and what is missing."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf
from app.access.door import Door
from app.facts import Fact
from app.sessions.models import COUNTED
from app.storage import Transaction
from app.web.pages import PageRoute, gettext_of, page
from app.web.patient.gathering import Asked, PatientPage, patient_page
from app.web.patient.routes import sentences
from app.web.prints.missing import missing

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_SESSIONS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Doses:
    """The sessions that count of what the page shows: how many, and the latest ones."""

    count: int
    shown: list[Any]


@router.get("/patients/{patient_id}/letter", name="page_letter")
async def letter_page(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """One page about a patient for a letter of referral."""
    return await _printed(request, door, patient_id, "letter.html")


@router.get("/patients/{patient_id}/authorisation", name="page_authorisation")
async def authorisation_page(request: Request, door: DoorOf, patient_id: UUID) -> Response:
    """One page about a patient for a payer: baseline, failed trials, doses, the latest change, and what is missing."""
    return await _printed(request, door, patient_id, "authorisation.html")


async def _printed(request: Request, door: Door, patient_id: UUID, template: str) -> Response:
    def work(db: Transaction) -> Fact[PatientPage]:
        return patient_page(db, door.caller, door.act, patient_id, Asked())

    it = (await door.read(work)).value
    counted = [session for session in it.sessions if session.status in COUNTED]
    return page(
        request,
        template,
        it=it,
        sentences=sentences(request, it.answers),
        doses=Doses(len(counted), counted[:_SESSIONS_SHOWN]),
        missing=missing(gettext_of(request), it),
        printed_at=door.act.at,
    )
