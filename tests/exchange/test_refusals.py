"""What a file cannot say is refused with the line, the column and the rule; what was left half done is forgotten."""

import json
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pandas
import pytest

from app import clock, work
from app.exchange import reading, service, store
from app.exchange.reading import HL7, SAV, XLSX
from app.sessions import service as sessions
from app.storage import Database
from tests.conftest import Api, new_clinic
from tests.exchange.files import CSV, NDJSON, counted, exported, imported, rows, sent

Mapping = dict[str, Any]
_AT = "2026-03-01T10:00:00Z"
_TOTALS: Mapping = {
    "zone": "UTC", "patient": {"column": "mrn"}, "date": {"column": "at"},
    "scores": [{"instrument": "phq-9", "total": "phq"}],
}  # fmt: skip


def workbook(*lines: list[Any]) -> bytes:
    book, out = openpyxl.Workbook(), BytesIO()
    sheet: Any = book.active
    for line in lines:
        sheet.append(line)
    book.save(out)
    return out.getvalue()


def refused(
    api: Api, database: Database, content: str | bytes, media_type: str = CSV, mapping: Mapping | None = None
) -> tuple[int, str | None, str]:
    """Where the first fault of a file is, and the rule."""
    named = {}
    if mapping is not None:
        answer = api.request("PUT", "/v1/imports/mappings/mine", json=mapping)
        assert answer.status_code == 200, answer.text
        named = {"mapping": "mine"}
    [first, *_] = imported(api, database, content, media_type, "refused", **named)["problems"]
    return first["line"], first["column"], first["rule"]


@pytest.mark.parametrize(("media_type", "content", "rule"), [
    (XLSX, b"PK\x03\x04 and no workbook", "must be a workbook"),
    (XLSX, workbook([None], [1]), "must begin with the names of the columns"),
    (SAV, b"$FL2 and nothing of SPSS", "must be a file of SPSS"),
    (HL7, b"PID|1\r", "must hold messages of HL7"),
    (HL7, b"MSH|^~\\&|" + b"x" * 1_100_000, "more than 1 MiB"),
    (NDJSON, b"[1]\n", "must be one JSON object"),
    (NDJSON, b'{"a": 1, "a": 2}\n', "without a repeated name"),
    (CSV, b"external_id,\0\nx,y\n", "must be text in UTF-8"),
    (CSV, ",".join(f"c{n}" for n in range(2_001)).encode() + b"\n", "more than 2000 columns"),
    (CSV, b"external_id,taken_at,instrument,score\nx,y,z,\xff\n", "must be text in UTF-8"),
])  # fmt: skip
def test_a_file_that_is_no_such_file_is_refused(
    api: Api, database: Database, media_type: str, content: bytes, rule: str
) -> None:
    assert rule in refused(api, database, content, media_type)[2]


@pytest.mark.parametrize(("cells", "change", "column", "rule"), [
    ([date(2026, 3, 1), 5], {"patient": {"column": "at"}}, "at", "must not be a date"),
    ([date(2026, 3, 1), 5], {}, "at", "must have a time of day"),
    ([True, 5], {}, "at", "must be a date"),
    ([5, 5], {"date": {"column": "at", "format": "unix"}}, "at", "must be seconds since 1970"),
    (["1 March", 5], {"date": {"column": "at", "format": "%d.%m.%Y", "time": "09:00"}}, "at", "mapping's format"),
    (["2026-03-01 09:00", "high"], {}, "phq", "must be a number"),
    (["2026-03-01 09:00", 5], {"id": "none"}, "none", "must tell one submission from another"),
    (["2026-03-01 09:00", 5], {"sheet": "Scores"}, None, "must have the sheet that the mapping names"),
    ([None, 5], {}, "at", "must say when it was answered"),
])  # fmt: skip
def test_a_cell_of_a_workbook_is_refused_by_its_column(
    api: Api, database: Database, cells: list[Any], change: Mapping, column: str | None, rule: str
) -> None:
    api.patient(external_id="A1")
    content = workbook(["mrn", "at", "phq", "none"], ["A1", *cells, None])
    _, found, said = refused(api, database, content, XLSX, _TOTALS | change)
    assert found == column
    assert rule in said


def test_a_time_of_day_in_a_workbook_is_read(api: Api, database: Database) -> None:
    api.patient(external_id="A1")
    mapping = _TOTALS | {"date": {"column": "at", "time_column": "hour"}}
    assert api.request("PUT", "/v1/imports/mappings/mine", json=mapping).is_success
    at = datetime(2026, 3, 1)  # noqa: DTZ001 - a workbook has no zone
    content = workbook(["mrn", "at", "hour", "phq", None], ["A1", at, datetime(2026, 3, 1, 9, 30).time(), 5])  # noqa: DTZ001
    imported(api, database, content, XLSX, mapping="mine")
    assert rows(exported(api, "scores.csv"))[0]["taken_at"] == "2026-03-01T09:30:00.000000Z"


@pytest.mark.parametrize(("wrong", "place"), [
    ({"scores": [{"instrument": "phq-9"}]}, "/scores/0"),
    ({"scores": [{"instrument": "phq-9", "items": "q"}]}, "/scores/0"),
    ({"sessions": [{"date": {"column": "at"}, "columns": {"vitals": "v"}}]}, "/sessions/0"),
    ({"long": {"code": "c", "value": "v", "codes": {"x": {"instrument": "phq-9", "item": 10}}}}, "/long/codes/x"),
    ({"long": {"codes": {}}}, "/long/code"),
    ({"patient": {}}, "/patient/column"),
    ({"extends": "paper"}, "/extends"),
])  # fmt: skip
def test_a_mapping_that_cannot_be_used_is_refused_by_its_place(api: Api, wrong: Mapping, place: str) -> None:
    answer = api.request("PUT", "/v1/imports/mappings/mine", json=_TOTALS | wrong)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, place), answer.text


def test_ids_of_other_records_are_refused(api: Api, database: Database) -> None:
    one, two = api.patient(external_id="A1"), api.patient(external_id="A2")
    session = api.session(one, _AT)["id"]
    check_in = api.check_in(one, "2026-03-02T10:00:00Z", "nrs-pain", 5)["id"]
    scores = "patient_id,check_in_id,session_id,taken_at,instrument,score\n"
    for content, column, rule in (
        (f"{scores}{two},{check_in},,2026-03-02T10:00:00Z,nrs-pain,5\n", "check_in_id", "other content"),
        (f"{scores}{one},{check_in},,2026-03-02T10:00:00Z,nrs-pain,6\n", "check_in_id", "other content"),
        (f"{scores}{two},,{session},2026-03-03T10:00:00Z,nrs-pain,5\n", "session_id", "a session of this patient"),
        (f"{scores}{one},{uuid4()},,2026-03-03 10:00:00,nrs-pain,5\n", "taken_at", "must have a zone"),
        (f"patient_id,session_id,started_at\n{two},{session},{_AT}\n", "session_id", "other content"),
        (f"patient_id,session_id,started_at\n{one},{session},2026-03-09T10:00:00Z\n", "session_id", "other content"),
        (f"patient_id,session_id,started_at\n{one},{uuid4()},2026-03-09 10:00:00\n", "started_at", "must have a zone"),
        (f"patient_id,external_id\n{one},B1\n", "external_id", "other content"),
        (f"patient_id,external_id,birth_year\n{one},A1,1990\n", "birth_year", "other content"),
        (f"patient_id,external_id\n{uuid4()},B1\n{uuid4()},b1\n", "external_id", "unique in the clinic"),
        (f"patient_id,label\n{one},x\n", None, "must have the columns of an export"),
        (f"patient_id,external_id\n{one},\n", "external_id", "is required"),
    ):
        _, found, said = refused(api, database, content)
        assert (found, rule in said) == (column, True), (content, found, said)


def test_sessions_that_differ_in_any_field_are_no_repeat(api: Api, database: Database) -> None:
    patient = api.patient(external_id="A1")
    api.session(patient, _AT, dose_mg=40, notes="calm", vitals=[{"at": _AT, "systolic": 120, "diastolic": 80}])
    line = json.loads(exported(api, "sessions.ndjson"))
    changes: tuple[Mapping, ...] = (
        {"dose_mg": 41.0},
        {"notes": "not calm"},
        {"notes": None},
        {"vitals": []},
        {"lot": "7"},
    )
    for change in changes:
        problem = refused(api, database, json.dumps(line | change) + "\n", NDJSON)
        assert "other content" in problem[2], change
    assert counted(imported(api, database, json.dumps(line | {"notes": " calm "}) + "\n", NDJSON)) == {"unchanged": 1}


def test_external_ids_that_became_numbers_are_known_by_the_id_beside_them(api: Api, database: Database) -> None:
    """Where every external id looks like a number, pandas and others make numbers of all of them."""
    for external_id in ("0042", "007"):
        api.check_in(api.patient(external_id=external_id), _AT, "nrs-pain", 5)
    for name in ("patients", "scores"):
        frame = pandas.read_csv(BytesIO(exported(api, f"{name}.csv").encode()))
        assert frame["external_id"].dtype == "int64"
        assert set(counted(imported(api, database, frame.to_csv(index=False)))) == {"unchanged"}
        changed = frame.to_csv(index=False).replace(",42,", ",43,")
        if name == "patients":
            assert refused(api, database, changed)[1] == "external_id"


def test_a_void_of_which_nothing_else_is_known_is_skipped(api: Api, database: Database) -> None:
    patient = api.patient(external_id="A1")
    line = {"patient_id": patient, "check_in_id": str(uuid4()), "taken_at": _AT, "instrument": None, "status": "voided"}
    assert counted(imported(api, database, json.dumps(line) + "\n", NDJSON)) == {"skipped": 1}


def test_patients_changed_since_an_instant_are_exported(api: Api) -> None:
    api.patient(external_id="A1")
    since = (clock.now() + timedelta(hours=1)).isoformat()
    assert rows(exported(api, "patients.csv", since=since)) == []
    assert len(rows(exported(api, "patients.csv", since=_AT))) == 1


def test_a_clinic_has_ten_open_imports_at_most(api: Api, database: Database) -> None:
    for _ in range(10):
        sent(api, "external_id\nA1\n")
    headers = {"Content-Type": CSV}
    answer = api.request("POST", "/v1/imports", content=b"external_id\nA1\n", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_imports")
    other = new_clinic(api.server)
    sent(other, "external_id\nA1\n")
    page = api.get("/v1/imports", params={"limit": 4}).json()
    rest = api.get("/v1/imports", params={"limit": 50, "cursor": page["next_cursor"]}).json()["items"]
    assert len({one["id"] for one in [*page["items"], *rest]}) == 10


def test_a_clinic_keeps_two_hundred_mappings_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_MOST_MAPPINGS", 2)
    answers = [api.request("PUT", f"/v1/imports/mappings/m{n}", json=_TOTALS) for n in (1, 2, 1, 3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 409]
    assert answers[-1].json()["code"] == "too_many_mappings"
    assert api.request("DELETE", "/v1/imports/mappings/m3").status_code == 404


def test_a_file_that_did_not_come_whole_is_forgotten_after_a_day(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = sent(api, "external_id\nA1\n")
    database.writing(api.clinic_id, lambda db: _set_state(db, api.clinic_id, UUID(kept["id"]), "receiving"))
    work.expire(database)
    assert len(api.get("/v1/imports").json()["items"]) == 1, "it may still be coming"
    later = clock.now() + timedelta(days=2)
    database.writing(api.clinic_id, lambda db: service.purge(db, api.clinic_id, later))
    assert api.get("/v1/imports").json()["items"] == []
    assert database.reading(api.clinic_id, lambda db: store.piece(db, api.clinic_id, UUID(kept["id"]), 0)) is None


def test_pieces_of_an_ended_import_are_forgotten(api: Api, database: Database) -> None:
    found = sent(api, "external_id\nA1\n")
    import_id = UUID(found["id"])
    database.writing(api.clinic_id, lambda db: _set_state(db, api.clinic_id, import_id, "cancelled"))
    work.expire(database)
    assert database.reading(api.clinic_id, lambda db: store.piece(db, api.clinic_id, import_id, 0)) is None


def _set_state(db: Any, clinic_id: UUID, import_id: UUID, state: str) -> None:
    found = store.find(db, clinic_id, import_id, lock=True)
    assert found is not None
    found.state, found.ended_at = state, None if state == "receiving" else clock.now()
    db.add(found)


def test_a_kind_of_file_whose_reader_is_not_installed_is_refused_by_name(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(reading.EXTRAS, HL7, ("hl7", "a_package_that_is_not_there"))
    answer = api.request("POST", "/v1/imports", content=b"MSH|", headers={"Content-Type": HL7})
    assert answer.status_code == 415
    assert "holdfast[hl7]" in answer.json()["detail"]


def test_lines_that_disagree_about_one_record_are_refused(api: Api, database: Database) -> None:
    one = api.patient(external_id="A1")
    form, session = uuid4(), uuid4()
    scores = "patient_id,check_in_id,session_id,taken_at,before_infusion,instrument,score\n"
    first = f"{one},{form},,{_AT},false,nrs-pain,5\n"
    for content, rule in (
        (f"{scores}{first}{one},{form},,2026-03-01T10:00:01Z,false,nrs-mood,5\n", "the same on every line"),
        (f"{scores}{first}{one},{form},,{_AT},true,nrs-mood,5\n", "the same on every line"),
        (f"{scores}{first}{one},{form},,{_AT},false,nrs-pain,6\n", "twice with other content"),
        (f"patient_id,session_id,started_at,dose_mg\n{one},{session},{_AT},40\n{one},{session},{_AT},41\n",
         "must not name a session twice"),
        ("external_id,birth_year\nB1,1980\nB1,1981\n", "must not name a patient twice"),
    ):  # fmt: skip
        line, _, said = refused(api, database, content)
        assert (line, rule in said) == (3, True), (content, said)
    again = imported(api, database, f"{scores}{first}{first}")
    assert counted(again) == {"check_ins": 1, "scores": 1}, "a line that comes twice says nothing new"
    twice = f"patient_id,session_id,started_at\n{one},{session},{_AT}\n{one},{session},{_AT}\n"
    assert counted(imported(api, database, twice)) == {"sessions": 1}


def test_a_record_that_cannot_be_recorded_is_left_out_alone(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in one record leaves the others as they are, and is listed without a value."""
    one, two = api.patient(external_id="A1"), api.patient(external_id="A2")
    real = sessions.record

    def failing(db: Any, caller: Any, act: Any, patient_id: UUID, *more: Any) -> Any:
        if patient_id == UUID(one):
            raise RuntimeError("a fault with a value 4711 in it")
        return real(db, caller, act, patient_id, *more)

    monkeypatch.setattr(sessions, "record", failing)
    content = f"patient_id,started_at\n{one},{_AT}\n{two},{_AT}\n"
    ended = imported(api, database, content)
    assert counted(ended) == {"sessions": 1, "left_out": 1}
    assert [problem["line"] for problem in ended["problems"]] == [2]
    assert "4711" not in json.dumps(ended)
