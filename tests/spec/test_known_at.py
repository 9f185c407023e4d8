"""What was known when: late, out of order, amended and voided, and earlier answers stay reproducible."""

from typing import Any

from tests.conftest import Api


def relief_bytes(api: Api, patient_id: str, **params: Any) -> bytes:
    answer = api.get(f"/v1/patients/{patient_id}/relief", params=params)
    assert answer.status_code == 200
    return answer.content


def mood(api: Api, patient_id: str, **params: Any) -> dict[str, Any]:
    domains = api.relief(patient_id, **params)["domains"]
    found: dict[str, Any] = next(d for d in domains if d["domain"] == "mood")
    return found


def test_t5_a_baseline_that_arrives_late_changes_what_is_known_not_what_was(api: Api) -> None:
    patient_id = api.patient()
    for day in ("03", "05"):
        api.session(patient_id, f"2025-03-{day}T10:00:00-05:00")
    api.check_in(patient_id, "2025-03-04T09:00:00-05:00", "phq-9", 16)
    before = api.check_in(patient_id, "2025-03-12T09:00:00-04:00", "phq-9", 9)
    after = api.check_in(patient_id, "2025-03-01T18:00:00-05:00", "phq-9", 22)
    early = mood(api, patient_id, as_of="2025-03-12", known_at=before["recorded_at"])
    assert (early["status"], early["reason"]) == ("no_baseline", "baseline_after_first_infusion")
    late = mood(api, patient_id, as_of="2025-03-12", known_at=after["recorded_at"])
    assert (late["status"], late["improvement_percent"]) == ("holding", 59.0)
    assert mood(api, patient_id, as_of="2025-03-21")["status"] == "holding"


def test_t7_amendment_and_voiding_leave_earlier_answers_reproducible(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    api.check_in(patient_id, "2025-01-06T09:00:00-05:00", "phq-9", 20)
    api.check_in(patient_id, "2025-01-20T09:00:00-05:00", "phq-9", 8)
    a = api.check_in(patient_id, "2025-02-03T09:00:00-05:00", "phq-9", 11)
    b = api.check_in(patient_id, "2025-02-10T09:00:00-05:00", "phq-9", 13)
    first = relief_bytes(api, patient_id, as_of="2025-02-10")
    known = b["recorded_at"]
    path = f"/v1/patients/{patient_id}/check-ins"
    amended = api.post(
        f"{path}/{a['id']}/amendments",
        {"reason": "keying error", "responses": [{"instrument": "phq-9", "score": 4}]},
        headers={"If-Match": '"1"'},
    )
    assert amended.status_code == 201, amended.text
    voided = api.post(
        f"{path}/{b['id']}/amendments", {"reason": "another patient's", "void": True}, headers={"If-Match": '"1"'}
    )
    assert voided.status_code == 201, voided.text
    assert mood(api, patient_id, as_of="2025-02-10", known_at=known)["status"] == "lost"
    at_amendment = amended.json()["recorded_at"]
    assert mood(api, patient_id, as_of="2025-02-10", known_at=at_amendment)["status"] == "fading"
    last = api.track(patient_id, "phq-9", as_of="2025-02-10", known_at=voided.json()["recorded_at"])
    assert (last["status"], last["improvement_percent"], last["flags"]) == ("holding", 80.0, ["remission"])
    assert relief_bytes(api, patient_id, as_of="2025-02-10", known_at=known) == first


def test_asking_again_with_the_known_at_that_came_back_gives_the_same_bytes(api: Api) -> None:
    patient_id = api.patient()
    answers = {}
    for number in range(8):
        if number % 3 == 0:
            api.session(patient_id, f"2025-01-{6 + number:02}T10:00:00-05:00")
        api.check_in(patient_id, f"2025-01-{6 + number:02}T09:00:00-05:00", "phq-9", 20 - 2 * number)
        if number == 5:
            patient = api.get(f"/v1/patients/{patient_id}").json()
            changed = api.patch(
                f"/v1/patients/{patient_id}",
                {"primary_instruments": {"mood": "nrs-mood"}, "indications": ["ptsd"]},
                patient["version"],
            )
            assert changed.status_code == 200
        for as_of in ("2025-01-09", "2025-01-20", "2025-03-30"):
            content = relief_bytes(api, patient_id, as_of=as_of)
            known_at = api.relief(patient_id, as_of=as_of)["known_at"]
            answers[as_of, known_at] = content
    assert len(answers) > 20
    for (as_of, known_at), content in answers.items():
        assert relief_bytes(api, patient_id, as_of=as_of, known_at=known_at) == content


def test_recorded_at_strictly_increases_for_a_patient(api: Api) -> None:
    patient_id = api.patient()
    stamps = [api.session(patient_id, f"2025-01-{day:02}T10:00:00-05:00")["recorded_at"] for day in range(6, 10)]
    items = [
        {"patient_id": patient_id, "taken_at": f"2025-02-{day:02}T10:00:00Z",
         "responses": [{"instrument": "nrs-pain", "score": 3}]}
        for day in range(1, 29)
    ]  # fmt: skip
    results = api.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    stamps += [result["check_in"]["recorded_at"] for result in results]
    padded = [stamp if "." in stamp else stamp.replace("Z", ".000000Z") for stamp in stamps]
    assert padded == sorted(set(padded))


def test_a_switch_of_instrument_is_noted_and_nothing_is_converted(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, "2025-01-06T09:00:00-05:00", "phq-9", 20)
    api.check_in(patient_id, "2025-01-06T09:05:00-05:00", "qids-sr16", 18)
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    api.check_in(patient_id, "2025-01-20T09:00:00-05:00", "phq-9", 8)
    assert mood(api, patient_id, as_of="2025-01-20")["note"] is None
    api.check_in(patient_id, "2025-02-20T09:00:00-05:00", "qids-sr16", 8)
    switched = mood(api, patient_id, as_of="2025-02-20")
    assert (switched["instrument"], switched["note"]) == ("phq-9", "instrument_changed")
    declared = api.patch(f"/v1/patients/{patient_id}", {"primary_instruments": {"mood": "qids-sr16"}}, 1)
    assert declared.status_code == 200
    chosen = mood(api, patient_id, as_of="2025-02-20")
    assert (chosen["instrument"], chosen["status"], chosen["note"]) == ("qids-sr16", "holding", None)
