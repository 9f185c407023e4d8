"""A clinic's own wording: a FHIR Questionnaire, checked item by item, shown to its patients and to nobody else.

No wording of a questionnaire is in here: the texts are short labels."""

import copy
from typing import Any

import pytest

from app.instruments import INSTRUMENTS
from tests.conftest import Api, new_clinic, new_device, new_person
from tests.web.pages import Browser

ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
WEIGHT = "http://hl7.org/fhir/StructureDefinition/itemWeight"


def questionnaire(code: str, url: str = ORDINAL) -> dict[str, Any]:
    """A Questionnaire of an instrument, with labels in the place of its wording."""
    instrument = INSTRUMENTS[code]
    items = [
        {
            "linkId": f"/{item.loinc or item.number}",
            "type": "choice",
            "text": f"Label {item.number}",
            "answerOption": [
                {"valueCoding": {"display": f"Answer {value}", "extension": [{"url": url, "valueDecimal": value}]}}
                for value in range(item.min, item.max + 1)
            ],
        }
        for item in instrument.items
    ]
    return {"resourceType": "Questionnaire", "status": "active", "title": "Ours", "item": items}


def put(api: Api, code: str, body: Any, language: str = "en") -> Any:
    return api.request("PUT", f"/v1/clinic/wording/{code}/{language}", json=body)


def first_fault(answer: Any) -> tuple[str, str]:
    assert answer.status_code == 422, answer.text
    [fault, *_] = answer.json()["errors"]
    return fault["pointer"], fault["detail"]


@pytest.mark.parametrize("code", [code for code, instrument in INSTRUMENTS.items() if instrument.items])
def test_the_wording_of_every_instrument_can_be_loaded(api: Api, code: str) -> None:
    answer = put(api, code, questionnaire(code, WEIGHT))
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["number"] for item in items] == [item.number for item in INSTRUMENTS[code].items]
    assert api.get(f"/v1/clinic/wording/{code}/en").json() == answer.json()


def test_items_are_known_by_their_codes_and_not_by_their_places(api: Api) -> None:
    body = questionnaire("phq-2")
    body["item"].reverse()
    for item, loinc in zip(body["item"], ("44255-8", "44250-9"), strict=True):
        item["linkId"], item["code"] = "q", [{"system": "http://loinc.org", "code": loinc}]
    total = {"linkId": "/55758-7", "type": "decimal", "text": "Total"}
    grouped = {"resourceType": "Questionnaire", "item": [{"linkId": "g", "type": "group", "item": body["item"]}, total]}
    items = put(api, "phq-2", grouped).json()["items"]
    assert [item["text"] for item in items] == ["Label 1", "Label 2"]


def test_what_is_missing_or_another_is_refused_by_its_place(api: Api) -> None:
    whole = questionnaire("phq-9")

    def changed(**more: Any) -> dict[str, Any]:
        body = copy.deepcopy(whole)
        body["item"][3] |= more
        return body

    missing = copy.deepcopy(whole)
    del missing["item"][8]
    twice = copy.deepcopy(whole)
    twice["item"].append(copy.deepcopy(whole["item"][8]))
    options = whole["item"][3]["answerOption"]
    for body, place, rule in (
        (missing, "/item", "must have item 9 in it, by linkId or code 44260-8 or 9"),
        (twice, "/item", "must have item 9 once"),
        (changed(text=" "), "/item/3/text", "is required"),
        (changed(text="a\u202eb"), "/item/3/text", "must not contain"),
        (changed(answerOption=options[:3]), "/item/3/answerOption", "must have each value from 0 to 3 once"),
        (changed(answerOption=[*options, options[0]]), "/item/3/answerOption", "must have each value"),
        (changed(answerOption=[{"valueCoding": {"code": "LA6568-5", "display": "Answer"}}]), "/item/3/answerOption/0",
         "must say its value"),
        ({"resourceType": "Bundle", "item": whole["item"]}, "/resourceType", ""),
        ({"resourceType": "Questionnaire", "item": []}, "/item", ""),
    ):  # fmt: skip
        pointer, detail = first_fault(put(api, "phq-9", body))
        assert (pointer, rule in detail) == (place, True), (pointer, detail)
    assert api.get("/v1/clinic/wording/phq-9/en").status_code == 404, "nothing of it was kept"
    assert put(api, "nonsense", whole).status_code == 404
    assert put(api, "phq-9", whole, "EN_us").status_code == 422


def test_a_scale_has_a_text_and_needs_no_answers(api: Api) -> None:
    body = {"resourceType": "Questionnaire", "item": [{"linkId": "1", "type": "integer", "text": "Label of pain"}]}
    assert put(api, "nrs-pain", body).json()["items"] == [{"number": 1, "text": "Label of pain", "choices": []}]
    numbers = [{"valueInteger": value} for value in range(11)]
    body["item"][0]["answerOption"] = numbers  # type: ignore[index]
    assert put(api, "nrs-pain", body).json()["items"][0]["choices"][10] == {"value": 10, "text": "10"}


def test_it_is_replaced_listed_and_removed_by_administrators_alone(api: Api) -> None:
    put(api, "phq-2", questionnaire("phq-2"))
    again = questionnaire("phq-2")
    again["item"][0]["text"] = "Another label"
    assert put(api, "phq-2", again).json()["items"][0]["text"] == "Another label"
    put(api, "phq-2", questionnaire("phq-2"), "es")
    listed = api.get("/v1/clinic/wording").json()["items"]
    assert [(one["instrument"], one["language"]) for one in listed] == [("phq-2", "en"), ("phq-2", "es")]
    clinician = new_person(api.server, api.clinic_id, "clinician")
    assert clinician.get("/v1/clinic/wording/phq-2/en").status_code == 200
    assert put(clinician, "phq-2", again).status_code == 403
    assert api.server.get("/v1/clinic/wording/phq-2/en").status_code == 401
    stranger = new_clinic(api.server)
    assert stranger.get("/v1/clinic/wording/phq-2/en").status_code == 404
    assert stranger.get("/v1/clinic/wording").json()["items"] == []
    assert api.request("DELETE", "/v1/clinic/wording/phq-2/en").status_code == 204
    assert api.request("DELETE", "/v1/clinic/wording/phq-2/en").status_code == 404


def test_patients_are_asked_in_their_clinics_words(api: Api) -> None:
    device = new_device(api, api.patient())
    phone = Browser(device, "holdfast-check-in")
    asked = phone.get("/check-in").text
    assert "PHQ-9 1: interest" in asked
    assert "short labels stand in its place" in asked
    put(api, "phq-9", questionnaire("phq-9"))
    asked = phone.get("/check-in").text
    assert '<legend class="big">Label 1</legend>' in asked
    assert "Answer 2" in asked
    phone.language = "es"
    assert "Label 1" not in phone.get("/check-in").text, "each language has its own"
