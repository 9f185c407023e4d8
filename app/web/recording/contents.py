"""From forms to what the API would have been sent: sessions, check-ins, patients and plans."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.errors import Fault, Invalid, Problem
from app.instruments import INSTRUMENTS
from app.plans.models import PlanOut
from app.web.forms import Form

_PLACE = re.compile(r"/responses/(\d+)(?:/answers/(\d+)|/score|/answers|/instrument)?")
EFFECT_ROWS, VITAL_ROWS = 4, 3
_NEW_PLAN_ROWS, _MOST_PLAN_ROWS = 3, 200
_NUMBERS = ("weight_kg", "dose_mg", "dose_mg_per_kg")
_LONGEST_MINUTES = 10_080
_TEXTS = ("status", "drug", "route", "lot", "notes")
_PATIENT_NUMBERS = ("birth_year", "failed_antidepressant_trials")
_SPANS = ("offset", "window", "early")
_PLAN = ("after", *_SPANS, "instruments")
_VITALS = ("systolic", "diastolic", "heart_rate", "spo2")


def session_content(form: Form, zone: ZoneInfo) -> dict[str, Any]:
    """A session as a form says it. What is blank is left out. Raises Invalid."""
    found: dict[str, Any] = {name: form[name] for name in _TEXTS if name in form}
    found |= {name: value for name in _NUMBERS if (value := form.number(name)) is not None}
    for name in ("started_at", "ended_at", "ready_to_leave_at"):
        moment = form.moment(name, zone)
        if moment is not None:
            found[name] = moment.isoformat()
    if form.get("sedating_medication") in ("yes", "no"):
        found["sedating_medication"] = form["sedating_medication"] == "yes"
    found["side_effects"] = list(_side_effects(form))
    found["vitals"] = list(_vitals(form, zone))
    return found


def _side_effects(form: Form) -> Iterator[dict[str, Any]]:
    for row in range(EFFECT_ROWS):
        if f"effect.{row}" in form:
            found = {"effect": form[f"effect.{row}"], "severity": form.get(f"severity.{row}", "mild")}
            minutes = form.number(f"minutes.{row}")
            yield found if minutes is None else {**found, "minutes_after_start": minutes}
        elif f"minutes.{row}" in form or form.get(f"severity.{row}", "mild") != "mild":
            raise Invalid(errors=[Fault("pointer", f"/side_effects/{row}", "must name the effect")])


def _vitals(form: Form, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    started = form.moment("started_at", zone)
    for row in range(VITAL_ROWS):
        values = {name: value for name in _VITALS if (value := form.number(f"{name}.{row}")) is not None}
        if not values:
            continue
        minutes = form.number(f"after.{row}")
        if started is None or minutes is None or not 0 <= minutes <= _LONGEST_MINUTES:
            rule = "needs the minutes after the session's start"
            raise Invalid(errors=[Fault("pointer", f"/vitals/{row}", rule)])
        yield {"at": (started + timedelta(minutes=float(minutes))).isoformat(), **values}


def check_in_content(form: Form, zone: ZoneInfo) -> dict[str, Any]:
    """A check-in as a paper form says it, but for its responses. Raises Invalid."""
    taken_at = form.moment("taken_at", zone)
    found: dict[str, Any] = {
        "taken_at": None if taken_at is None else taken_at.isoformat(),
        "before_infusion": form.get("before_infusion") == "yes",
    }
    return found | {name: form[name] for name in ("id",) if name in form}


def responses_of(form: Form) -> list[dict[str, Any]]:
    """The instruments of a form that hold anything: each item that is blank was not answered, an instrument without
    anything was not filled in. What is no number stays as it is, to be refused in its place: an answer beside it may be
    one that somebody must see."""
    found = []
    for code in dict.fromkeys(form.every("instrument")):
        items = INSTRUMENTS[code].items if code in INSTRUMENTS else ()
        answers = [form.value(f"{code}.{item.number}") for item in items]
        total = form.value(f"{code}.total")
        if any(answer is not None for answer in answers):
            response: dict[str, Any] = {"instrument": code, "answers": answers}
            found.append(response if total is None else {**response, "score": total})
        elif total is not None or code not in INSTRUMENTS:
            found.append({"instrument": code, "score": total})
    return found


def check_totals(responses: list[dict[str, Any]]) -> None:
    """Raises Invalid for a total beside items of which some are blank: it would be left out without a word."""
    faults = [
        Fault("pointer", f"/responses/{index}/score", "must stand alone, or beside all items")
        for index, one in enumerate(responses)
        if "score" in one and any(answer is None for answer in one.get("answers", ()))
        if not INSTRUMENTS[one["instrument"]].either_or
    ]
    if faults:
        raise Invalid(errors=faults)


def named(problem: Problem, responses: list[dict[str, Any]]) -> Problem:
    """The refusal with each place in the words of the form: `phq-9.2` for the second answer of the first response."""
    problem.errors = tuple(
        replace(fault, name=_in_words_of_the_form(fault.name, responses)) for fault in problem.errors
    )
    return problem


def _in_words_of_the_form(name: str, responses: list[dict[str, Any]]) -> str:
    place = _PLACE.fullmatch(name)
    if place is None or int(place[1]) >= len(responses):
        return name
    item = "total" if place[2] is None else str(int(place[2]) + 1)
    return f"{responses[int(place[1])]['instrument']}.{item}"


def patient_content(form: Form) -> dict[str, Any]:
    """A patient as a form says them, with every field; blank is null or empty. Raises Invalid."""
    primaries = {name.removeprefix("primary."): value for name, value in form.items() if name.startswith("primary.")}
    return {
        "external_id": form.get("external_id", ""),
        "label": form.get("label"),
        "birth_year": form.number("birth_year"),
        "indications": form.every("indications"),
        "failed_treatments": form.every("failed_treatments"),
        "failed_antidepressant_trials": form.number("failed_antidepressant_trials"),
        "primary_instruments": primaries,
        "care_status": form.get("care_status", "active"),
        "care_team": form.every("care_team"),
    }


def patient_content_shown(form: Form) -> dict[str, Any]:
    """What was typed of a patient, to be shown once more, right or wrong."""
    try:
        return patient_content(form)
    except Invalid:
        blank = form.without(_PATIENT_NUMBERS)
        return {**patient_content(blank), **{name: form.get(name) for name in _PATIENT_NUMBERS}}


def plan_rows(plan: PlanOut, form: Form | None) -> list[dict[str, str]]:
    """The rows of a plan's form: as they were typed, or as the plan stands with some blank ones below."""
    if form is not None:
        names = {name for row in range(_MOST_PLAN_ROWS) for name in (f"instruments.{row}", f"offset.{row}")}
        last = max((int(name.rpartition(".")[2]) for name in names if name in form), default=-1)
        return [{name: form.get(f"{name}.{row}", "") for name in _PLAN} for row in range(last + 1)] + _blank_rows()
    stand = [
        {
            "after": item.after,
            **{name: getattr(item, name)[1:-1] for name in _SPANS},
            "instruments": " ".join(item.instruments),
        }
        for item in plan.items
    ]
    return stand + _blank_rows()


def plan_confirms(plan: PlanOut, form: Form | None) -> bool:
    """Whether the box of one more reading is ticked: as it was left, or as the plan stands."""
    return bool(plan.confirm) if form is None else form.get("confirm") == "yes"


def _blank_rows() -> list[dict[str, str]]:
    usual = {"after": "session", "offset": "", "window": "2", "early": "1", "instruments": ""}
    return [usual] * _NEW_PLAN_ROWS


def plan_items(form: Form) -> list[dict[str, Any]]:
    """The rows of a plan that ask for an instrument. Raises Invalid."""
    found = []
    for row in range(_MOST_PLAN_ROWS):
        codes = form.get(f"instruments.{row}", "").replace(",", " ").split()
        if not codes:
            continue
        days = {name: form.number(f"{name}.{row}") for name in _SPANS}
        if any(value is None or value != int(value) for value in days.values()):
            raise Invalid(errors=[Fault("pointer", f"/items/{row}", "needs whole days")])
        spans = {name: f"P{int(value or 0)}D" for name, value in days.items()}
        found.append({"after": form.get(f"after.{row}", "session"), **spans, "instruments": codes})
    return found
