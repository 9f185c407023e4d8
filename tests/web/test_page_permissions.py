"""Every page, and every form, by everyone: the table of permissions is what the service does. The routes are read from
the application, so a new page is in here at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.access.policies import OPEN_PAGES, PAGES, PERMISSIONS, ROLE_SCOPES
from app.main import _PAGES
from app.web.pages import DevicePageRoute, PageRoute
from tests.conftest import Api, new_clinic, new_device, new_person
from tests.house.test_routes import World
from tests.web.pages import Browser

_OF_STATE = {200, 202, 303, 400, 409, 412, 415, 422, 429}


def routes() -> Iterator[tuple[str, APIRoute]]:
    for router in _PAGES:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                yield method, route


CLOSED = [(method, route) for method, route in routes() if route.name not in OPEN_PAGES]
# Each ends what the rest of the walk needs; tried on what is not there, or by nobody.
ENDING = {"sign_out_everywhere", "revoke_device", "update_user", "reset_password", "delete_webhook"}


def expected(route: APIRoute, kind: str, whose: str) -> str:
    permission = PERMISSIONS.get(route.name) or PAGES[route.name]
    is_phone = isinstance(route, DevicePageRoute)
    if kind == "nobody" or is_phone != (kind == "device"):
        return "unknown"
    role = {"device": "patient"}.get(kind, kind)
    if not permission.admits("device" if kind == "device" else "user", role) or permission.missing(ROLE_SCOPES[role]):
        return "denied"
    return "not_found" if whose == "foreign" and "{" in route.path else "permitted"


def came_of(answer: Any) -> str:
    if answer.status_code == 303 and answer.headers["location"].startswith(("/sign-in", "/check-in/enrol")):
        return "unknown"
    known = {401: "unknown", 403: "denied", 404: "not_found"}
    return known.get(answer.status_code, "permitted" if answer.status_code in _OF_STATE else "broken")


def asked(browser: Browser, method: str, route: APIRoute, ids: dict[str, str]) -> Any:
    path = route.path.replace(":uuid", "").format(**ids)
    if route.name == "record_check_in" and "{" in route.path:
        content = {"taken_at": "2025-02-01T10:00:00Z", "responses": [{"instrument": "nrs-pain", "score": 3}]}
        return browser.request(method, path, json=content)
    if method == "GET":
        return browser.get(path)
    return browser.post(
        path, version="1", reason="a test", q="Owner", disposition="contacted", kind="tms", on="2025-01-25"
    )


def test_everyone_sees_what_the_table_says_and_nothing_else(server: TestClient) -> None:
    world, other = World(new_clinic(server)), World(new_clinic(server))
    clinic = world.api.clinic_id
    people = {role: new_person(server, clinic, role) for role in ("admin", "clinician")}
    device = new_device(world.api, world.ids["patient_id"])
    nobody = Api(server, "nonsense", clinic, world.api.caller_id)
    wrong, count = [], 0
    for kind, caller in (*people.items(), ("device", device), ("nobody", nobody)):
        for whose, there in (("own", world), ("foreign", other)):
            for method, route in CLOSED:
                if route.name in ENDING and kind != "nobody" and (whose == "own" or "{" not in route.path):
                    continue
                jar = "holdfast-check-in" if isinstance(route, DevicePageRoute) and kind == "device" else "holdfast"
                answer = asked(Browser(caller, jar), method, route, there.ids)
                said, told = expected(route, kind, whose), came_of(answer)
                count += 1
                if said != told:
                    wrong.append((kind, whose, method, route.path, route.name, said, told, answer.status_code))
                if whose == "foreign" and told != "permitted":
                    assert "Owner" not in answer.text, route.path
    print(f"{count} cells")
    assert wrong == [], wrong


def test_every_page_is_a_page_and_in_the_table() -> None:
    for method, route in routes():
        assert route.name in {*OPEN_PAGES, *PAGES, *PERMISSIONS}, route.path
        assert method in ("GET", "POST"), route.path
        if route.name != "get_static_file":
            assert isinstance(route, PageRoute), route.path
    assert set(PAGES) | OPEN_PAGES <= {route.name for _, route in routes()}


@pytest.mark.parametrize("sent", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {},
                                  {"Origin": "https://elsewhere.example"}])  # fmt: skip
def test_no_form_is_taken_from_another_site(api: Api, sent: dict[str, str]) -> None:
    """Nor one of which nobody says where it comes from."""
    ids = World.of_patient(api)
    headers = {"Cookie": f"holdfast-access={api.token}", **sent}
    for method, route in routes():
        if method == "POST":
            path = route.path.format(**ids)
            answer = api.server.post(path, headers=headers, data={"q": "x"}, follow_redirects=False)
            assert answer.status_code == 403, path
            assert "did not come from a page" in answer.text, path


def test_a_form_is_taken_where_an_old_browser_says_only_its_origin(api: Api) -> None:
    headers = {"Cookie": f"holdfast-access={api.token}", "Origin": "http://testserver"}
    answer = api.server.post("/patients/search", headers=headers, data={"q": "nobody"}, follow_redirects=False)
    assert answer.status_code == 200


def test_a_cookie_alone_reads_the_api_and_writes_nothing(api: Api) -> None:
    """A browser sends its cookies along whatever page asks."""
    cookie = {"Cookie": f"holdfast-access={api.token}", "Sec-Fetch-Site": "same-origin"}
    assert api.server.get("/v1/me", headers=cookie).status_code == 200
    answer = api.server.post("/v1/patients", headers=cookie, json={"external_id": "A1"})
    assert answer.status_code == 401


def test_a_page_leaves_one_event_with_whom_it_showed(api: Api) -> None:
    patient_id = api.patient(label="Owner")
    shown = {
        f"/patients/{patient_id}": "page_patient",
        f"/patients/{patient_id}/letter": "page_letter",
        f"/patients/{patient_id}/history": "page_history",
        "/patients": "list_patients",
    }
    for path, operation in shown.items():
        assert Browser(api).get(path, headers={"X-Request-Id": f"{operation}-1"}).status_code == 200
        found = [one for one in api.get("/v1/audit-events").json()["items"] if one["request_id"] == f"{operation}-1"]
        assert [(one["operation"], one["outcome"], one["patient_ids"]) for one in found] == [
            (operation, "done", [patient_id])
        ]
