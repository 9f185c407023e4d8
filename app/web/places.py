"""Where in a form a rule is broken, in the words of the form."""

import re

from app.instruments import INSTRUMENTS
from app.speech import message as _
from app.web.words import Gettext, instrument

# What the fields of a form are called on it.
_FIELDS = {
    "external_id": _("Number in your system"),
    "label": _("Label"),
    "birth_year": _("Year of birth"),
    "failed_antidepressant_trials": _("Failed antidepressant trials"),
    "taken_at": _("Filled in at"),
    "started_at": _("Start"),
    "ended_at": _("End"),
    "dose_mg": _("Dose in mg"),
    "dose_mg_per_kg": _("Dose in mg per kg"),
    "weight_kg": _("Weight in kg"),
    "reason": _("Why"),
    "otp": _("Code"),
    "code": _("Code"),
    "password": _("Password"),
    "current_password": _("Current password"),
    "crisis_contacts": _("Crisis contacts"),
    "alert_recipients": _("Who is told of urgent alerts"),
    "vitals": _("Vital signs"),
    "side_effects": _("Side effects"),
    "responses": _("Scores"),
    "score": _("Score"),
    "answers": _("Answers"),
    "instrument": _("Instrument"),
    "instruments": _("Instruments"),
    "name": _("Name"),
    "contact": _("whom to call"),
    "smallest_group": _("Smallest group that is shown to those who may not see patients"),
    "offset": _("Days later"),
    "window": _("Days to answer"),
    "early": _("Days early"),
    "minutes": _("Minutes"),
    "systolic": _("Systolic"),
    "diastolic": _("Diastolic"),
    "heart_rate": _("Heart rate"),
    "spo2": _("Oxygen saturation"),
    "disposition": _("What was done"),
    "note": _("Note"),
    "notes": _("Notes"),
    "actor": _("Who"),
    "patient_id": _("Patient"),
    "indications": _("Conditions"),
    "failed_treatments": _("Treatments that failed"),
    "primary_instruments": _("Instruments that answer"),
    "care_status": _("Care"),
    "care_team": _("Care team"),
    "merged_into": _("goes on in another record"),
    "aliases": _("records that go on in this one"),
    "item": _("Item"),
    "items": _("Plan"),
    "email": _("E-mail"),
    "url": _("Address"),
    "events": _("What it is told"),
    "scope": _("What it may do"),
    "file": _("File"),
    "on": _("Day"),
    "as_of": _("On the day"),
    "known_on": _("As it was known on"),
}
_ITEM = _("Item %(number)s")
_ROW = _("row %(row)s")
_TOTAL = _("Total")
_ANSWER = re.compile(r"/responses/\d+/answers/(\d+)")
_OF_INSTRUMENT = re.compile(r"/?([a-z0-9-]+)\.(\d+|total)")
_IN_ROW = re.compile(r"/?([a-z_]+)\.(\d+)")


def place(gettext: Gettext, pointer: str) -> str:
    """Where in a form a rule is broken, in the words of the form: `/responses/0/answers/1` is item 2. Empty for the
    form as a whole."""
    answer, row, mine = _ANSWER.fullmatch(pointer), _IN_ROW.fullmatch(pointer), _OF_INSTRUMENT.fullmatch(pointer)
    if answer is not None:
        return gettext(_ITEM) % {"number": int(answer[1]) + 1}
    if mine is not None and mine[1] in INSTRUMENTS:
        item = gettext(_TOTAL) if mine[2] == "total" else gettext(_ITEM) % {"number": mine[2]}
        return f"{instrument(gettext, mine[1])}, {item}" if INSTRUMENTS[mine[1]].items else instrument(gettext, mine[1])
    if row is not None:
        return f"{_field(gettext, row[1])}, {gettext(_ROW) % {'row': int(row[2]) + 1}}"
    parts = [part for part in pointer.split("/") if part]
    shown = [str(int(part) + 1) if part.isdigit() else _field(gettext, part) for part in parts]
    return ", ".join(shown)


def _field(gettext: Gettext, name: str) -> str:
    return gettext(_FIELDS[name]) if name in _FIELDS else name.replace("_", " ")
