"""Use cases of plans: reading and setting them, and what is due."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access import store as access
from app.access.service import Caller
from app.audit.service import Act
from app.errors import Fault, Invalid
from app.facts import Fact, require_version
from app.instruments import INSTRUMENTS
from app.patients import service as patients
from app.plans import confirming, store
from app.plans.models import (
    LONGEST_WINDOW_DAYS,
    ClinicPlanIn,
    ClinicPlanVersion,
    DueList,
    DueOut,
    PatientPlanVersion,
    PlanIn,
    PlanItemIn,
    PlanItemOut,
    PlanOut,
)
from app.plans.schedule import AROUND, DEFAULT_ITEMS, DEFAULT_VERSION, Answer, Due, Item, due
from app.plans.stored import from_on, template
from app.storage import Transaction
from app.tracks import store as tracks
from app.tracks.days import local_day
from app.tracks.events import Calendar

_BEHIND = timedelta(days=28)
_AHEAD = timedelta(days=60)
_LONGEST_SPAN = timedelta(days=400)


def clinic_plan(db: Transaction, caller: Caller) -> Fact[PlanOut]:
    """The current plan of the clinic."""
    plan = _clinic_plan_out(store.clinic_versions(db, caller.clinic_id), caller.time_zone)
    return Fact(plan, version=plan.version)


def put_clinic_plan(
    db: Transaction, caller: Caller, act: Act, expected: int | None, body: ClinicPlanIn
) -> Fact[PlanOut]:
    """Stores a new version of the clinic's plan. Raises PreconditionFailed."""
    access.locked_clinic(db, act.clinic_id)
    versions = store.clinic_versions(db, act.clinic_id)
    require_version(expected, _version(versions))
    items = [item.model_dump() for item in body.items]
    stands = versions[-1].items if versions else [_stored_item(item) for item in DEFAULT_ITEMS]
    confirms = versions[-1].confirm if versions else True
    if [_whole(item) for item in stands] == items and confirms == body.confirm:
        plan = _clinic_plan_out(versions, caller.time_zone)
        return Fact(plan, version=plan.version)
    new = ClinicPlanVersion(
        clinic_id=act.clinic_id,
        version=_version(versions) + 1,
        recorded_at=act.at,
        recorded_by_id=act.actor_id,
        items=items,
        confirm=body.confirm,
    )
    db.add(new)
    return Fact(_clinic_plan_out([new], caller.time_zone), version=new.version)


def plan(db: Transaction, caller: Caller, patient_id: UUID) -> Fact[PlanOut]:
    """The current plan of a patient. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    plan = _patient_plan_out(db, caller, store.patient_versions(db, caller.clinic_id, patient_id))
    return Fact(plan, (patient_id,), plan.version)


def versions(db: Transaction, caller: Caller, patient_id: UUID) -> list[PlanOut]:
    """Every plan set for a patient, oldest first; without items where it returned to the clinic's plan."""
    zone = caller.time_zone
    return [
        _plan_out(
            "clinic" if version.items is None else "patient",
            from_on(version, zone),
            version.recorded_at,
            version.items or (),
            version.version,
            confirm=version.confirm,
        )
        for version in store.patient_versions(db, caller.clinic_id, patient_id)
    ]


def put_plan(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, expected: int | None, body: PlanIn
) -> Fact[PlanOut]:
    """Stores a new version of a patient's plan. Raises NotFound, PreconditionFailed."""
    patients.lock_one(db, act.clinic_id, patient_id)
    versions = store.patient_versions(db, act.clinic_id, patient_id)
    require_version(expected, _version(versions))
    items = None if body.items is None else [item.model_dump() for item in body.items]
    stands = versions[-1].items if versions else None
    confirm = True if body.confirm is None and items is not None else body.confirm
    is_same = (versions[-1].confirm if versions else None) == confirm
    if is_same and (None if stands is None else [_whole(item) for item in stands]) == items:
        plan = _patient_plan_out(db, caller, versions)
        return Fact(plan, (patient_id,), plan.version)
    new = PatientPlanVersion(
        clinic_id=act.clinic_id,
        patient_id=patient_id,
        version=_version(versions) + 1,
        recorded_at=act.at,
        recorded_by_id=act.actor_id,
        items=items,
        confirm=confirm,
    )
    db.add(new)
    return Fact(_patient_plan_out(db, caller, [new]), (patient_id,), new.version)


def due_of(
    db: Transaction, caller: Caller, patient_id: UUID, first: date | None, last: date | None, now: datetime
) -> Fact[DueList]:
    """What is due for a patient, by default from four weeks ago to 60 days ahead. Patients are shown only the
    instruments that they rate themselves. Raises NotFound, Invalid."""
    patient = patients.find(db, caller.clinic_id, patient_id)
    today = local_day(now, caller.time_zone)
    first = first or (min(last, today) if last else today) - _BEHIND
    last = last or max(first, today) + _AHEAD
    if last < first:
        raise Invalid(errors=[Fault("parameter", "to", "must not be before from")])
    if last - first > _LONGEST_SPAN:
        raise Invalid(errors=[Fault("parameter", "to", f"must be within {_LONGEST_SPAN.days} days of from")])
    if patient.care_status != "active" or patient.erased_at is not None:
        return Fact(DueList(items=[]), (patient_id,))
    asked = asked_of(db, caller.clinic_id, caller.time_zone, patient_id, patient.created_at, first, last, today)
    # Why one more is asked for tells a patient of the verdict.
    tells_why = caller.patient_id is None or caller.clinic.patient_view == "all"
    shown = [due_out(one, today, own=caller.patient_id is not None, tells_why=tells_why) for one in asked]
    return Fact(DueList(items=[one for one in shown if one is not None]), (patient_id,))


def asked_of(
    db: Transaction,
    clinic_id: UUID,
    zone: ZoneInfo,
    patient_id: UUID,
    enrolled_at: datetime,
    first: date,
    last: date,
    today: date,
) -> list[Due]:
    """What a patient is asked for from `first` to `last`, with what became of it."""
    calendar = Calendar(tracks.infusions(db, clinic_id, patient_id), zone)
    around = timedelta(days=LONGEST_WINDOW_DAYS + 1)
    since, until = (datetime.combine(day, time(), zone) for day in (first - AROUND, last + AROUND + around))
    answered: dict[str, list[Answer]] = {}
    for instrument, taken_at, whole in tracks.taken_between(db, clinic_id, patient_id, since, until):
        answered.setdefault(instrument, []).append(Answer(local_day(taken_at, zone), whole))
    return due(
        [template(version, zone) for version in store.clinic_versions(db, clinic_id)],
        [template(version, zone) for version in store.patient_versions(db, clinic_id, patient_id)],
        local_day(enrolled_at, zone),
        calendar.events,
        calendar.positions,
        answered,
        first,
        last,
        confirming.asked_once_more(db, clinic_id, patient_id, calendar, (first - AROUND, last + AROUND), today),
    )


def due_out(one: Due, today: date, *, own: bool, tells_why: bool) -> DueOut | None:
    """What is shown of one check-in that is asked for; `own`: to the patient, None where nothing of it is theirs to
    rate."""
    codes = [code for code in one.instruments if not own or INSTRUMENTS[code].rater == "self"]
    if not codes:
        return None
    missing, declined = (tuple(code for code in some if code in codes) for some in (one.missing, one.declined))
    seen = replace(one, instruments=tuple(codes), missing=missing, declined=declined)
    return DueOut(
        due_on=one.due_on,
        window_ends_on=one.window_ends_on,
        instruments=codes,
        state=seen.state(today),
        missing=list(missing),
        session_id=None if one.session_id is None else UUID(one.session_id),
        reason="confirm" if one.confirms and tells_why else None,
    )


def _version(versions: Sequence[ClinicPlanVersion] | Sequence[PatientPlanVersion]) -> int:
    return versions[-1].version if versions else DEFAULT_VERSION


def _clinic_plan_out(versions: Sequence[ClinicPlanVersion], zone: ZoneInfo) -> PlanOut:
    if not versions:
        items = [_stored_item(item) for item in DEFAULT_ITEMS]
        return _plan_out("default", None, None, items, DEFAULT_VERSION, confirm=True)
    last = versions[-1]
    return _plan_out("clinic", from_on(last, zone), last.recorded_at, last.items, last.version, confirm=last.confirm)


def _patient_plan_out(db: Transaction, caller: Caller, versions: Sequence[PatientPlanVersion]) -> PlanOut:
    last, clinic = versions[-1] if versions else None, clinic_plan(db, caller).value
    confirm = clinic.confirm if last is None or last.confirm is None else last.confirm
    if last is not None and last.items is not None:
        since = from_on(last, caller.time_zone)
        return _plan_out("patient", since, last.recorded_at, last.items, last.version, confirm=confirm)
    return clinic.model_copy(update={"version": _version(versions), "confirm": confirm})


def _plan_out(
    source: str,
    from_on: date | None,
    recorded_at: datetime | None,
    items: Sequence[dict[str, Any]],
    version: int,
    *,
    confirm: bool | None,
) -> PlanOut:
    shown = [PlanItemOut.model_validate(_whole(item)) for item in items]
    return PlanOut(
        source=source, from_on=from_on, recorded_at=recorded_at, items=shown, confirm=confirm, version=version
    )


def _whole(item: dict[str, Any]) -> dict[str, Any]:
    """A stored item, also one that was stored before a field existed."""
    return PlanItemIn.model_validate(item).model_dump()


def _stored_item(item: Item) -> dict[str, Any]:
    return {
        "after": item.after,
        "offset": f"P{item.offset}D",
        "window": f"P{item.window}D",
        "early": f"P{item.early}D",
        "instruments": list(item.instruments),
    }
