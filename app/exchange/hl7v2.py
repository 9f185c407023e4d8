"""Messages of HL7 version 2 (ORU) as rows, one for each OBX segment. The package `hl7`, an extra of the service
(`holdfast[hl7]`), takes segments apart; which field is read, and how a time is spelt, is here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

Row = tuple[int, Mapping[str, Any]]
# Two quotation marks delete a value (2.5.3.6 of the standard): of a new answer nothing is left.
_DELETED = '""'
_TIME = re.compile(r"(?a)(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,4}))?)?)?([+-]\d{4})?")
_ZONE = re.compile(r"[+-]\d{4}$")
_CODED = ("CE", "CWE", "CNE")
# Of several identifiers of a patient, the one of this type is the clinic's own (HL7 table 0203).
_OWN_NUMBER = "MR"


def observations(segments: Iterable[str]) -> Iterator[Row]:
    """Each OBX of some segments, with the patient (PID-3: the repetition of type MR, else the first), the message
    (MSH-10), its code (OBX-3; LOINC's, where it is the alternate one), type, value, unit, status and time: one for all
    results of an order, OBR-7, else the first OBX-14, else MSH-7, so that the items of a questionnaire come together.
    A zone that stands in MSH-7 alone is that of all times of the message. Blank and deleted values are None."""
    library = import_module("hl7")
    head, message = "", _Message(None, None)
    patient: str | None = None
    ordered: str | None = None
    for number, line in enumerate(segments, start=1):
        segment = line.strip("\x0b\x1c ")
        name = segment[:3]
        if name == "MSH":
            head, patient, ordered = segment, None, None
            parsed = library.parse(segment)
            message = _Message(_of(parsed, 0, 10), _of(parsed, 0, 7))
        elif head and name in ("PID", "OBR", "OBX"):
            parsed = library.parse(f"{head}\r{segment}")
            if name == "PID":
                patient, ordered = _patient(parsed), None
            elif name == "OBR":
                ordered = _of(parsed, 1, 7)
            else:
                ordered = ordered or _of(parsed, 1, 14)
                yield number, _observation(parsed, patient, message, ordered)


class _Message:
    """What all segments of a message share: its id, when it was sent, and the zone that stands there."""

    def __init__(self, message_id: str | None, sent: str | None) -> None:
        zone = _ZONE.search(sent or "")
        self.id, self.sent, self.zone = message_id, sent, zone[0] if zone is not None else ""


def _observation(parsed: Any, patient: str | None, message: _Message, ordered: str | None) -> dict[str, Any]:
    kind = _of(parsed, 1, 2)
    code, system, alternate, other_system = (_of(parsed, 1, 3, part) for part in (1, 3, 4, 6))
    if system != "LN" and other_system == "LN":
        code, system = alternate, other_system
    return {
        "patient": patient,
        "message": message.id,
        "code": code,
        "system": system,
        "type": kind,
        "value": _of(parsed, 1, 5, 1) if kind in _CODED else _of(parsed, 1, 5),
        "unit": _of(parsed, 1, 6, 1),
        "status": _of(parsed, 1, 11),
        "at": _time(ordered or message.sent, message.zone),
    }


def _patient(parsed: Any) -> str | None:
    """PID-3: which of a patient's numbers is the clinic's own."""
    repetitions = len(parsed[1][3]) if len(parsed[1]) > 3 else 0
    numbers = [(_of(parsed, 1, 3, 1, r), _of(parsed, 1, 3, 5, r)) for r in range(repetitions)]
    return next((number for number, kind in numbers if kind == _OWN_NUMBER), numbers[0][0] if numbers else None)


def _of(parsed: Any, segment: int, field: int, component: int | None = None, repetition: int = 0) -> str | None:
    """A field, or a component of it, unescaped once; None for a blank or a deleted one."""
    try:
        found = parsed[segment][field]
        if component is not None:
            repeated = found[repetition]
            # A repetition without components is the text itself.
            found = repeated[component - 1] if not isinstance(repeated, str) else repeated if component == 1 else ""
    except IndexError:
        return None
    raw = str(found)
    return None if raw in ("", _DELETED) else str(parsed.unescape(raw))


def _time(spelt: str | None, zone: str) -> str | None:
    """A time as ISO 8601 spells it, with its zone where it has one; anything else as it is, to be refused."""
    found = _TIME.fullmatch(spelt or "")
    if found is None:
        return spelt
    year, month, day, hour, minute, second, fraction, own_zone = found.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    return f"{year}-{month}-{day} {hour}:{minute}:{second or '00'}.{fraction or '0'}{own_zone or zone}"
