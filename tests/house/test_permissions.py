"""The service permits what the table of permissions says: every operation is tried by every kind of caller.

A new operation is in here at once, because the operations are read from the OpenAPI document.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access.policies import OPEN_OPERATIONS, PATIENT_VIEWS, PERMISSIONS, ROLE_SCOPES, SCOPES
from app.api.documents import router as documents
from tests.conftest import Api, new_client, new_clinic, new_device, new_person
from tests.house.test_routes import OPERATIONS, OWN, PROTECTED, World
from tests.render import REFERENCE, permissions

Caller = tuple[str, Api, str]
_PERMITTED = {200, 201, 202, 204, 409, 412, 415, 422, 428}
# Behind the table these count wrong codes and passwords, and the walk sends more than a person may.
_COUNTED = {"change_password", "start_second_factor", "confirm_second_factor"}


def status_of(answer: Any, name: str) -> str:
    """What became of a request, as far as the table speaks of it."""
    if name == "record_check_ins" and answer.status_code == 200:
        refused = answer.json()["results"][0]["http_status"]
        return "not_found" if refused == 404 else "permitted"
    if answer.status_code == 429 and name in _COUNTED:
        return "permitted"
    known = {401: "unknown", 403: "denied", 404: "not_found"}
    # A request that is refused for its content, or because of the state of an object, was permitted by the table.
    return known.get(answer.status_code, "permitted" if answer.status_code in _PERMITTED else "broken")


def expected(  # noqa: PLR0911 - one line per kind of caller
    name: str, path: str, kind: str, scopes: set[str], whose: str, view: str
) -> str:
    """What the table says. `kind` is nobody, admin, clinician, unfinished, device or client; `whose` is what is asked
    for: own, other (another patient of the clinic, for a device), or foreign (another clinic's)."""
    permission = PERMISSIONS[name]
    if kind == "nobody":
        return "unknown"
    by = {"admins": {"admin"}, "users": {"admin", "clinician"}, "devices": set()}.get(permission.by or "")
    if kind == "unfinished":
        return "permitted" if permission.unfinished else "denied"
    if kind == "device":
        if not permission.patients or permission.missing(scopes):
            return "denied"
        if whose != "own" and ("{patient_id}" in path or name == "record_check_ins"):
            return "not_found"
        if whose == "foreign" and "{" in path:
            return "not_found"
        return "permitted" if permission.is_shown(view) else "denied"
    if (by is not None and kind not in by) or permission.missing(scopes):
        return "denied"
    if whose == "foreign" and ("{" in path or name == "record_check_ins") and name not in OWN:
        return "not_found"
    return "permitted"


def cells(server: TestClient, world: World, other: World, view: str) -> Iterator[tuple[str, Any, set[str], World, str]]:
    """Every caller of a clinic: who, how they call, their scopes, and whose things they ask for."""
    clinic = world.api.clinic_id
    admin, clinician = new_person(server, clinic, "admin"), new_person(server, clinic, "clinician")
    device = new_device(world.api, world.ids["patient_id"])
    stranger = new_device(world.api, world.api.patient())
    nobody = replace(admin, token="nonsense")
    for whose, there in (("own", world), ("foreign", other)):
        yield "nobody", nobody, set(), there, whose
        yield "admin", admin, set(ROLE_SCOPES["admin"]), there, whose
        yield "clinician", clinician, set(ROLE_SCOPES["clinician"]), there, whose
        yield "device", device, set(ROLE_SCOPES["patient"]), there, whose
        yield "client", new_client(server, clinic, " ".join(SCOPES)), set(SCOPES), there, whose
    yield "device", stranger, set(ROLE_SCOPES["patient"]), world, "other"
    if view == "all":
        for scope in SCOPES:
            # No client may hold cohorts:read and a scope to write without patients:read.
            less = {scope, "cohorts:read"} if scope == "patients:read" else {scope}
            rest = [other_scope for other_scope in SCOPES if other_scope not in less]
            yield "client", new_client(server, clinic, " ".join(rest)), set(rest), world, "own"


@pytest.mark.parametrize("view", PATIENT_VIEWS)
def test_everyone_may_do_what_the_table_says_and_nothing_else(server: TestClient, view: str) -> None:
    world, other = World(new_clinic(server)), World(new_clinic(server))
    assert world.api.patch("/v1/clinic", {"patient_view": view}, 1).status_code == 200
    started, count, wrong = time.perf_counter(), 0, []
    for kind, caller, scopes, there, whose in cells(server, world, other, view):
        # Operations that change callers come last, because a revoked device or a disabled person can do nothing more.
        for method, path, operation in sorted(PROTECTED, key=lambda o: o[2]["operationId"] in _LAST):
            name = operation["operationId"]
            answer = there.call(_leaving(caller, name, kind), method, path, operation)
            said, told = expected(name, path, kind, scopes, whose, view), status_of(answer, name)
            count += 1
            if said != told:
                wrong.append((kind, sorted(set(SCOPES) - scopes)[:1], whose, name, said, told, answer.text[:200]))
            if whose == "foreign" and name != "list_audit_events":  # its events hold the ids asked for
                assert not any(value in answer.text for value in there.secrets()), name
    print(f"{count} cells in {time.perf_counter() - started:.1f} s")
    assert wrong == []


def _leaving(caller: Api, name: str, role: str) -> Api:
    """The caller; for what ends every session of theirs, another one of their kind."""
    is_person = role in ("admin", "clinician")
    return new_person(caller.server, caller.clinic_id, role) if name == "sign_out_everywhere" and is_person else caller


_LAST = {"revoke_device", "erase_patient", "update_user", "reset_password", "update_client"}


def test_until_a_required_second_factor_is_set_up_nothing_else_is_permitted(server: TestClient) -> None:
    world = World(new_clinic(server))
    assert world.api.patch("/v1/clinic", {"second_factor": "required"}, 1).status_code == 200
    for role in ("admin", "clinician"):
        person = new_person(server, world.api.clinic_id, role)
        for method, path, operation in PROTECTED:
            name = operation["operationId"]
            answer = world.call(_leaving(person, name, role), method, path, operation)
            assert status_of(answer, name) == expected(name, path, "unfinished", set(), "own", "all"), name
    device = new_device_after(server, world)
    assert device.get(f"/v1/patients/{device.caller_id}/relief").status_code == 200


def new_device_after(server: TestClient, world: World) -> Api:
    """A patient's device, enrolled while the clinic's people still could."""
    other = World(new_clinic(server))
    device = new_device(other.api, other.ids["patient_id"])
    assert other.api.patch("/v1/clinic", {"second_factor": "required"}, 1).status_code == 200
    return device


def test_every_operation_has_a_permission_and_every_permission_an_operation() -> None:
    assert {o[2]["operationId"] for o in OPERATIONS} == set(PERMISSIONS) | OPEN_OPERATIONS


def test_nothing_else_is_open_without_a_token(server: TestClient) -> None:
    """What the OpenAPI document leaves out is pages."""
    paths = {route.path for route in documents.routes}  # type: ignore[attr-defined]
    assert paths == {
        "/docs",
        "/docs/start.js",
        "/docs/{name}",
    }
    opened = {path for _, path, operation in OPERATIONS if operation["operationId"] in OPEN_OPERATIONS}
    allowed = ("/oauth/", "/v1/instruments", "/v1/enrolments/redeem", "/problems", "/livez", "/readyz", "/openapi.json")
    assert all(path.startswith(allowed) for path in opened)
    assert server.get("/nowhere").status_code == 404


def test_the_committed_table_is_current() -> None:
    assert (REFERENCE / "permissions.md").read_text(encoding="utf-8") == permissions(), "run: make docs"
