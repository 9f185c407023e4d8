"""One person, one record: identifiers that differ only in blanks, case or form are the same one, and every change of a
patient is a version."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app import work
from app.api.parts import DATABASE
from app.patients import identifiers
from app.patients import store as patients_store
from app.patients.policies import caseless, invisible
from app.storage import Database, key_for
from tests.conftest import Api, app_of, new_client

SAME = ["MRN-77", "MRN-77 ", "  MRN-77", "mrn-77", "Mrn-77\u3000"]
ANGSTROM = ["\u00c5-1", "A\u030a-1", "\u212b-1", "a\u030a-1"]
SHARP = ["stra\u00dfe", "STRASSE", "Stra\u1e9ee"]


@pytest.mark.parametrize("spellings", [SAME, ANGSTROM, SHARP], ids=["blanks and case", "composed", "sharp s"])
def test_spellings_of_one_identifier_are_one_patient(api: Api, spellings: list[str]) -> None:
    first = api.post("/v1/patients", {"external_id": spellings[0]})
    assert first.status_code == 201, first.text
    for spelling in spellings:
        again = api.post("/v1/patients", {"external_id": spelling})
        assert (again.status_code, again.json()["code"]) == (409, "external_id_taken"), spelling
        [found] = api.post("/v1/patients/search", {"external_id": spelling}).json()["items"]
        assert found["id"] == first.json()["id"]
    other = api.patient()
    for spelling in spellings:
        taken = api.patch(f"/v1/patients/{other}", {"external_id": spelling}, 1)
        assert (taken.status_code, taken.json()["code"]) == (409, "external_id_taken")
    own = api.patch(f"/v1/patients/{first.json()['id']}", {"external_id": spellings[-1]}, 1)
    assert own.status_code == 200, "its own may be spelt anew"


def test_what_is_stored_is_trimmed_and_composed(api: Api) -> None:
    made = api.post("/v1/patients", {"external_id": " A\u030a-9 ", "label": " Zoe\u0308 "}).json()
    assert (made["external_id"], made["label"]) == ("\u00c5-9", "Zo\u00eb")


@pytest.mark.parametrize(("character", "name"), [
    ("\u200b", "ZERO WIDTH SPACE (U+200B)"), ("\u202e", "RIGHT-TO-LEFT OVERRIDE (U+202E)"),
    ("\u00ad", "SOFT HYPHEN (U+00AD)"), ("\u00a0", "NO-BREAK SPACE (U+00A0)"), ("\u2060", "WORD JOINER (U+2060)"),
    ("\u3164", "HANGUL FILLER (U+3164)"), ("\ufe0f", "VARIATION SELECTOR-16 (U+FE0F)"),
    ("\u0085", "a control character (U+0085)"),
    ("\ue000", "a character without a name (U+E000)"),
])  # fmt: skip
def test_what_nobody_can_see_is_refused_by_name(api: Api, character: str, name: str) -> None:
    patient = api.patient()
    for answer in (
        api.post("/v1/patients", {"external_id": f"MRN{character}77"}),
        api.patch(f"/v1/patients/{patient}", {"external_id": f"MRN{character}77"}, 1),
        api.post("/v1/patients/search", {"external_id": f"MRN{character}77"}),
    ):
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"pointer": "/external_id", "detail": f"must not contain {name}"}]
    label = api.post("/v1/patients", {"external_id": "x", "label": f"A{character}B"})
    assert label.json()["errors"][0]["pointer"] == "/label"


def test_names_keep_the_joiners_that_their_scripts_need(api: Api) -> None:
    label = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert api.post("/v1/patients", {"external_id": "p-1", "label": label}).json()["label"] == label
    assert invisible(label) == "ZERO WIDTH NON-JOINER (U+200C)"
    assert api.post("/v1/patients", {"external_id": f"p{label}"}).status_code == 422


def as_before(database: Database, api: Api, *patient_ids: str) -> None:
    """As the last release stored them: with the hash of the external id as it was written."""

    def work_on(db: Any) -> None:
        who = identifiers.of_patients(db, api.clinic_id, list(map(UUID, patient_ids)))
        for patient_id, identity in who.items():
            number = identifiers.digests(db, api.clinic_id, identity.external_id)[0]
            db.execute(
                text("update identifiers set external_id_digest = :number, form = 1 where patient_id = :id"),
                {"number": number, "id": patient_id.bytes if database.is_sqlite else patient_id},
            )

    database.writing(api.clinic_id, work_on)


def clashes(api: Api) -> list[tuple[UUID, UUID]]:
    database = DATABASE.in_app(app_of(api.server))
    return database.reading(api.clinic_id, lambda db: identifiers.clashes(db, api.clinic_id))


def clash(api: Api) -> tuple[str, str]:
    """Two patients whom an earlier release told apart, one of whose hashes has not been renewed."""
    database = DATABASE.in_app(app_of(api.server))
    first, second = api.patient(external_id="MRN-5"), api.patient(external_id="x")

    def rename(db: Any) -> None:
        text_of = json.dumps({"external_id": "mrn-5", "label": "The other one", "birth_year": None})
        row = patients_store.identifiers(db, api.clinic_id, UUID(second))
        held = patients_store.key(db, api.clinic_id, UUID(second))
        assert row is not None and held is not None  # noqa: PT018 - both are there
        bound = api.clinic_id.bytes + UUID(second).bytes
        key = identifiers._decrypt(key_for(db, "patient keys"), held.wrapped, bound)
        row.encrypted = identifiers._encrypt(key, text_of.encode(), bound)
        db.add(row)

    database.writing(api.clinic_id, rename)
    as_before(database, api, first, second)
    return first, second


def test_the_job_brings_what_stands_to_the_new_form_and_clashes_stay(api: Api) -> None:
    database = DATABASE.in_app(app_of(api.server))
    (first, second), third = clash(api), api.patient(external_id="Äb")
    as_before(database, api, third)
    assert api.post("/v1/patients", {"external_id": "MRN-5"}).status_code == 409, "found as it was written"
    work.renew_identifiers(database)
    assert [set(pair) for pair in clashes(api)] == [{UUID(first), UUID(second)}]
    for spelling, whose in (("MRN-5", first), ("mrn-5", second)):
        [found] = api.post("/v1/patients/search", {"external_id": spelling}).json()["items"]
        assert found["id"] == whose, "each by its own spelling"
    for spelling in ("MRN-5", "mrn-5", "MrN-5"):
        assert api.post("/v1/patients", {"external_id": spelling}).json()["code"] == "external_id_taken"
    [found] = api.post("/v1/patients/search", {"external_id": "äB"}).json()["items"]
    assert found["id"] == third
    assert api.patch(f"/v1/patients/{second}", {"label": "Still here"}, 1).status_code == 200


@pytest.mark.parametrize("which", [0, 1])
def test_a_clash_ends_when_one_of_the_two_is_renamed(api: Api, which: int) -> None:
    database, pair = DATABASE.in_app(app_of(api.server)), clash(api)
    work.renew_identifiers(database)
    assert api.patch(f"/v1/patients/{pair[which]}", {"external_id": "MRN-6"}, 1).status_code == 200
    work.renew_identifiers(database)
    assert clashes(api) == []
    for spelling in ("MRN-5", "mrn-5", "Mrn-5"):
        [found] = api.post("/v1/patients/search", {"external_id": spelling}).json()["items"]
        assert found["id"] == pair[1 - which]
        assert api.post("/v1/patients", {"external_id": spelling}).status_code == 409


@pytest.mark.parametrize("renewed", [True, False])
def test_a_clash_ends_when_the_two_are_merged(api: Api, renewed: bool) -> None:
    database, (first, second) = DATABASE.in_app(app_of(api.server)), clash(api)
    if renewed:
        work.renew_identifiers(database)
    for patient in (first, second):
        assert api.patch(f"/v1/patients/{patient}", {"label": "L"}, 1).status_code == 200
    body = {"into": second, "reason": "registered twice"}
    assert api.post(f"/v1/patients/{first}/merge", body).status_code == 201
    work.renew_identifiers(database)
    assert clashes(api) == []
    for spelling in ("MRN-5", "mrn-5"):
        [found] = api.post("/v1/patients/search", {"external_id": spelling}).json()["items"]
        assert found["id"] == second


def test_caseless_is_the_same_whatever_was_done_before() -> None:
    for spellings in (SAME, ANGSTROM, SHARP):
        assert len({caseless(spelling) for spelling in spellings}) == 1
        assert {caseless(caseless(spelling)) for spelling in spellings} == {caseless(spellings[0])}


# Versions.


def test_every_change_is_a_version_with_who_when_why_and_what(api: Api) -> None:
    patient = api.patient(label="A.B.")
    path = f"/v1/patients/{patient}"
    ehr = new_client(api.server, api.clinic_id, "patients:write patients:read")
    ehr.patch(path, {"label": "C.D.", "indications": ["ptsd"]}, 1)
    api.patch(path, {"care_status": "entered_in_error", "reason": "a test entry"}, 2)
    assert api.patch(path, {"care_status": "entered_in_error"}, 3).json()["version"] == 3, "nothing changed"
    api.patch(path, {"care_status": "active", "reason": "it was real"}, 3)
    found = api.get(f"{path}/versions")
    assert found.status_code == 200, found.text
    assert [(v["version"], v["reason"], v["changed"], v["recorded_by"]["kind"]) for v in found.json()["items"]] == [
        (1, None, ["external_id", "label"], "user"),
        (2, None, ["indications", "label"], "client"),
        (3, "a test entry", ["care_status"], "user"),
        (4, "it was real", ["care_status"], "user"),
    ]
    assert [v["care_status"] for v in found.json()["items"]] == ["active", "active", "entered_in_error", "active"]
    assert [v["indications"] for v in found.json()["items"]] == [[], ["ptsd"], ["ptsd"], ["ptsd"]]
    moments = [v["recorded_at"] for v in found.json()["items"]]
    assert moments == sorted(moments)
    assert "A.B." not in found.text


@pytest.mark.parametrize("status", ["entered_in_error", "deceased"])
def test_what_takes_a_patient_out_needs_a_reason(api: Api, status: str) -> None:
    patient = api.patient()
    refused = api.patch(f"/v1/patients/{patient}", {"care_status": status}, 1)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/reason")
    assert api.get(f"/v1/patients/{patient}").json()["care_status"] == "active"
    assert api.patch(f"/v1/patients/{patient}", {"care_status": status, "reason": "so"}, 1).status_code == 200
    assert api.patch(f"/v1/patients/{api.patient()}", {"care_status": "paused"}, 1).status_code == 200


def test_a_change_of_what_no_verdict_rests_on_is_no_newer_answer(api: Api) -> None:
    patient = api.patient()
    api.check_in(patient, "2025-01-06T10:00:00Z", "phq-9", 9)
    before = api.relief(patient)
    api.patch(f"/v1/patients/{patient}", {"label": "New"}, 1)
    assert api.relief(patient) == before
    assert api.relief(patient, known_at=before["known_at"]) == before
    api.patch(f"/v1/patients/{patient}", {"primary_instruments": {"mood": "nrs-mood"}}, 2)
    assert api.relief(patient)["known_at"] > before["known_at"]
