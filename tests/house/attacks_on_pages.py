"""Attacks on the pages: what another site, another clinic, a patient and a forger would try with a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx

from tests.house.attacks import RECENT, Came, Target, attack, came

_KIND = "Pages"
_HERE = {"Sec-Fetch-Site": "same-origin"}
_SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@contextmanager
def _browser(t: Target, holder: httpx.Client, jar: str = "holdfast") -> Iterator[httpx.Client]:
    """A browser with the sign-in of a caller."""
    token = str(holder.headers["authorization"]).removeprefix("Bearer ")
    headers = {"Cookie": f"{jar}-access={token}", **_HERE}
    with httpx.Client(base_url=t.address, headers=headers, timeout=30) as found:
        yield found


@attack(_KIND, "Send a clinician's forms from another site, from a subdomain, and from a page that does not say where")
def _(t: Target) -> Came:
    elsewhere: list[dict[str, str]] = [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.invalid"},
        {"Sec-Fetch-Site": "same-site", "Origin": t.address},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {"Origin": f"{t.address}.attacker.invalid"},
        {},
    ]
    token = str(t.admin.headers["authorization"]).removeprefix("Bearer ")
    with httpx.Client(base_url=t.address, headers={"Cookie": f"holdfast-access={token}"}, timeout=30) as forged:
        answers = [
            forged.post(path, data={"external_id": "forged", "name": "forged", "version": "1"}, headers=headers)
            for headers in elsewhere
            for path in ("/patients", "/admin/clinic", "/admin/people", f"/patients/{t.patient}/enrolments")
        ]
    stands = t.admin.get("/v1/clinic").json()["name"] == "attacked"
    found = came(answers, 403)
    return Came(found.held and stands, f"{found.told}: not from here; nothing changed")


@attack(_KIND, "Write under /v1 with a browser's cookies alone, as a script of another page would")
def _(t: Target) -> Came:
    with _browser(t, t.admin) as browser:
        answers = [
            browser.post("/v1/patients", json={"external_id": "forged"}),
            browser.patch("/v1/clinic", json={"name": "forged"}, headers={"If-Match": "*"}),
            browser.delete(f"/v1/webhooks/{uuid4()}"),
        ]
    return came(answers, 401)


@attack(_KIND, "Open and change another clinic's patient, letter, check-in, alert, person and import by id")
def _(t: Target) -> Came:
    base = f"/patients/{t.patient}"
    user = t.admin.get("/v1/users").json()["items"][0]["id"]
    with _browser(t, t.outsider) as browser:
        answers = [
            *(browser.get(base + more) for more in ("", "/history", "/letter", "/authorisation", "/plan", "/edit")),
            browser.get(f"{base}/check-ins/{t.check_in}"),
            browser.get(f"{base}/sessions/{t.session}"),
            browser.post(f"{base}/enrolments"),
            browser.post(f"{base}/events", data={"kind": "tms", "on": "2025-01-06"}),
            browser.post(f"/alerts/{t.alert}/acknowledgement", data={"disposition": "contacted", "note": "x"}),
            browser.post(f"/admin/people/{user}/password-reset"),
            browser.get(f"/admin/imports/{uuid4()}"),
        ]
    return came(answers, 404, without=("Marker", "attacked@"))


@attack(_KIND, "Open the console, the administration and another patient with a patient's phone")
def _(t: Target) -> Came:
    paths = ("/", "/patients", f"/patients/{t.patient}", "/admin", "/admin/audit", "/cohorts")
    with _browser(t, t.device) as as_person, _browser(t, t.device, "holdfast-check-in") as as_phone:
        answers = [as_person.get(path) for path in paths] + [as_phone.get(path) for path in paths]
        posted = as_phone.post(
            f"/check-in/patients/{t.patient}/check-ins",
            json={"taken_at": RECENT, "responses": [{"instrument": "nrs-mood", "score": 5}]},
        )
    led = all(a.status_code == 303 and a.headers["location"].startswith("/sign-in") for a in answers)
    told = f"303 to the sign-in; posting for another patient {posted.status_code}"
    return Came(led and posted.status_code == 404, told)


@attack(_KIND, "Be sent to another site by a form that leads back to where one was")
def _(t: Target) -> Came:
    aims = ("https://attacker.invalid/", "//attacker.invalid", "/\\attacker.invalid", "javascript:alert(1)", "/\t//a.b")
    with _browser(t, t.admin) as browser:
        answers = [browser.post("/language", data={"language": "en", "next": aim}) for aim in aims]
        for aim in aims:
            body = {"taken_at": RECENT, "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}]}
            mine = t.admin.post("/v1/patients", json={"external_id": uuid4().hex}).json()["id"]
            alert = t.admin.post(f"/v1/patients/{mine}/check-ins", json=body).json()["alerts"][0]["id"]
            said = {"disposition": "contacted", "note": "x", "next": aim}
            answers.append(browser.post(f"/alerts/{alert}/acknowledgement", data=said))
    found = {a.headers.get("location", "") for a in answers}
    ours = all(one.startswith("/") and not one.startswith(("//", "/\\")) and "attacker" not in one for one in found)
    return Came(ours and {a.status_code for a in answers} == {303}, "303 to a page of our own")


@attack(_KIND, "Put a script into a label, an event, a note and a search, to be run by whoever looks")
def _(t: Target) -> Came:
    mine = t.outsider.post("/v1/patients", json={"external_id": uuid4().hex, "label": _SCRIPT}).json()["id"]
    t.outsider.post(f"/v1/patients/{mine}/events", json={"kind": "other", "on": "2025-01-06", "label": _SCRIPT})
    t.outsider.post(f"/v1/patients/{mine}/sessions", json={"started_at": "2025-01-06T10:00:00Z", "notes": _SCRIPT})
    with _browser(t, t.outsider) as browser:
        pages = [browser.get(f"/patients/{mine}{more}") for more in ("", "/letter", "/edit", "/history")]
        pages += [browser.get("/patients"), browser.post("/patients/search", data={"q": _SCRIPT})]
    held = all("<script>alert" not in page.text and "<img src=x" not in page.text for page in pages)
    policies = [page.headers["content-security-policy"] for page in pages]
    strict = all("script-src 'self'" in one and "unsafe" not in one for one in policies)
    return Came(held and strict, "shown as text; the policy lets no script in but our own files")


@attack(_KIND, "Read a page from a browser's cache, and in a frame of another site")
def _(t: Target) -> Came:
    with _browser(t, t.admin) as browser:
        page = browser.get(f"/patients/{t.patient}")
    kept = page.headers["cache-control"]
    framed = "frame-ancestors 'none'" in page.headers["content-security-policy"]
    return Came("no-store" in kept and framed, f"{kept}; frame-ancestors 'none'")


@attack(_KIND, "Have reminders sent to the service itself, its network and its cloud")
def _(t: Target) -> Came:
    inside = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]")
    addresses = [*(f"https://{host}/x" for host in inside), t.address, "file:///etc/passwd", "https://a:b@example.org/"]
    keys = {
        "public_key": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
        "secret": "A" * 22,
    }
    with _browser(t, t.device, "holdfast-check-in") as phone:
        answers = [phone.post("/check-in/reminders/on", json={"endpoint": one, **keys}) for one in addresses]
        answers += [phone.post("/check-in/reminders/renewal", json={"endpoint": one, **keys}) for one in addresses]
    return came(answers, 422)
