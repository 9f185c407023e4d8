"""Lines of our own layout, as exports write it and as other tools write it back."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.api.faults import faults_of
from app.exchange import cells
from app.exchange.assembling import check, settled
from app.exchange.cells import CellError
from app.exchange.columns import COLUMNS, What
from app.exchange.items import (
    CHECK_INS,
    PATIENTS,
    SESSIONS,
    Fragment,
    Keyed,
    LineProblem,
    Moment,
    PatientItem,
    Response,
    SessionItem,
    SessionVersion,
    Whose,
    in_time,
    keyed,
)
from app.instruments import INSTRUMENTS
from app.patients.models import PatientIn
from app.sessions.models import SessionIn

# What R writes where nothing stood.
_NOTHING = "NA"
# A session is stored by these; the others say whose it is, or are made.
_OF_SESSION = tuple(name for name in SessionIn.model_fields if name != "id")
_OF_PATIENT = tuple(name for name in PatientIn.model_fields if name not in ("id", "care_team"))
_MOST_VERSIONS = 100_000
# Of what went on in another record, this one keeps nothing: there it is a record of its own.
_ENDED = ("voided", "moved")


class OwnLayout:
    """Reads the lines of a file that holds scores, sessions or patients in our own layout."""

    def __init__(self, what: What) -> None:
        self._what = what
        known = {column.name: column for column in COLUMNS[what]}
        self._known = frozenset(known)
        # Of JSON each line has members of its own; cells of CSV that are not there are blank.
        self._reads = {name: column.read for name, column in known.items() if column.read is not None}
        self._moments = {name for name, column in known.items() if column.type == "instant"}
        self.skipped = self.dropped = 0

    def fragments(self, line: int, row: Mapping[str, Any]) -> Iterator[Keyed]:
        """The fragments of one line. Raises LineProblem."""
        if any(name and name not in self._known for name in row):
            raise LineProblem(line, None, "has a column that this layout does not know")
        said = {name: self._read(line, name, row[name]) for name in self._reads if name in row}
        whose = _whose(line, said)
        match self._what:
            case "scores":
                keyed_one, is_dropped = _score(line, said, whose)
                self.dropped += is_dropped
                yield keyed_one
            case "sessions":
                yield _session(line, said, whose)
            case "patients":
                yield _patient(line, said, whose)

    def _read(self, line: int, name: str, cell: Any) -> Any:
        if cell == _NOTHING and name not in ("external_id", "label"):
            cell = None
        try:
            if name == "external_id":
                return _external_id(cell)
            return _moment(cell) if name in self._moments else self._reads[name](cell)
        except CellError as error:
            raise LineProblem(line, name, str(error)) from None


def _moment(cell: Any) -> Moment | None:
    """An instant; of one without a zone its reading, which stands for UTC, as exports write it."""
    if isinstance(cell, datetime) and cell.tzinfo is None:
        return Moment(cell.replace(tzinfo=UTC), naive=True)
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return Moment(datetime(cell.year, cell.month, cell.day, tzinfo=UTC), naive=True)
    try:
        found = cells.moment(cell)
    except CellError:
        naive = cells.naive(cell)
        if naive is None:
            raise
        return Moment(naive.replace(tzinfo=UTC), naive=True)
    return None if found is None else Moment(found)


def _external_id(cell: Any) -> tuple[str, bool] | None:
    """The external id, and whether it came as text: a number is one that a spreadsheet made of it."""
    if cells.is_blank(cell):
        return None
    try:
        found = cells.text(cell)
    except CellError:
        return str(cell), False
    return None if found is None else (found.strip(), True)


def _whose(line: int, said: Mapping[str, Any]) -> Whose:
    external_id, is_text = said.get("external_id") or (None, True)
    patient_id: UUID | None = said.get("patient_id")
    if patient_id is None and external_id is None:
        raise LineProblem(line, "patient_id", "must name the patient, by patient_id or external_id")
    if patient_id is None and not is_text:
        raise LineProblem(line, "external_id", "must be text: a spreadsheet has made a number or a date of it")
    return Whose(patient_id, external_id, is_text, "patient_id" if patient_id is not None else "external_id")


def _needed(line: int, said: Mapping[str, Any], name: str) -> Any:
    if said.get(name) is None:
        raise LineProblem(line, name, "is required")
    return said[name]


def _version(line: int, said: Mapping[str, Any]) -> int:
    version: int = said.get("version") or 1
    if not 1 <= version <= _MOST_VERSIONS:
        raise LineProblem(line, "version", f"must be from 1 to {_MOST_VERSIONS}")
    return version


def _instant(moment: Moment | None) -> datetime | None:
    return None if moment is None else moment.at


def _score(line: int, said: Mapping[str, Any], whose: Whose) -> tuple[Keyed, bool]:
    """The fragment of a line, and whether a total was not kept."""
    taken_at: Moment = _needed(line, said, "taken_at")
    status = said.get("status") or "recorded"
    check_in_id: UUID | None = said.get("check_in_id")
    if taken_at.naive and check_in_id is None:
        raise LineProblem(line, "taken_at", "must have a zone, such as Z or -05:00")
    response, total = None, said.get("score")
    if status not in _ENDED:
        code = _needed(line, said, "instrument")
        answers, kept = said.get("answers"), total
        column = "score" if answers is None else "answers"
        if answers is not None and None in answers and total is not None:
            check(Response(code, answers, None, line, column))
            answers, kept = settled(INSTRUMENTS[code], answers, total, line, "score")
            if answers is None and kept is None:
                raise LineProblem(line, "score", "a total of blanks alone is no score")
        response = Response(code, answers, kept, line, column)
        check(response)
    version = _version(line, said)
    fragment = Fragment(
        whose,
        check_in_id,
        version,
        line,
        taken_at,
        said.get("session_id"),
        said.get("before_infusion"),
        "voided" if status in _ENDED else status,
        said.get("reason"),
        _instant(said.get("recorded_at")),
        response,
    )
    group = check_in_id.hex if check_in_id is not None else in_time(taken_at.at)
    is_dropped = response is not None and total is not None and response.score is None
    return keyed(CHECK_INS, whose, group, version, line, fragment), is_dropped


def _session(line: int, said: Mapping[str, Any], whose: Whose) -> Keyed:
    session_id: UUID | None = said.get("session_id")
    body: dict[str, Any] = {}
    naive = False
    _needed(line, said, "started_at")
    for name in _OF_SESSION:
        value = said.get(name)
        if value == "moved":
            value = "entered_in_error"
        if isinstance(value, Moment):
            naive, value = naive or value.naive, value.at
        if value is not None:
            body[name] = value
    if naive and session_id is None:
        raise LineProblem(line, "started_at", "must have a zone, such as Z or -05:00")
    content = checked_session(line, body, {})
    version = _version(line, said)
    one = SessionVersion(version, line, content, said.get("reason"), _instant(said.get("recorded_at")), naive)
    group = session_id.hex if session_id is not None else in_time(body["started_at"])
    return keyed(SESSIONS, whose, group, version, line, SessionItem(whose, session_id, [one]))


def checked_session(line: int, body: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The content of a session as it is stored. `columns`: by field, the column that it stands in. Raises
    LineProblem."""
    found: SessionIn = _checked(line, SessionIn, body, columns)
    return found.model_dump(mode="json", exclude={"id"})


def _patient(line: int, said: Mapping[str, Any], whose: Whose) -> Keyed:
    if whose.external_id is None:
        raise LineProblem(line, "external_id", "is required")
    body = {name: said[name] for name in _OF_PATIENT if said.get(name) is not None}
    body["external_id"] = whose.external_id
    return keyed(PATIENTS, whose, "", 1, line, PatientItem(whose, line, checked_patient(line, body, {})))


def checked_patient(line: int, body: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The content of a patient as it is stored: what the line says. `columns`: by field, the column that it stands in.
    Raises LineProblem."""
    found: PatientIn = _checked(line, PatientIn, body, columns)
    return found.model_dump(mode="json", exclude={"id", "care_team"}, exclude_unset=True)


def _checked(line: int, model: Any, body: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fault = faults_of(error.errors())[0]
        field = fault.name.strip("/").split("/")[0]
        raise LineProblem(line, columns.get(field, field) or None, fault.detail) from None
