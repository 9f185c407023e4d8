"""No answer shows more than its caller may read: every write, by a client that may do it and nothing else."""

import json
from typing import Any

import pytest

from app.access.policies import PERMISSIONS, why_scopes_clash
from tests.conftest import Api, new_client
from tests.house.test_routes import OPERATIONS, World

# What an object holds, by the scope with which it may be read.
TOLD_WITH = {
    "patients:read": ("Owner", "external_id", "birth_year"),
    "sessions:read": ('"started_at":', "episode_number", "dose_mg"),
    "checkins:read": ('"answers"', '"self_harm_item"', '"recorded_by"', '"phase"', '"notice"'),
    "outcomes:read": ("improvement_percent", "holding"),
    "alerts:read": ('"raised_at"', '"acknowledgements"'),
    "plans:read": ('"window"',),
    "cohorts:read": ("responders",),
    "audit:read": ('"actor"',),
}
WRITES = [
    (method, path, operation)
    for method, path, operation in OPERATIONS
    if method != "GET"
    and (permission := PERMISSIONS.get(operation["operationId"])) is not None
    and permission.by is None
    and permission.scope is not None
    and why_scopes_clash({permission.scope}) is None
]
# The caller sent all of it, or it is the whole point and its scope is the one that it is read with.
OWN = {("create_patient", "patients:read"), ("put_plan", "plans:read"), ("record_check_in", "checkins:read"),
       ("record_check_ins", "checkins:read")}  # fmt: skip
# The examples of their bodies fit nothing here: see below. Moves need the scope to read as well.
# A webhook is told only what its owner may read.
REFUSED = {"record_session", "move_check_in", "move_session", "create_webhook", "update_webhook", "delete_webhook"}


@pytest.mark.parametrize(("method", "path", "operation"), WRITES, ids=[o[2]["operationId"] for o in WRITES])
def test_a_client_that_may_write_alone_is_shown_nothing(
    api: Api, method: str, path: str, operation: dict[str, Any]
) -> None:
    name = operation["operationId"]
    permission = PERMISSIONS[name]
    world = World(api)
    held = {permission.scope, permission.also} - {None}
    client = new_client(api.server, api.clinic_id, " ".join(sorted(str(scope) for scope in held)))
    answers = [world.call(client, method, path, operation) for _ in range(2)]
    if method == "PATCH":
        filled = path.format(**world.ids)
        answers.append(client.request("PATCH", filled, json={}, headers={"If-Match": "*"}))
        answers.append(client.request("PATCH", filled, json={}, headers={"If-Match": '"1"'}))
    if name == "put_plan":
        answers.append(client.request("PUT", path.format(**world.ids), json={"items": None}, headers={"If-Match": "*"}))
        assert answers.pop().json().keys() == {"id", "version"}
    assert name in REFUSED or any(answer.status_code in (200, 201, 202, 204) for answer in answers), [
        a.text for a in answers
    ]
    for answer in answers:
        for scope, marks in TOLD_WITH.items():
            if scope not in held and (name, scope) not in OWN:
                for mark in marks:
                    assert mark not in _values(answer), (name, scope, mark, answer.text)


def _values(answer: Any) -> str:
    """The answer without what is null or empty, which tells nothing."""

    def told(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: told(value) for key, value in node.items() if value not in (None, [], {})}
        return [told(value) for value in node] if isinstance(node, list) else node

    return json.dumps(told(answer.json())) if answer.content else ""


def test_a_patch_of_nothing_shows_nothing(api: Api) -> None:
    patient = api.patient(label="Owner")
    client = new_client(api.server, api.clinic_id, "patients:write")
    answer = client.request("PATCH", f"/v1/patients/{patient}", json={}, headers={"If-Match": "*"})
    assert answer.json() == {"id": patient, "version": 1}
    recorder = new_client(api.server, api.clinic_id, "sessions:write")
    body = {"started_at": "2025-03-01T10:00:00Z", "notes": "said to somebody else"}
    recorded = recorder.post(f"/v1/patients/{patient}/sessions", body)
    assert (recorded.status_code, recorded.json().keys()) == (201, {"id", "version"})
    path = f"/v1/patients/{patient}/sessions/{recorded.json()['id']}"
    shown = recorder.request("PATCH", path, json={}, headers={"If-Match": "*"})
    assert (shown.status_code, shown.json().keys()) == (200, {"id", "version"})
    made = client.post("/v1/patients", {"external_id": "own"})
    assert (made.status_code, made.json()["external_id"]) == (201, "own"), "all of it was sent just now"
