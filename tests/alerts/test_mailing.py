"""Mail about urgent alerts: to a real server, without a patient's data, again and to the next until somebody acts."""

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from smtplib import SMTPAuthenticationError
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app import clock
from app.access.models import Clinic as ClinicRow
from app.alerts import mailing, store
from app.alerts.mailing import Mail
from app.alerts.routes import MAIL
from app.api.parts import DATABASE
from app.main import create_app
from app.migrating import upgrade
from app.storage import NO_CLINIC, Database
from tests.alerts.test_alerts import item_9
from tests.conftest import ENGINES, Api, app_of, days_ago, free_port, fresh_settings, new_clinic, new_device, new_person


class Mailbox:
    """What a mail server took."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refuses = False
        self.before_taking: Callable[[], object] = lambda: None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 try again later"
        self.before_taking()
        self.taken.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"

    @property
    def told(self) -> list[str]:
        return [to[0] for to, _ in self.taken]


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box = Mailbox()
    with mail_server(box) as port:
        yield box, f"smtp://127.0.0.1:{port}?from=holdfast@example.org"


@contextmanager
def mail_server(box: Mailbox, **options: Any) -> Iterator[int]:
    """A mail server's port."""
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@dataclass
class Clinic:
    """A clinic in a database of its own, whose mail goes to a real server."""

    api: Api
    database: Database
    box: Mailbox
    mail: Mail

    def urgent(self, item: int = 3, days: float = 0.01) -> dict[str, Any]:
        posted = {"taken_at": days_ago(days), "responses": item_9(item)}
        answer = self.api.post(f"/v1/patients/{self.api.patient(label='Marker')}/check-ins", posted)
        found: dict[str, Any] = answer.json()["alerts"][0]
        return found

    def shown(self, alert: dict[str, Any]) -> dict[str, Any]:
        items = self.api.get("/v1/alerts").json()["items"]
        found: dict[str, Any] = next(item for item in items if item["id"] == alert["id"])
        return found

    def send(self) -> int:
        return mailing.send_due(self.database, self.mail)


@pytest.fixture(params=ENGINES)
def clinic(request: pytest.FixtureRequest, tmp_path: Path, mailbox: tuple[Mailbox, str]) -> Iterator[Clinic]:
    box, url = mailbox
    settings = fresh_settings(request.param, request, tmp_path)
    upgrade(settings)
    settings = settings.model_copy(update={"smtp_url": SecretStr(url)})
    with TestClient(create_app(settings)) as server:
        api = new_clinic(server)
        named = api.patch("/v1/clinic", {"alert_recipients": ["first@example.org", "second@example.org"]}, 1)
        assert named.status_code == 200
        mail = MAIL.in_app(app_of(server))
        assert mail is not None
        yield Clinic(api, DATABASE.in_app(app_of(server)), box, mail)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the clock of the job stand at a moment."""

    def stand(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    return stand


def test_an_urgent_alert_is_mailed_without_a_patients_data(clinic: Clinic) -> None:
    alert = clinic.urgent()
    assert clinic.send() == 1
    [(to, message)] = clinic.box.taken
    assert to == ["first@example.org"]
    content = message.as_string()
    for said in (alert["patient_id"], alert["check_in_id"], "marker", "phq", "item", "harm", "score"):
        assert said not in content.lower()
    assert message["Auto-Submitted"] == "auto-generated"
    assert "urgent alert" in str(message["Subject"])
    [told] = clinic.shown(alert)["notifications"]
    assert (told["to"], told["outcome"]) == ("first@example.org", "sent")
    assert clinic.send() == 0, "told once"


def test_it_goes_to_the_next_after_4_and_24_hours_unless_acknowledged(clinic: Clinic, at: Any) -> None:
    alert, now = clinic.urgent(), clock.now()
    clinic.send()
    for hours, told in ((3.9, 1), (4.1, 2), (23.9, 2), (24.1, 3), (90, 3)):
        at(now + timedelta(hours=hours))
        clinic.send()
        assert len(clinic.box.told) == told, hours
    assert clinic.box.told == ["first@example.org", "second@example.org", "first@example.org"]
    assert "still" in str(clinic.box.taken[1][1]["Subject"])
    assert len(clinic.shown(alert)["notifications"]) == 3


@pytest.mark.parametrize(("disposition", "told"), [("contacted", 1), ("could_not_reach", 2)])
def test_an_acknowledged_alert_is_not_mailed_again(clinic: Clinic, at: Any, disposition: str, told: int) -> None:
    alert, now = clinic.urgent(), clock.now()
    clinic.send()
    clinic.api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": disposition})
    at(now + timedelta(hours=5))
    clinic.send()
    assert len(clinic.box.told) == told


def test_high_and_late_alerts_tell_nobody(clinic: Clinic) -> None:
    clinic.urgent(item=1)
    clinic.urgent(item=3, days=4)
    assert clinic.send() == 0


def test_a_server_that_refuses_is_tried_again_and_then_the_next_person(clinic: Clinic, at: Any) -> None:
    clinic.box.refuses = True
    alert, now = clinic.urgent(), clock.now()
    for minutes in range(17):
        at(now + timedelta(minutes=minutes, seconds=5))
        assert clinic.send() == 0
    tried = [(n["to"], n["outcome"]) for n in clinic.shown(alert)["notifications"]]
    first, second = "first@example.org", "second@example.org"
    assert tried == [(first, "failed"), (second, "failed"), (first, "failed"), (second, "failed")], "every five minutes"
    clinic.box.refuses = False
    at(now + timedelta(minutes=18))
    assert clinic.send() == 1
    told = []
    for hours in (1, 4.2, 5, 24.2, 25, 90):
        at(now + timedelta(minutes=18, hours=hours))
        clinic.send()
        told.append(len(clinic.box.told))
    assert told == [1, 2, 2, 3, 3, 3], "4 and 24 hours count from the first mail that left"


def test_whose_turn_it_is_goes_on_after_a_try_that_failed(clinic: Clinic, at: Any) -> None:
    people = [f"{name}@example.org" for name in ("one", "two", "three")]
    clinic.api.patch("/v1/clinic", {"alert_recipients": people}, 2)
    clinic.box.refuses = True
    clinic.urgent()
    now = clock.now()
    for minutes in range(5):
        at(now + timedelta(minutes=minutes, seconds=5))
        clinic.send()
    clinic.box.refuses = False
    for hours in (0.1, 4.2, 24.2):
        at(now + timedelta(hours=hours))
        clinic.send()
    assert clinic.box.told == ["two@example.org", "three@example.org", "one@example.org"]


def test_mail_does_not_wait_for_an_earlier_wrong_clock(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_id, real = clinic.api.patient(), clock.now
    ahead = real() + timedelta(minutes=10)
    with monkeypatch.context() as wrong:
        wrong.setattr(clock, "now", lambda: ahead)
        clinic.api.check_in(patient_id, days_ago(2), "nrs-pain", 3)
    posted = {"taken_at": days_ago(0.01), "responses": item_9(3)}
    assert clinic.api.post(f"/v1/patients/{patient_id}/check-ins", posted).status_code == 201
    assert clinic.send() == 1


def test_a_long_outage_is_outlasted(clinic: Clinic, at: Any) -> None:
    clinic.box.refuses = True
    clinic.urgent()
    now = clock.now()
    for minutes in range(0, 600, 5):
        at(now + timedelta(minutes=minutes))
        clinic.send()
    clinic.box.refuses = False
    at(now + timedelta(minutes=611))
    assert clinic.send() == 1, "at the latest ten minutes after the server is back"


def test_an_address_that_mail_stumbles_over_is_passed_over(clinic: Clinic, at: Any) -> None:
    def spoil(db: Any) -> None:
        held = db.get(ClinicRow, clinic.api.clinic_id)
        held.alert_recipients = ["=@[1.2", "good@example.org"]
        db.add(held)

    clinic.database.writing(clinic.api.clinic_id, spoil)
    clinic.urgent()
    now = clock.now()
    for minutes in range(6):
        at(now + timedelta(minutes=minutes, seconds=5))
        clinic.send()
    assert clinic.box.told == ["good@example.org"]


def test_a_clinic_that_named_nobody_does_not_stand_in_the_others_way(clinic: Clinic, at: Any) -> None:
    silent = new_clinic(clinic.api.server)
    for _ in range(3):
        replace(clinic, api=silent).urgent()
    clinic.send()
    now = clock.now()
    assert clinic.database.reading(NO_CLINIC, lambda db: store.overdue_notices(db, now)) == 0
    clinic.urgent()
    clinic.send()
    assert clinic.box.told == ["first@example.org"]
    silent.patch("/v1/clinic", {"alert_recipients": ["at.last@example.org"]}, 1)
    clinic.send()
    assert clinic.box.told == ["first@example.org"] + ["at.last@example.org"] * 3


def test_where_alerts_reach_nobody_it_is_said_and_they_wait(clinic: Clinic, at: Any) -> None:
    api = clinic.api
    assert api.get("/v1/clinic").json()["alerts_reach_nobody"] is False
    assert api.get("/v1/worklist").json()["alerts_reach_nobody"] is False
    assert api.patch("/v1/clinic", {"alert_recipients": []}, 2).json()["alerts_reach_nobody_because"] == "no_recipients"
    for path in ("/v1/clinic", "/v1/worklist", "/v1/alerts"):
        assert api.get(path).json()["alerts_reach_nobody"] is True, path
    clinic.urgent()
    now = clock.now()
    assert clinic.send() == 0
    assert mailing.send_due(clinic.database, None) == 0
    api.patch("/v1/clinic", {"alert_recipients": ["late@example.org"]}, 3)
    at(now + timedelta(minutes=2))
    assert clinic.send() == 1
    assert clinic.box.told == ["late@example.org"]


def test_without_a_mail_server_alerts_reach_nobody(api: Api) -> None:
    assert api.patch("/v1/clinic", {"alert_recipients": ["a@example.org"]}, 1).status_code == 200
    found = api.get("/v1/clinic").json()
    assert (found["alerts_reach_nobody"], found["alerts_reach_nobody_because"]) == (True, "no_mail_server")


def test_recipients_are_addresses_and_no_header_comes_with_them(api: Api) -> None:
    for bad in (
        "x",
        "=@[1.2",
        "a@b",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org, b@example.org",
        "a b@example.org",
    ):
        assert api.patch("/v1/clinic", {"alert_recipients": [bad]}, 1).status_code == 422, bad


def test_two_clinics_are_told_apart(clinic: Clinic) -> None:
    other = new_clinic(clinic.api.server)
    assert other.patch("/v1/clinic", {"alert_recipients": ["other@example.org"]}, 1).status_code == 200
    elsewhere = replace(clinic, api=new_person(clinic.api.server, other.clinic_id, "admin"))
    elsewhere.urgent()
    clinic.urgent()
    assert clinic.send() == 2
    assert sorted(clinic.box.told) == ["first@example.org", "other@example.org"]


def test_a_round_ends_and_the_next_goes_on(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "_A_ROUND", 2)
    for _ in range(3):
        clinic.urgent()
    assert [clinic.send(), clinic.send(), clinic.send()] == [2, 1, 0]


def test_a_notice_that_another_process_is_sending_is_left_to_it(clinic: Clinic) -> None:
    if clinic.database.is_sqlite:
        pytest.skip("SQLite has one writer: two processes cannot take a notice at the same time")
    clinic.urgent()
    later = clock.now() + timedelta(minutes=5)

    def meanwhile(db: Any) -> int:
        assert store.due_notice(db, clock.now(), later) is not None
        return clinic.send()

    assert clinic.database.writing(NO_CLINIC, meanwhile) == 0
    assert clinic.box.told == []


def test_an_alert_acknowledged_just_before_or_during_sending_is_mailed_no_more(clinic: Clinic, at: Any) -> None:
    def acknowledge(alert: dict[str, Any]) -> None:
        body = {"disposition": "contacted"}
        assert clinic.api.post(f"/v1/alerts/{alert['id']}/acknowledgement", body).status_code == 201

    alert, now = clinic.urgent(), clock.now()
    clinic.box.before_taking = lambda: acknowledge(alert)
    assert clinic.send() == 1
    [told] = clinic.shown(alert)["notifications"]
    assert told["outcome"] == "sent", "a mail that left is on record"
    clinic.box.before_taking = lambda: None
    earlier = clinic.urgent()
    taken = clinic.database.writing(NO_CLINIC, lambda db: store.due_notice(db, clock.now(), now))
    assert taken is not None
    acknowledge(earlier)
    assert mailing._send(clinic.database, clinic.mail, taken) is False
    at(now + timedelta(hours=30))
    assert clinic.send() == 0
    assert len(clinic.box.told) == 1


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A mail server's certificate, which the machine trusts for the while."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "chain.pem").write_bytes(made.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(secret)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "chain.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    return context


def names(login: str, password: str) -> Any:
    """An authenticator that lets one login in."""

    def check(_: Any, __: Any, ___: Any, ____: Any, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given == LoginPassword(login.encode(), password.encode()), handled=False)

    return check


def test_mail_leaves_by_tls_and_with_a_password(certificate: ssl.SSLContext) -> None:
    box = Mailbox()
    login = {"authenticator": names("clinic", "pass word"), "auth_required": True}
    with mail_server(box, tls_context=certificate, require_starttls=True, **login) as port:
        Mail(f"smtp://clinic:pass%20word@127.0.0.1:{port}", "https://x").send("a@example.org", "one", "text", "1")
        with pytest.raises(SMTPAuthenticationError):
            Mail(f"smtp://clinic:wrong@127.0.0.1:{port}", "https://x").send("a@example.org", "two", "text", "2")
    with mail_server(box, tls_context=certificate, require_starttls=True) as port:
        Mail(f"smtp://127.0.0.1:{port}?starttls=1", "https://x").send("a@example.org", "three", "text", "3")
    with mail_server(box, ssl_context=certificate) as port:
        Mail(f"smtps://127.0.0.1:{port}", "https://x").send("a@example.org", "four", "text", "4")
    assert [str(message["Subject"]) for _, message in box.taken] == ["one", "three", "four"]


def test_mail_does_not_leave_for_a_server_whose_certificate_is_unknown(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    box = Mailbox()
    with mail_server(box, tls_context=certificate) as port, pytest.raises(ssl.SSLCertVerificationError):
        Mail(f"smtp://127.0.0.1:{port}?starttls=1", "https://x").send("a@example.org", "one", "text", "1")
    assert box.taken == []


def answered(clinic: Clinic, patient_id: str, *minutes: float) -> list[dict[str, Any]]:
    """Urgent answers from a patient's own phone, sent at once."""
    device = new_device(clinic.api, patient_id)
    for minute in minutes:
        taken_at = (clock.now() - timedelta(minutes=minute)).isoformat()
        posted = {"taken_at": taken_at, "responses": item_9(3)}
        assert device.post(f"/v1/patients/{patient_id}/check-ins", posted).status_code == 201
    found: list[dict[str, Any]] = clinic.api.get("/v1/alerts", params={"patient_id": patient_id}).json()["items"]
    return found


def test_ten_old_answers_are_not_ten_mails(clinic: Clinic, at: Any) -> None:
    now, found = clock.now(), answered(clinic, clinic.api.patient(), *(60 * 24 * day + 1 for day in range(4, 14)))
    assert [(a["priority"], a["late"]) for a in found] == [("urgent", False)] * 10
    assert clinic.send() == 1
    for alert in found:
        [told] = clinic.shown(alert)["notifications"]
        assert (told["to"], told["outcome"]) == ("first@example.org", "sent"), "the mail tells of every one"
    for hours, told_in_all in ((1.1, 1), (3.9, 1), (4.1, 2), (24.1, 3)):
        at(now + timedelta(hours=hours))
        clinic.send()
        assert len(clinic.box.told) == told_in_all, hours


def test_a_further_alert_waits_for_the_hour_and_is_told_if_it_is_still_open(clinic: Clinic, at: Any) -> None:
    patient_id, now = clinic.api.patient(), clock.now()
    answered(clinic, patient_id, 5)
    assert clinic.send() == 1
    second, *_ = answered(clinic, patient_id, 1)
    other = clinic.api.patient()
    answered(clinic, other, 1)
    assert clinic.send() == 1, "another patient's does not wait"
    at(now + timedelta(minutes=59))
    assert clinic.send() == 0
    at(now + timedelta(minutes=61))
    assert clinic.send() == 1
    assert len(clinic.box.told) == 3
    assert second["notifications"] == []


def test_an_alert_that_joined_another_is_still_told_once_that_one_is_acknowledged(clinic: Clinic, at: Any) -> None:
    now, found = clock.now(), answered(clinic, clinic.api.patient(), 5, 1)
    clinic.send()
    clinic.api.post(f"/v1/alerts/{found[0]['id']}/acknowledgement", {"disposition": "contacted"})
    at(now + timedelta(hours=4.1))
    assert clinic.send() == 1


def test_a_refused_form_is_mailed_and_its_repeats_are_not(clinic: Clinic) -> None:
    path = f"/v1/patients/{clinic.api.patient()}/check-ins"
    for item in (1, 3, 3, 3):
        form = {"taken_at": days_ago(0.01), "responses": [{"instrument": "phq-9", "answers": [9, *[0] * 7, item]}]}
        assert clinic.api.post(path, form).status_code == 422
    assert clinic.send() == 1
    assert clinic.send() == 0


def test_a_moved_alert_is_mailed_anew_although_it_was_mailed_before(clinic: Clinic) -> None:
    wrong, right = clinic.api.patient(), clinic.api.patient()
    [alert] = answered(clinic, wrong, 5)
    assert clinic.send() == 1
    body, headers = {"to_patient_id": right, "reason": "hers"}, {"If-Match": '"1"'}
    path = f"/v1/patients/{wrong}/check-ins/{alert['check_in_id']}/move"
    assert clinic.api.post(path, body, headers=headers).status_code == 201
    assert clinic.send() == 1
    assert len(clinic.shown(alert)["notifications"]) == 2


def test_a_notice_that_a_clock_put_off_which_was_ahead_leaves_now(clinic: Clinic) -> None:
    """A process with a clock a day ahead took the notice and died: its lease would stand until tomorrow."""
    clinic.urgent()
    ahead = clock.now() + timedelta(days=1)
    taken = clinic.database.writing(NO_CLINIC, lambda db: store.due_notice(db, ahead, ahead + mailing._LEASE))
    assert taken is not None
    assert clinic.send() == 1
    assert clinic.box.told == ["first@example.org"]
    assert clinic.send() == 0, "and the next mail is due in four hours as ever"
