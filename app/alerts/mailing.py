"""Notifies people of urgent alerts by mail. The mail contains no patient data."""

import logging
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import UUID

from app import clock
from app.access import store as access
from app.alerts import policies, store
from app.alerts.models import Notice, Notification
from app.storage import NO_CLINIC, Database, Transaction, new_id

logger = logging.getLogger("holdfast")

_A_ROUND = 50
# If a process dies while sending, the notice is delayed by this time. No sending takes that long.
_LEASE = timedelta(minutes=5)
_TIMEOUT_SECONDS = 20
# The due date of a notice that has no recipient.
_ASLEEP = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server: `smtp://user:password@host:587?from=holdfast@example.org` (with STARTTLS if there is a password or
    `?starttls=1`), or `smtps://` (TLS from the start)."""

    url: str
    public_url: str

    def send(self, to: str, subject: str, body: str, identifier: str) -> None:
        """Sends one message. `identifier` stays the same when the message is sent again, so that a mailbox can
        recognise it. Raises OSError or SMTPException if the server did not accept it."""
        sender = unquote(self._options.get("from", "")) or f"holdfast@{self._parts.hostname or 'localhost'}"
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, to, subject
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = f"<{identifier}@{sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        with self._server() as server:
            server.send_message(message)

    def reach(self) -> None:
        """Connects and logs in, and sends nothing. Raises OSError or SMTPException where that fails."""
        with self._server() as server:
            server.noop()

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        """The mail server, logged in to."""
        parts, context = self._parts, ssl.create_default_context()
        host, port = parts.hostname or "localhost", parts.port
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port or 465, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port or 25, timeout=_TIMEOUT_SECONDS)
        with server:
            if parts.scheme == "smtp" and (parts.password or self._options.get("starttls")):
                server.starttls(context=context)
            if parts.username and parts.password:
                server.login(unquote(parts.username), unquote(parts.password))
            yield server

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def _options(self) -> dict[str, str]:
        return dict(pair.partition("=")[::2] for pair in self._parts.query.split("&") if pair)


def reaches_nobody(recipients: Sequence[str], mail: Mail | None) -> bool:
    """Whether mail about urgent alerts cannot be sent, because there is no server or no recipient."""
    return mail is None or not recipients


def send_due(database: Database, mail: Mail | None) -> int:
    """One round: sends the due notices of all clinics and returns how many were sent. If there is no server or no
    recipient, notices wait until both are configured."""
    if mail is None:
        return 0
    sent = 0
    for _ in range(_A_ROUND):
        now = clock.now()
        if not database.reading(NO_CLINIC, lambda db: store.overdue_notices(db, now)):  # noqa: B023 - called at once
            break
        notice = database.writing(NO_CLINIC, lambda db: store.due_notice(db, now, now + _LEASE))  # noqa: B023
        if notice is None:
            break
        sent += _send(database, mail, notice)
    return sent


def _send(database: Database, mail: Mail, notice: Notice) -> bool:
    """Sends one notice and stores the result."""
    clinic_id, alert_id = notice.clinic_id, notice.alert_id
    turn = database.reading(clinic_id, lambda db: _turn(db, notice))
    if turn is None:
        database.writing(clinic_id, lambda db: _put_away(db, notice))
        return False
    if (until := turn.waits_until) is not None:
        database.writing(clinic_id, lambda db: store.postpone_notices(db, clinic_id, alert_id, until, clock.now()))
        return False
    is_sent = False
    try:
        mail.send(turn.address, *_words(turn.clinic, notice.told, mail.public_url), f"{alert_id}.{notice.told}")
        is_sent = True
    except Exception as error:  # whatever it is, the next person's turn must come
        logger.warning("a notice of an urgent alert could not be sent: %s", type(error).__name__)
    database.writing(clinic_id, lambda db: _record_attempt(db, notice, turn.address, is_sent=is_sent))
    return is_sent


def wake(db: Transaction, clinic_id: UUID) -> None:
    """Makes the notices of a clinic due that had no recipient so far."""
    store.wake_notices(db, clinic_id, _ASLEEP, clock.now())


@dataclass(frozen=True, slots=True)
class _Turn:
    """Whose turn it is to be told, and of which clinic. `waits_until`: not before then, since a mail about the same
    patient has left, or is about to."""

    address: str
    clinic: str
    waits_until: datetime | None


def _turn(db: Transaction, notice: Notice) -> _Turn | None:
    """Who is told of an alert now; None if there is no recipient or the alert is no longer open."""
    clinic, alert = access.clinic(db, notice.clinic_id), store.find(db, notice.clinic_id, notice.alert_id)
    if clinic is None or alert is None or alert.state != "open" or not clinic.alert_recipients:
        return None
    waits_until = _waits_until(db, notice, alert.patient_id, clock.now())
    return _Turn(policies.recipient(clinic.alert_recipients, notice.turn), clinic.name, waits_until)


def _waits_until(db: Transaction, notice: Notice, patient_id: UUID, now: datetime) -> datetime | None:
    """Until when a mail about this patient must wait: an hour from the last one, or for one that another process is
    sending just now (the one whose alert has the smaller id goes first). That mail tells of this alert too."""
    last = store.last_mailed_at(db, notice.clinic_id, patient_id)
    if last is not None and last <= now < last + policies.MAILED_EVERY:  # not later than now: a clock was ahead then
        return last + policies.MAILED_EVERY
    underway = [
        other.due_at
        for other in store.notices_of(db, notice.clinic_id, patient_id)
        if other.alert_id < notice.alert_id and now < other.due_at <= now + _LEASE
    ]
    return max(underway, default=None)


def _put_away(db: Transaction, notice: Notice) -> None:
    """Handles a notice that cannot be sent. If its alert was acknowledged, it is deleted. If there is no recipient, its
    due date is set far in the future until one is named, so that it does not delay the notices of other clinics."""
    alert = store.find(db, notice.clinic_id, notice.alert_id)
    if alert is None or alert.state != "open":
        store.end_notices(db, notice.clinic_id, notice.alert_id)
        return
    clinic = access.locked_clinic(db, notice.clinic_id)  # a change of recipients waits for this, then wakes the notice
    due_at = clock.now() if clinic.alert_recipients else _ASLEEP
    store.postpone_notices(db, notice.clinic_id, notice.alert_id, due_at, clock.now())


def _record_attempt(db: Transaction, notice: Notice, address: str, *, is_sent: bool) -> None:
    """Stores the result of sending a notice, and when the next mail is due. A mail that was sent tells of every alert
    of the patient whose own was due."""
    now, alert = clock.now(), store.find(db, notice.clinic_id, notice.alert_id)
    if is_sent or policies.is_first_try(notice.attempts):
        db.add(_notification(notice, address, now, "sent" if is_sent else "failed"))
    mine = store.notice(db, notice.clinic_id, notice.alert_id)
    if is_sent and alert is not None:
        for other in store.notices_of(db, notice.clinic_id, alert.patient_id):
            if other.alert_id != notice.alert_id and other.due_at <= now + _LEASE:
                db.add(_notification(other, address, now, "sent"))
                _told(db, other, now)
    if mine is None:  # acknowledged in the meantime
        return
    if is_sent:
        _told(db, mine, now)
        return
    db.add(mine)
    mine.turn += policies.is_last_try(mine.attempts)
    mine.attempts += 1
    mine.due_at, mine.set_at = policies.retried_at(mine.attempts, now), now


def _told(db: Transaction, notice: Notice, now: datetime) -> None:
    """Moves a notice on to its next mail, or ends it after the last."""
    notice.turn, notice.told, notice.attempts = notice.turn + 1, notice.told + 1, 0
    notice.first_told_at = notice.first_told_at or now
    due_at = policies.next_told_at(notice.told, notice.first_told_at)
    if due_at is None:
        store.end_notices(db, notice.clinic_id, notice.alert_id)
    else:
        notice.due_at, notice.set_at = due_at, now
        db.add(notice)


def _notification(notice: Notice, address: str, now: datetime, outcome: str) -> Notification:
    return Notification(
        clinic_id=notice.clinic_id, id=new_id(), alert_id=notice.alert_id, recipient=address, at=now, outcome=outcome
    )


def _words(clinic: str, told: int, public_url: str) -> tuple[str, str]:
    """The subject and text of the mail. Neither contains anything about a patient."""
    still = " still" if told else ""
    is_last = told + 1 >= len(policies.TOLD_AFTER)
    after = "This is the last message about it." if is_last else "If nobody does, the next person is told."
    subject = f"Holdfast: an urgent alert{still} waits at {' '.join(clinic.split())}"
    text = (
        f"An urgent alert{still} waits for a person at {clinic}.\n\n"
        f"Open the alerts of Holdfast at {public_url} and say what was done about it. {after}\n\n"
        "This message names no patient on purpose. Do not answer it.\n"
    )
    return subject, text
