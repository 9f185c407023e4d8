"""What a page costs: its queries do not grow with the clinic, nor with what a patient's record holds."""

from app.storage import Database
from tests.conftest import Api, days_ago, new_device
from tests.house.test_queries import counted
from tests.web.pages import Browser

# What was counted when this was written, on either engine, the audit event and the caller's row included.
MOST = {
    "/": 15,
    "/alerts": 5,
    "/patients": 8,
    "/cohorts": 14,
    "": 36,
    "/history": 13,
    "/plan": 16,
    "/letter": 36,
    "/check-ins/new": 18,
    "/admin/audit": 7,
    "/check-in": 10,
    "/check-in/scores": 11,
}


def filled(api: Api, patients: int, each: int) -> str:
    """A clinic of so many patients, with so many sessions and scores each; one of them."""
    for _ in range(patients):
        patient = api.patient(label="A.B.")
        api.check_in(patient, days_ago(60), "phq-9", 20)
        for number in range(each):
            api.session(patient, days_ago(2 + 2 * (each - number)))
            api.check_in(patient, days_ago(0.7 + 2 * (each - number)), "phq-9", 5)
    return patient


def test_a_page_costs_the_same_however_much_there_is(api: Api, database: Database) -> None:
    few = costs(api, database, filled(api, 12, 2))
    many = costs(api, database, filled(api, 24, 12))
    print({path: (few[path], many[path]) for path in few})
    for path, cost in many.items():
        assert cost <= few[path] + 2, path  # two more where a reading calls for another one
        assert cost <= MOST[path], path


def costs(api: Api, database: Database, patient: str) -> dict[str, int]:
    base, found = f"/patients/{patient}", dict[str, int]()
    person, phone = Browser(api), Browser(new_device(api, patient), "holdfast-check-in")
    for path in MOST:
        is_own = path in ("", "/history", "/plan", "/letter", "/check-ins/new")
        browser = phone if path.startswith("/check-in") and not is_own else person
        where = base + path if is_own else path
        assert browser.get(where).status_code == 200, where  # the caller is known then
        with counted(database) as statements:
            assert browser.get(where).status_code == 200
        found[path] = len(statements)
    return found
