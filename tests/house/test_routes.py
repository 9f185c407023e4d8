"""Every route is protected. The tests go through the OpenAPI document, so a new route is tested at once."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access.policies import OPEN_OPERATIONS
from app.errors import families
from tests.conftest import Api, new_client, new_clinic, new_device, new_person
from tests.render import REFERENCE, openapi


def whole(document: dict[str, Any]) -> dict[str, Any]:
    """The document with each refusal in its place."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                name = answer.get("$ref", "").rsplit("/", 1)[-1]
                operation["responses"][status] = document["components"]["responses"][name] if name else answer
    return document


DOCUMENT: dict[str, Any] = whole(json.loads(openapi()))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
PROTECTED = [o for o in OPERATIONS if o[2]["operationId"] not in OPEN_OPERATIONS]
IDS = (
    *("patient_id", "session_id", "check_in_id", "alert_id", "device_id", "user_id", "client_id", "event_id"),
    *("webhook_id", "delivery_id", "import_id", "name", "instrument", "language"),
)
FILE: dict[str, Any] = {"content": b"external_id\nMRN-0042\n", "headers": {"Content-Type": "text/csv"}}
MAPPING = {
    "patient": {"column": "mrn"},
    "date": {"column": "at"},
    "scores": [{"instrument": "nrs-pain", "total": "pain"}],
}
# What these put is the caller's own, whatever others have.
OWN = {"put_import_mapping", "put_wording"}
WORDED = "phq-2"
WORDING: dict[str, Any] = DOCUMENT["components"]["schemas"]["QuestionnaireIn"]["examples"][0]
by_operation = pytest.mark.parametrize(
    ("method", "path", "operation"), PROTECTED, ids=[o[2]["operationId"] for o in PROTECTED]
)


def body_of(operation: dict[str, Any]) -> Any:
    """The first example of the operation's body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if not content:
        return None
    name = content["schema"]["$ref"].rsplit("/", 1)[-1]
    examples = {
        "BatchIn": {"items": [{"patient_id": "", "taken_at": "2025-02-01T10:00:00Z",
                               "responses": [{"instrument": "nrs-pain", "score": 3}]}]},
        "PatientSearch": {"q": "nobody"},
        "AcknowledgementIn": {"disposition": "contacted"},
        "MappingIn": MAPPING,
        "AmendmentIn": {"reason": "keying error", "taken_at": "2025-02-02T10:00:00Z"},
    }  # fmt: skip
    if name in examples:
        return examples[name]
    return DOCUMENT["components"]["schemas"][name]["examples"][0]


class World:
    """A clinic with one of everything, and the ids that fill a path."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.ids = self.of_patient(api)

    @staticmethod
    def of_patient(api: Api) -> dict[str, str]:
        patient_id = api.patient(label="Owner")
        session = api.session(patient_id, "2025-01-06T10:00:00-05:00")
        answers = [1, 1, 1, 1, 1, 1, 1, 1, 2]
        check_in = api.post(
            f"/v1/patients/{patient_id}/check-ins",
            {"taken_at": "2025-01-20T09:00:00-05:00", "responses": [{"instrument": "phq-9", "answers": answers}]},
        ).json()
        event = api.post(f"/v1/patients/{patient_id}/events", {"kind": "tms", "on": "2025-01-25"}).json()
        enrolled = new_device(api, patient_id)
        devices = api.get(f"/v1/patients/{patient_id}/devices").json()["items"]
        assert enrolled.get("/v1/me").status_code == 200
        hook = api.post("/v1/webhooks", {"url": "https://ehr.example.org/in", "events": ["alert.raised"]}).json()
        sent = api.post(f"/v1/webhooks/{hook['id']}/test").json()
        file = api.request("POST", "/v1/imports", **FILE).json()
        name = f"sheet-{secrets.token_hex(6)}"
        assert api.request("PUT", f"/v1/imports/mappings/{name}", json=MAPPING).status_code == 200
        return {
            "instrument": WORDED,
            "language": World.wording(api) or "",
            "import_id": file["id"],
            "name": name,
            "webhook_id": hook["id"],
            "delivery_id": sent["id"],
            "patient_id": patient_id,
            "session_id": session["id"],
            "check_in_id": check_in["id"],
            "event_id": event["id"],
            "alert_id": check_in["alerts"][0]["id"],
            "device_id": devices[0]["id"],
            "user_id": str(new_person(api.server, api.clinic_id, "clinician").caller_id),
            "client_id": str(new_client(api.server, api.clinic_id, "patients:read").caller_id),
        }

    def webhook(self) -> str:
        """A webhook of the clinic's, to be removed; where none can be made, the one that is there."""
        answer = self.api.post("/v1/webhooks", {"url": "https://ehr.example.org/in", "events": ["alert.raised"]})
        found: str = answer.json().get("id", self.ids["webhook_id"])
        return found

    @staticmethod
    def wording(api: Api) -> str | None:
        """The language, that nobody else has, of a wording of the clinic's; none where nobody may load one."""
        language = f"en-x-{secrets.token_hex(4)}"
        done = api.request("PUT", f"/v1/clinic/wording/{WORDED}/{language}", json=WORDING)
        return language if done.status_code == 200 else None

    def secrets(self) -> list[str]:
        """What nobody of another clinic may be told: every id. The code of an instrument is everybody's."""
        return [value for name, value in self.ids.items() if name != "instrument"]

    def mapping(self) -> str:
        """A mapping of the clinic's, to be removed."""
        name = f"sheet-{secrets.token_hex(6)}"
        self.api.request("PUT", f"/v1/imports/mappings/{name}", json=MAPPING)
        return name

    def call(self, caller: Api, method: str, path: str, operation: dict[str, Any]) -> Any:
        body = body_of(operation)
        if operation["operationId"] == "record_check_ins":
            body["items"][0]["patient_id"] = self.ids["patient_id"]
        ids = self.ids
        if operation["operationId"] == "delete_webhook":  # the one that others ask for stays
            ids = ids | {"webhook_id": self.webhook() if caller.clinic_id == self.api.clinic_id else ids["webhook_id"]}
        if operation["operationId"] == "delete_import_mapping" and caller.clinic_id == self.api.clinic_id:
            ids = ids | {"name": self.mapping()}
        if operation["operationId"] == "delete_wording" and caller.clinic_id == self.api.clinic_id:
            ids = ids | {"language": self.wording(self.api) or ids["language"]}
        if operation["operationId"] in OWN:
            ids = ids | {"name": f"sheet-{secrets.token_hex(6)}", "language": f"en-x-{secrets.token_hex(4)}"}
        filled = path.format(**ids)
        if operation["operationId"] == "create_import":
            return caller.request(method, filled, **FILE)
        required = [p for p in operation.get("parameters", []) if p["in"] == "query" and p["required"]]
        params = {p["name"]: p["schema"]["examples"][0] for p in required}
        return caller.request(method, filled, params=params, json=body, headers={"If-Match": '"1"'})


@by_operation
def test_no_route_answers_without_a_token(
    server: TestClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic abc"}):
        zero = dict.fromkeys(IDS, "0" * 32)
        answer = server.request(method, path.format(**zero), json=body_of(operation), headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "invalid_token"
        assert "Bearer" in answer.headers["www-authenticate"]


def test_another_clinic_sees_nothing_over_any_route(server: TestClient) -> None:
    world, stranger = World(new_clinic(server)), new_clinic(server)
    # Who has signed out everywhere asks for nothing more.
    for method, path, operation in sorted(PROTECTED, key=lambda o: o[2]["operationId"] == "sign_out_everywhere"):
        answer = world.call(stranger, method, path, operation)
        name = operation["operationId"]
        if name in OWN:
            assert answer.status_code == 200, answer.text
        elif "{" in path:
            assert answer.status_code == 404, (name, answer.text)
        elif name == "record_check_ins":
            assert answer.json()["results"][0]["http_status"] == 404
        if name != "list_audit_events":  # its events contain the ids that the stranger asked for
            for value in world.secrets():
                assert value not in answer.text, name
    assert world.api.get(f"/v1/patients/{world.ids['patient_id']}").json()["version"] == 1


def test_a_patient_cannot_reach_another_patients_object_under_their_own_address(server: TestClient) -> None:
    world = World(new_clinic(server))
    own = World.of_patient(world.api)
    device = new_device(world.api, own["patient_id"])
    for caller, kind, identifier in (
        (device, "check-ins", "check_in_id"),
        (world.api, "check-ins", "check_in_id"),
        (world.api, "sessions", "session_id"),
        (world.api, "events", "event_id"),
    ):
        mine = f"/v1/patients/{own['patient_id']}/{kind}"
        assert caller.get(f"{mine}/{own[identifier]}").status_code == 200
        assert caller.get(f"{mine}/{world.ids[identifier]}").status_code == 404
        assert caller.get(f"{mine}/{world.ids[identifier]}/versions").status_code == 404


def test_the_committed_openapi_document_is_current() -> None:
    assert (REFERENCE / "openapi.json").read_text(encoding="utf-8") == openapi(), "run: make openapi"


def test_every_operation_is_documented() -> None:
    for method, path, operation in OPERATIONS:
        assert operation["tags"], path
        assert operation["summary"], path
        assert operation["description"], (method, path)
        assert bool(operation["security"]) == (operation["operationId"] not in OPEN_OPERATIONS)
        if not path.startswith("/v1/"):
            continue
        assert {"422", "500", "503"} <= set(operation["responses"]), path
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                content = answer["content"]["application/problem+json"]
                assert content["schema"]["$ref"].endswith(("/ProblemOut", "/RefusalOut"))
                assert content["examples"]
        if "requestBody" in operation:
            assert {"413", "415"} <= set(operation["responses"]), path
            assert body_of(operation) or "application/octet-stream" in operation["requestBody"]["content"], path
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    text = json.dumps(DOCUMENT)
    assert "HTTPValidationError" not in text
    assert "-Input" not in text
    assert "-Output" not in text
    # Two models of one name would be told apart by our modules' names, which generated clients cannot parse.
    assert not [name for name in DOCUMENT["components"]["schemas"] if "__" in name]


def test_answers_have_no_closed_enumerations() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    closed = {f'"#/components/schemas/{name}"' for name, schema in schemas.items() if "enum" in schema}
    assert len(closed) > 20
    for name, schema in schemas.items():
        if name.endswith(("In", "Patch", "Amendment", "Vitals", "SideEffect", "Request")) or "enum" in schema:
            continue
        text = json.dumps(schema)
        assert '"enum"' not in text, name
        assert not [one for one in closed if one in text], name


def test_every_problem_has_a_page(server: TestClient) -> None:
    for code, family in families().items():
        page = server.get(f"/problems/{code}").json()
        assert (page["status"], page["title"]) == (family.status, family.title)
        assert page["meaning"]
    assert server.get("/problems/nonsense").status_code == 404


def test_the_docs_page_needs_no_other_host_and_no_inline_script(server: TestClient) -> None:
    page = server.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace("<!doctype html>", "")
    assert "<script>" not in page.text
    for file in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert server.get(f"/docs/{file}").status_code == 200
    assert server.get("/docs/../main.py").status_code == 404


def test_the_reference_pages_stand_beside_each_other() -> None:
    pages = {"openapi.json", "permissions.md", "released.json", "relief.md"}
    assert {p.name for p in Path(REFERENCE).iterdir()} == pages
