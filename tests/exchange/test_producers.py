"""What the field's tools really send, each read rightly or refused with why. The numbers are those of the traps in the
list of what producers send; values are made up."""

import json
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pyreadstat
import pytest

from app.exchange.reading import HL7, SAV, XLSX, XPT
from app.exchange.resolving import ready
from app.storage import Database
from tests.conftest import Api
from tests.exchange.files import NDJSON, counted, imported

_ITEMS = [2, 1, 0, 3, 1, 2, 1, 0, 1]
_TOTAL = sum(_ITEMS)
_ZONE = {"zone": "America/New_York"}
_WIDE: dict[str, Any] = {
    **_ZONE,
    "patient": {"column": "mrn"},
    "date": {"column": "at"},
    "scores": [{"instrument": "phq-9", "items": "q{item}", "total": "total"}],
}
_HEAD = "mrn,at," + ",".join(f"q{n}" for n in range(1, 10)) + ",total\n"


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient(external_id="0042")


def keep(api: Api, **mapping: Any) -> None:
    answer = api.request("PUT", "/v1/imports/mappings/mine", json=mapping)
    assert answer.status_code == 200, answer.text


def read(
    api: Api, database: Database, mapping: dict[str, Any], content: str | bytes, media_type: str = "text/csv",
    state: str = "done",
) -> dict[str, Any]:  # fmt: skip
    keep(api, **mapping)
    return imported(api, database, content, media_type, state, mapping="mine")


def check_ins(api: Api, patient: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    return found[::-1]


def the_score(api: Api, patient: str) -> dict[str, Any]:
    [check_in] = check_ins(api, patient)
    [score] = check_in["scores"]
    assert isinstance(score, dict)
    return {"taken_at": check_in["taken_at"], **score}


def wide(*cells: Any, at: str = "2026-03-01 10:00", total: Any = "") -> str:
    return _HEAD + ",".join(map(str, ("0042", at, *cells, total))) + "\n"


def refused(found: dict[str, Any]) -> tuple[int, str | None]:
    [problem] = found["problems"]
    return problem["line"], problem["column"]


def test_trap_1_eight_items_and_a_total_leave_self_harm_unknown(api: Api, database: Database, patient: str) -> None:
    found = read(api, database, _WIDE, wide(*_ITEMS[:8], "", total=10))
    assert found["counts"]["totals_dropped"] == 1
    score = the_score(api, patient)
    assert (score["value"], score["complete"], score["self_harm_item"]) == (None, False, None)
    assert score["answers"] == [*_ITEMS[:8], None]


def test_trap_2_a_total_that_counts_blanks_is_refused(api: Api, database: Database, patient: str) -> None:
    found = read(api, database, _WIDE, wide(*_ITEMS[:6], "", "", 1, total=10), state="refused")
    assert refused(found) == (2, "total")
    assert check_ins(api, patient) == []


def test_trap_2_a_total_of_blanks_alone_is_no_relief(api: Api, database: Database, patient: str) -> None:
    found = read(api, database, _WIDE, wide(*[""] * 9, total=0))
    assert counted(found) == {"skipped": 1}
    assert check_ins(api, patient) == []


def test_a_total_without_items_is_a_total_alone(api: Api, database: Database, patient: str) -> None:
    read(api, database, _WIDE, wide(*[""] * 9, total="12.0"))
    score = the_score(api, patient)
    assert (score["value"], score["items_known"], score["self_harm_item"]) == (12, False, None)


def test_trap_3_a_blank_item_is_not_answered(api: Api, database: Database, patient: str) -> None:
    read(api, database, _WIDE, wide("", *_ITEMS[1:]))
    assert (the_score(api, patient)["value"], the_score(api, patient)["self_harm_item"]) == (None, 1)


def test_trap_4_healthkits_ninth_answer_of_four_is_declined(api: Api, database: Database, patient: str) -> None:
    def assessed(number: int, kind: str, answers: list[int]) -> str:
        harmonized = {"answers": answers, "score": sum(answers), "risk": 2}
        return json.dumps(
            {"patient": "0042", "uuid": f"u-{number}", "identifier": f"HKScoredAssessmentTypeIdentifier{kind}",
             "startTimestamp": 1740819600.0 + number, "harmonized": harmonized}
        )  # fmt: skip

    text = "\n".join([assessed(0, "PHQ9", [*_ITEMS[:8], 4]), assessed(1, "GAD7", [0, 1, 2, 3, 0, 1, 2])])
    assert counted(imported(api, database, text, NDJSON, mapping="healthkit")) == {"check_ins": 2, "scores": 2}
    phq, gad = check_ins(api, patient)
    assert (phq["scores"][0]["value"], phq["scores"][0]["self_harm_item"]) == (None, None)
    assert phq["scores"][0]["answers"] == [*_ITEMS[:8], None]
    assert (gad["scores"][0]["value"], gad["taken_at"]) == (9, "2025-03-01T09:00:01Z")
    wrong = assessed(2, "PHQ9", [4, *_ITEMS[1:]])
    found = imported(api, database, wrong, NDJSON, "refused", mapping="healthkit")
    assert refused(found) == (1, "harmonized.answers.1")


@pytest.mark.parametrize("code", ["99", "-99", "NaN", "NA", "[not completed]"])
def test_trap_5_a_code_is_missing_only_if_the_mapping_says_so(
    api: Api, database: Database, patient: str, code: str
) -> None:
    text = wide(*_ITEMS[:3], code, *_ITEMS[4:])
    assert refused(read(api, database, _WIDE, text, state="refused")) == (2, "q4")
    read(api, database, {**_WIDE, "missing": [code]}, text)
    assert the_score(api, patient)["answers"][3] is None


def test_trap_5_a_total_that_adds_a_code_is_refused(api: Api, database: Database, patient: str) -> None:
    text = wide(*_ITEMS[:8], 99, total=_TOTAL - 1 + 99)
    found = read(api, database, {**_WIDE, "missing": ["99"]}, text, state="refused")
    assert refused(found) == (2, "total")


def test_trap_6_a_total_comes_as_text_or_number(api: Api, database: Database, patient: str) -> None:
    for day, total in enumerate((_TOTAL, f"{_TOTAL}.0", f'"{_TOTAL}"'), start=1):
        read(api, database, _WIDE, wide(*_ITEMS, at=f"2026-03-0{day} 10:00", total=total))
    assert [one["scores"][0]["value"] for one in check_ins(api, patient)] == [_TOTAL] * 3
    assert refused(read(api, database, _WIDE, wide(*_ITEMS, at="2026-03-09 10:00", total=3), state="refused"))


def _cdisc(rows: list[tuple[str, Any, str]], name: str = "QSTESTCD") -> str:
    lines = [f"STUDYID,USUBJID,{name},QSORRES,QSSTRESN,QSSTAT,QSDTC"]
    lines += [f"S1,0042,{code},text,{value},{status},2026-03-01" for code, value, status in rows]
    return "\n".join(lines) + "\n"


def test_trap_7_cdisc_difficulty_is_no_item_and_the_total_is_phq0111(
    api: Api, database: Database, patient: str
) -> None:
    rows: list[tuple[str, Any, str]] = [(f"PHQ01{n:02d}", answer, "") for n, answer in enumerate(_ITEMS, start=1)]
    rows += [("PHQ0110", 3, ""), ("PHQ0111", _TOTAL, ""), ("CSS0101", 1, "")]
    mapping = {"extends": "cdisc-qs", **_ZONE, "date": {"column": "QSDTC", "time": "09:30"}}
    found = read(api, database, mapping, _cdisc(rows))
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}
    score = the_score(api, patient)
    assert (score["value"], score["answers"], score["taken_at"]) == (_TOTAL, _ITEMS, "2026-03-01T14:30:00Z")


def test_cdisc_not_done_is_not_answered_and_partial_dates_are_refused(
    api: Api, database: Database, patient: str
) -> None:
    mapping = {"extends": "cdisc-qs", **_ZONE, "date": {"column": "QSDTC", "time": "09:30"}}
    rows: list[tuple[str, Any, str]] = [(f"PHQ01{n:02d}", answer, "") for n, answer in enumerate(_ITEMS[:8], start=1)]
    read(api, database, mapping, _cdisc([*rows, ("PHQ0109", "", "NOT DONE")]))
    assert (the_score(api, patient)["value"], the_score(api, patient)["self_harm_item"]) == (None, None)
    partial = _cdisc(rows[:1]).replace("2026-03-01", "2026-03")
    assert refused(read(api, database, mapping, partial, state="refused")) == (2, "QSDTC")


def test_cdisc_comes_as_xport_too(api: Api, database: Database, patient: str, tmp_path: Path) -> None:
    codes = [f"PHQ01{n:02d}" for n in range(1, 10)]
    frame = pandas.DataFrame(
        {"USUBJID": ["0042"] * 9, "QSTESTCD": codes, "QSSTRESN": [float(n) for n in _ITEMS],
         "QSDTC": ["2026-03-01T10:00"] * 9}
    )  # fmt: skip
    pyreadstat.write_xport(frame, str(tmp_path / "qs.xpt"), table_name="QS", file_format_version=5)
    read(api, database, {"extends": "cdisc-qs", **_ZONE}, (tmp_path / "qs.xpt").read_bytes(), XPT)
    assert the_score(api, patient)["answers"] == _ITEMS


def test_trap_9_what_is_no_date_is_refused(api: Api, database: Database, patient: str) -> None:
    for at in ("1740823200", "2026-02-30 10:00", "true", "2026-13-01 10:00", "2026-03-01T10:00:00+25:00"):
        assert refused(read(api, database, _WIDE, wide(*_ITEMS, at=at), state="refused")) == (2, "at")
    own = "external_id,taken_at,instrument,score\n0042,1740823200,nrs-pain,3\n"
    assert refused(imported(api, database, own, state="refused")) == (2, "taken_at")
    for value in (True, "x", 2.5):
        line = json.dumps({"external_id": "0042", "taken_at": "2026-03-01T10:00:00Z", "instrument": "nrs-pain",
                           "score": value})  # fmt: skip
        assert refused(imported(api, database, line, NDJSON, "refused")) == (1, "score")


def test_trap_10_times_without_a_zone_need_one_and_doubtful_hours_are_named(
    api: Api, database: Database, patient: str
) -> None:
    without = {name: value for name, value in _WIDE.items() if name != "zone"}
    found = read(api, database, without, wide(*_ITEMS), state="refused")
    assert (refused(found), "zone" in found["problems"][0]["rule"]) == ((2, "at"), True)
    day = read(api, database, _WIDE, wide(*_ITEMS, at="2026-03-01"), state="refused")
    assert "time" in day["problems"][0]["rule"]
    never = read(api, database, _WIDE, wide(*_ITEMS, at="2026-03-08 02:30"), state="refused")["problems"][0]["rule"]
    assert "put forward" in never
    twice = read(api, database, _WIDE, wide(*_ITEMS, at="2025-11-02 01:30"), state="refused")["problems"][0]["rule"]
    assert "put back" in twice
    read(api, database, without, wide(*_ITEMS, at="2025-11-02T01:30:00-05:00"))
    assert the_score(api, patient)["taken_at"] == "2025-11-02T06:30:00Z"


_LOINC = ("44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8")
_LA = ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")


def _hl7(end: str, last: str = "LA6569-3", at: str = "20260301100000-0500", zone: str = "") -> str:
    answers = [*(_LA[n] for n in _ITEMS[:8]), last]
    segments = [
        f"MSH|^~\\&|SND|FAC|RCV|FAC|20260301100500{zone}||ORU^R01^ORU_R01|M1|P|2.5.1",
        "PID|1||N-9^^^NAT^NI~0042^^^CLINIC&1.2.3&ISO^MR||T^A",
        f"OBR|1|O1|F1|44249-1^p^LN|||{at}",
        *(
            f"OBX|{n}|CWE|{f'L{n}^x^L^{code}^y^LN' if n == 2 else f'{code}^y^LN'}||{answer}^a^LN||||||F"
            if answer != '""'
            else f'OBX|{n}|CWE|{code}^y^LN||""||||||F'
            for n, (code, answer) in enumerate(zip(_LOINC, answers, strict=True), start=1)
        ),
        "OBX|10|NM|69722-7^d^LN||2||||||F",
        "OBX|11|NM|44261-6^t^LN||27||||||P",
    ]
    return end.join(segments) + end


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_trap_11_and_12_hl7_by_code_whatever_ends_a_segment(
    api: Api, database: Database, patient: str, end: str
) -> None:
    found = imported(api, database, _hl7(end), HL7, mapping="hl7-oru")
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}  # the difficulty item; a preliminary total
    score = the_score(api, patient)
    assert (score["answers"], score["taken_at"]) == (_ITEMS, "2026-03-01T15:00:00Z")


def test_hl7_a_deleted_answer_is_none_and_the_zone_may_stand_in_the_header_alone(
    api: Api, database: Database, patient: str
) -> None:
    imported(api, database, _hl7("\r", '""', "202603011000", "-0500"), HL7, mapping="hl7-oru")
    score = the_score(api, patient)
    assert (score["self_harm_item"], score["taken_at"]) == (None, "2026-03-01T15:00:00Z")
    for at in ("20260301", "202603011000"):
        assert imported(api, database, _hl7("\r", at=at), HL7, "refused", mapping="hl7-oru")["problems"]


def test_hl7_a_total_under_an_items_code_is_refused(api: Api, database: Database, patient: str) -> None:
    text = _hl7("\r").replace("OBX|1|CWE|44250-9^y^LN||LA6570-1^a^LN", "OBX|1|NM|44250-9^y^LN||14")
    found = imported(api, database, text, HL7, "refused", mapping="hl7-oru")
    assert found["problems"][0]["column"] == "value"


def test_redcap_rows_of_other_forms_are_no_unanswered_items(api: Api, database: Database, patient: str) -> None:
    items = ",".join(f"phq9_{n}" for n in range(1, 10))
    text = (
        "record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,"
        f"patient_health_questionnaire_9_timestamp,phq9_date_enrolled,{items},phq9_total_score,phq9_how_difficult,"
        "patient_health_questionnaire_9_complete,bp_sys,bp_complete\n"
        f'0042,baseline_arm_1,,,"2026-03-01 10:00:12",2026-03-01,{",".join(map(str, _ITEMS))},{_TOTAL},2,2,,\n'
        f'0042,week_4_arm_1,patient_health_questionnaire_9,1,"[not completed]",,{"," * 8},,,0,,\n'
        f"0042,week_4_arm_1,bp,1,,,{',' * 8},,,,120,2\n"
    )
    found = read(api, database, {"extends": "redcap", **_ZONE}, text)
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}
    assert the_score(api, patient)["taken_at"] == "2026-03-01T17:00:00Z"
    survey = {"extends": "redcap", **_ZONE, "date": {"column": "patient_health_questionnaire_9_timestamp"}}
    found = read(api, database, survey, text.replace("2026-03-01 10:00:12", "2026-03-02 10:00:12"))
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}


def test_redcap_with_a_decimal_comma_and_label_headers_that_repeat(api: Api, database: Database, patient: str) -> None:
    text = 'ID;Visit;PEG 1;PEG 2;PEG 3;Mean;Complete?;Complete?\n0042;01.03.2026;"3,0";4;6;"4,33";2;2\n'
    mapping = {
        **_ZONE, "delimiter": ";", "decimal": ",", "patient": {"column": "ID"},
        "date": {"column": "Visit", "format": "%d.%m.%Y", "time": "08:00"},
        "scores": [{"instrument": "peg", "items": ["PEG 1", "PEG 2", "PEG 3"], "total": "Mean"}],
    }  # fmt: skip
    read(api, database, mapping, text)
    assert the_score(api, patient)["value"] == pytest.approx(4.33)
    found = read(api, database, {**mapping, "keep": [{"column": "Complete?"}]}, text, state="refused")
    assert "Complete?" in found["problems"][0]["rule"]  # there twice: which one is meant?


def test_qualtrics_three_header_rows_and_the_zone_in_the_third(api: Api, database: Database, patient: str) -> None:
    zone = '"{""ImportId"":""endDate"",""timeZone"":""America/Denver""}"'
    items = ",".join(f"Q1_{n}" for n in range(1, 10))
    values = ",".join(str(n + 1) for n in _ITEMS)
    text = (
        f"EndDate,Status,Progress,Finished,ResponseId,ExternalReference,{items}\n"
        f"Enddatum,Antworttyp,Fortschritt,Beendet,ID,Ref,{items}\n"
        f'{zone},"{{""ImportId"":""status""}}",a,b,c,d,{",".join("e" * 9)}\n'
        f"2026-03-01 10:00:00,IP Address,100,True,R_1,0042,{values}\n"
        f"2026-03-01 10:05:00,Survey Preview,100,True,R_2,0042,{values}\n"
        f"2026-03-01 10:06:00,IP Address,50,False,R_3,0042,{values}\n"
    )
    recodes = {str(n + 1): n for n in range(4)}
    scale = {"instrument": "phq-9", "items": "Q1_{item}", "values": recodes}
    found = read(api, database, {"extends": "qualtrics", "scores": [scale]}, text)
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}
    score = the_score(api, patient)
    assert (score["answers"], score["taken_at"]) == (_ITEMS, "2026-03-01T17:00:00Z")
    unrecoded = {"extends": "qualtrics", "scores": [{"instrument": "phq-9", "items": "Q1_{item}"}]}
    assert read(api, database, unrecoded, text.replace("R_1", "R_9"), state="refused")  # 4 is no answer
    # The same submission again is the same check-in.
    again = read(api, database, {"extends": "qualtrics", "scores": [scale]}, text)
    assert counted(again) == {"unchanged": 1, "skipped": 2}


def test_limesurvey_codes_bom_and_blank_last_line(api: Api, database: Database, patient: str) -> None:
    items = ";".join(f'"phq[q{n}]"' for n in range(1, 10))
    values = ";".join(f'"A{n + 1}"' for n in _ITEMS)
    head = f'\ufeff"id";"submitdate";"lastpage";"token";{items}\n'
    blank = ";".join(['""'] * 9)
    text = f'{head}"7";"2026-03-01 10:02:11";"2";"0042";{values}\n"8";"";"1";"0042";{blank}\n\n'
    codes = {f"A{n + 1}": n for n in range(4)}
    scale = {"instrument": "phq-9", "items": "phq[q{item}]", "values": codes}
    found = read(api, database, {"extends": "limesurvey", **_ZONE, "scores": [scale]}, text)
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 1}
    assert the_score(api, patient)["answers"] == _ITEMS
    # Where a survey keeps no dates, every one has the same.
    undated = read(
        api, database, {"extends": "limesurvey", **_ZONE, "scores": [scale]},
        text.replace("2026-03-01 10:02:11", "1980-01-01 00:00:00"), state="refused",
    )  # fmt: skip
    assert refused(undated) == (2, "submitdate")


def test_kobotoolbox_and_odk_central(api: Api, database: Database, patient: str) -> None:
    items = ";".join(f'"q{n}"' for n in range(1, 10))
    values = ";".join(f'"{n}"' for n in _ITEMS)
    kobo = (
        f'"start";"end";"today";"patient_id";{items};"tot"\n"2026-03-01T10:00:00.000+01:00";'
        f'"2026-03-01T10:02:00.000+01:00";"2026-03-01";"0042";{values};"{_TOTAL}"\n'
    )
    scale = {"instrument": "phq-9", "items": "q{item}", "total": "tot"}
    read(api, database, {"extends": "kobotoolbox", "scores": [scale]}, kobo)
    assert the_score(api, patient)["taken_at"] == "2026-03-01T09:02:00Z"
    items, values = items.replace('"', "").replace(";", ",phq-"), ",".join(map(str, _ITEMS))
    row = "2026-03-02T09:02:05.123Z,2026-03-02T10:02:00.000+01:00,0042,{},{},uuid:u-1,{},{}\n"
    odk = f"SubmissionDate,end,patient_id,phq-{items},tot,KEY,Status,ReviewState\n" + row.format(
        values, _TOTAL, "", "approved"
    )
    odk += row.format("," * 8, "", "not decrypted", "").replace("u-1", "u-2")
    odk += row.format(values, _TOTAL, "", "rejected").replace("u-1", "u-3")
    central = {"instrument": "phq-9", "items": "phq-q{item}", "total": "tot"}
    found = read(api, database, {"extends": "odk", "scores": [central]}, odk)
    assert counted(found) == {"check_ins": 1, "scores": 1, "skipped": 2}


def test_openemrs_tables(api: Api, database: Database, patient: str) -> None:
    phq = ready()["openemr-phq9"]["scores"][0]["items"]
    gad = ready()["openemr-gad7"]["scores"][0]["items"]
    head = "id,date,pid,user,groupname,authorized,activity,"
    row = "11,2026-03-01 10:00:00,0042,admin,Default,1,1," + ",".join(map(str, _ITEMS))
    text = f"{head}{','.join(phq)},difficulty\n{row},undef\n"
    read(api, database, {"extends": "openemr-phq9", **_ZONE}, text)
    assert (the_score(api, patient)["value"], the_score(api, patient)["taken_at"]) == (_TOTAL, "2026-03-01T15:00:00Z")
    text = f"{head}{','.join(gad)},difficulty\n12,2026-03-02 10:00:00,0042,admin,Default,1,1,1,1,1,1,1,1,NULL,undef\n"
    read(api, database, {"extends": "openemr-gad7", **_ZONE}, text)
    assert check_ins(api, patient)[-1]["scores"][0]["answers"] == [1, 1, 1, 1, 1, 1, None]


def test_spss_declared_missing_is_not_answered(api: Api, database: Database, patient: str, tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {"id": ["0042", "0042"], "visit": pandas.to_datetime(["2026-03-01 10:00", "2026-03-02 00:00"])}
    )
    for n, answer in enumerate(_ITEMS, start=1):
        frame[f"q{n}"] = [float(answer), 99.0 if n == 9 else float(answer)]
    ranges: Any = {f"q{n}": [99] for n in range(1, 10)}
    pyreadstat.write_sav(frame, str(tmp_path / "a.sav"), missing_ranges=ranges)
    scale = {"instrument": "phq-9", "items": "q{item}"}
    mapping = {"extends": "spss", **_ZONE, "date": {"column": "visit", "time": "09:00"}, "scores": [scale]}
    read(api, database, mapping, (tmp_path / "a.sav").read_bytes(), SAV)
    first, second = (one["scores"][0] for one in check_ins(api, patient))
    assert (first["answers"], second["answers"]) == (_ITEMS, [*_ITEMS[:8], None])


def test_a_workbook_with_dates_numbers_and_infusions(api: Api, database: Database) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["Clinic sheet"])
    sheet.append(["MRN", "Seen", "PHQ total", "Pain", "Infused?", "Ketamine mg", "Kg"])
    sheet.append([1001, datetime(2026, 3, 1), 14, 7.0, "yes", 38.5, 77])  # noqa: DTZ001
    sheet.append([1001, datetime(2026, 3, 8), 6, None, "no", None, None])  # noqa: DTZ001
    out = BytesIO()
    book.save(out)
    mapping = {
        **_ZONE, "rows_before": 1, "patient": {"column": "MRN", "unknown": "create"},
        "date": {"column": "Seen", "time": "09:00"},
        "scores": [{"instrument": "phq-9", "total": "PHQ total"}, {"instrument": "nrs-pain", "total": "Pain"}],
        "sessions": [{"date": {"column": "Seen", "time": "10:00"}, "only_if": {"column": "Infused?", "values": ["yes"]},
                      "columns": {"dose_mg": "Ketamine mg", "weight_kg": "Kg"}, "fixed": {"route": "im"}}],
    }  # fmt: skip
    found = read(api, database, mapping, out.getvalue(), XLSX)
    assert counted(found) == {"patients": 1, "sessions": 1, "check_ins": 2, "scores": 3}
    [made] = api.post("/v1/patients/search", {"external_id": "1001"}).json()["items"]
    [session] = api.get(f"/v1/patients/{made['id']}/sessions").json()["items"]
    assert (session["started_at"], session["dose_mg"], session["route"]) == ("2026-03-01T15:00:00Z", 38.5, "im")
    assert api.track(made["id"], "phq-9", as_of="2026-03-10")["status"] == "holding"
    assert counted(read(api, database, mapping, out.getvalue(), XLSX)) == {"unchanged": 3}


def test_a_formula_that_was_never_calculated_is_not_read_as_nothing(api: Api, database: Database, patient: str) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["mrn", "at", *(f"q{n}" for n in range(1, 10)), "total"])
    sheet.append(["0042", "2026-03-01 10:00", *_ITEMS[:8], "=B2+1", None])
    out = BytesIO()
    book.save(out)
    assert refused(read(api, database, _WIDE, out.getvalue(), XLSX, "refused")) == (2, "q9")


def test_an_unknown_patient_refuses_the_file_is_skipped_or_made(api: Api, database: Database, patient: str) -> None:
    text = wide(*_ITEMS).replace("0042", "0099")
    assert refused(read(api, database, _WIDE, text, state="refused")) == (2, "mrn")
    skipping = {**_WIDE, "patient": {"column": "mrn", "unknown": "skip"}}
    assert counted(read(api, database, skipping, text)) == {"skipped": 1}
    making = {**_WIDE, "patient": {"column": "mrn", "unknown": "create"}}
    assert counted(read(api, database, making, text)) == {"patients": 1, "check_ins": 1, "scores": 1}
    assert counted(read(api, database, making, text)) == {"unchanged": 1}


def test_long_sheets_have_a_row_for_each_item(api: Api, database: Database, patient: str) -> None:
    rows = [f"0042,2026-03-01T10:00:00Z,phq{n},{answer}" for n, answer in enumerate(_ITEMS, start=1)]
    codes = {f"phq{n}": {"instrument": "phq-9", "item": n} for n in range(1, 10)} | {
        "pain": {"instrument": "nrs-pain", "item": 0}
    }
    mapping = {
        "patient": {"column": "mrn"}, "date": {"column": "at"},
        "long": {"code": "item", "value": "answer", "codes": codes},
    }  # fmt: skip
    text = "mrn,at,item,answer\n" + "\n".join([*rows[::-1], "0042,2026-03-01T10:00:00Z,pain,4"]) + "\n"
    assert counted(read(api, database, mapping, text)) == {"check_ins": 1, "scores": 2}
    [check_in] = check_ins(api, patient)
    assert [s["value"] for s in sorted(check_in["scores"], key=lambda s: s["instrument"])] == [4, _TOTAL]
    assert counted(read(api, database, mapping, text)) == {"unchanged": 1}
    other = read(api, database, mapping, text + "0042,2026-03-01T10:00:00Z,else,1\n", state="refused")
    assert refused(other) == (12, "item")


def test_a_mapping_that_makes_no_sense_is_refused_with_the_place(api: Api) -> None:
    for wrong, place in (
        ({**_WIDE, "zone": "Mars/Base"}, ""),
        ({**_WIDE, "scores": [{"instrument": "phq-10", "total": "t"}]}, "/scores/0"),
        ({**_WIDE, "scores": [{"instrument": "phq-9", "items": ["a", "b"]}]}, "/scores/0"),
        ({**_WIDE, "extends": "spreadsheet"}, "/extends"),
        ({**_WIDE, "unknown": 1}, "/unknown"),
        ({"patient": {"column": "mrn"}, "scores": [{"instrument": "phq-9", "total": "t"}]}, "/date/column"),
        ({"extends": "qualtrics"}, "/scores"),
        ({**_WIDE, "date": {"column": "at", "format": "%m/%d"}}, "/date"),
        ({**_WIDE, "date": {"column": "at", "format": "%Q"}}, "/date"),
        ({**_WIDE, "date": {"column": "at", "format": "%d/%d/%Y"}}, "/date"),
        ({**_WIDE, "date": {"column": "at", "format": "%Y-%m-%d %H:%M %Z"}}, "/date"),
        ({**_WIDE, "scores": [{"instrument": "phq-9", "items": ["q1"] * 9}]}, "/scores/0"),
        ({**_WIDE, "scores": [{"instrument": "phq-9", "items": "q{item}", "total": "q9"}]}, "/scores/0"),
    ):
        answer = api.request("PUT", "/v1/imports/mappings/mine", json=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, place), answer.text
    assert api.request("PUT", "/v1/imports/mappings/redcap", json=_WIDE).status_code == 422
    keep(api, **_WIDE)
    names = [one["name"] for one in api.get("/v1/imports/mappings").json()["items"]]
    assert names == ["mine", *ready()]
    assert api.get("/v1/imports/mappings/mine").json()["content"] == _WIDE
    assert api.request("DELETE", "/v1/imports/mappings/mine").status_code == 204
    assert api.get("/v1/imports/mappings/mine").status_code == 404


def test_hl7_items_whose_times_differ_are_one_questionnaire(api: Api, database: Database, patient: str) -> None:
    segments = _hl7("\r", at="").split("\r")
    timed = [
        f"{line}|||2026030110000{n % 10}-0500" if line.startswith("OBX") else line for n, line in enumerate(segments)
    ]
    imported(api, database, "\r".join(timed), HL7, mapping="hl7-oru")
    assert the_score(api, patient)["answers"] == _ITEMS


def test_hl7_two_items_and_the_total_of_the_phq_2_are_no_phq_9(api: Api, database: Database, patient: str) -> None:
    head = "MSH|^~\\&|S|F|R|F|20260301100500-0500||ORU^R01^ORU_R01|M1|P|2.5.1\rPID|1||0042\rOBR|1|||x|||20260301\r"
    results = "OBX|1|NM|44250-9^a^LN||2||||||F\rOBX|2|NM|44255-8^b^LN||1||||||F\rOBX|3|NM|55758-7^c^LN||3||||||F\r"
    imported(api, database, head.replace("20260301\r", "202603011000\r") + results, HL7, mapping="hl7-oru")
    score = the_score(api, patient)
    assert (score["instrument"], score["value"], score["answers"]) == ("phq-2", 3, [2, 1])


def test_a_misspelt_member_of_json_is_no_blank(api: Api, database: Database, patient: str) -> None:
    line = json.dumps({"mrn": "0042", "at": "2026-03-01 10:00", **{f"Q{n}": a for n, a in enumerate(_ITEMS, start=1)}})
    scale = {"instrument": "phq-9", "items": "q{item}"}
    keep(api, **{**_WIDE, "scores": [scale]})
    found = imported(api, database, line, NDJSON, "refused", mapping="mine")
    assert "q9" in found["problems"][0]["rule"]


def test_a_workbooks_day_has_no_time(api: Api, database: Database, patient: str) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["mrn", "at", "pain"])
    sheet.append(["0042", datetime(2026, 3, 1), 3])  # noqa: DTZ001
    out = BytesIO()
    book.save(out)
    scale = {"instrument": "nrs-pain", "total": "pain"}
    found = read(api, database, {**_WIDE, "scores": [scale]}, out.getvalue(), XLSX, "refused")
    assert "time of day" in found["problems"][0]["rule"]
    text = "mrn,at,pain\n0042,2026-03-01 00:00:00,3\n"
    timed = {**_WIDE, "date": {"column": "at", "time": "09:00"}, "scores": [scale]}
    read(api, database, timed, text)
    assert the_score(api, patient)["taken_at"] == "2026-03-01T05:00:00Z"  # midnight, as it says


def test_a_number_that_a_spreadsheet_has_cut_is_no_identifier(api: Api, database: Database, patient: str) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["mrn", "at", "pain"])
    sheet.append([1234567890123456789.0, "2026-03-01 10:00", 3])
    out = BytesIO()
    book.save(out)
    mapping = {**_WIDE, "scores": [{"instrument": "nrs-pain", "total": "pain"}]}
    assert refused(read(api, database, mapping, out.getvalue(), XLSX, "refused")) == (2, "mrn")
