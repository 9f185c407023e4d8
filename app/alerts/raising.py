"""Raises alerts of answers and of side effects in the transaction that recorded them, and marks them when the answer
is amended."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from app import clock
from app.alerts import store
from app.alerts.models import Alert, Notice
from app.alerts.policies import RANKS, domain_of, is_late, is_notified, is_worse, self_harm_priority
from app.instruments import INSTRUMENTS
from app.outbox import service as outbox
from app.storage import Transaction, new_id, row_maker

# The points and the answer to the self-harm item; None where they are not known.
Said = tuple[int | None, int | None]
_alert_row = row_maker(Alert)


@dataclass(frozen=True, slots=True)
class Answered:
    """A newly recorded score, with the fields that the alert rules need. `late` and `urgent_is_late`: whether an alert
    of it is late, and whether an urgent one is."""

    patient_id: UUID
    check_in_id: UUID
    session_id: UUID | None
    instrument: str
    points: int | None
    self_harm_item: int | None
    taken_at: datetime
    recorded_at: datetime
    late: bool
    urgent_is_late: bool

    @property
    def priority(self) -> str | None:
        return self_harm_priority(INSTRUMENTS[self.instrument], self.points, self.self_harm_item)

    def is_late(self, priority: str) -> bool:
        return self.urgent_is_late if priority == "urgent" else self.late

    def says_as_much(self, priority: str, said: Alert) -> bool:
        """Whether nothing is lost where this answer takes over the alert of a refused form."""
        return RANKS[priority] <= said.rank and self.is_late(priority) <= said.late


@dataclass(frozen=True, slots=True)
class Amended:
    """A check-in that was amended or voided: (points, self-harm item) by instrument, before and after."""

    check_in_id: UUID
    at: datetime
    before: Mapping[str, Said]
    after: Mapping[str, Said]


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer to a self-harm item in a form that was refused: of `priority`, taken at `taken_at` as far as known."""

    patient_id: UUID
    instrument: str
    priority: str
    taken_at: datetime
    late: bool
    at: datetime


def raise_for(db: Transaction, clinic_id: UUID, answers: Sequence[Answered], amended: Sequence[Amended]) -> list[Alert]:
    """Raises the alerts of newly recorded scores. Returns them together with all earlier alerts of the amended
    check-ins. An amendment marks the alerts of the answers it changed and deletes none. It raises a new alert if an
    answer reached its line or got worse, unless an open alert of at least that priority exists. A score takes over the
    open alert of a refused form that said as much."""
    known = store.of_check_ins(db, clinic_id, [a.check_in_id for a in amended], lock=True)
    for amendment in amended:
        changed = [c for c, said in amendment.before.items() if _differs(said, amendment.after.get(c))]
        for alert in known:
            if alert.check_in_id == amendment.check_in_id and alert.instrument in changed:
                alert.amended_at = alert.amended_at or amendment.at
                db.add(alert)
    _make_timely(db, known, answers)
    before = {a.check_in_id: a.before for a in amended}
    alarming = [
        (answer, priority)
        for answer in answers
        if (priority := answer.priority) is not None
        and _is_news(before.get(answer.check_in_id, {}).get(answer.instrument), answer)
        and not _is_open(known, answer, priority)
    ]
    if not alarming:
        return known
    refused = {
        (alert.patient_id, alert.instrument): alert
        for alert in store.of_refused(db, clinic_id, {answer.patient_id for answer, _ in alarming})
    }
    raised = []
    for answer, priority in alarming:
        said = refused.get((answer.patient_id, answer.instrument))
        if said is not None and answer.says_as_much(priority, said):
            del refused[answer.patient_id, answer.instrument]
            _take_over(db, said, answer, priority)
            raised.append(said)
        else:
            raised.append(self_harm_alert(clinic_id, answer, priority))
            _add(db, raised[-1])
    return known + raised


def raise_refused(db: Transaction, clinic_id: UUID, refused: Sequence[Refused]) -> None:
    """Raises the alerts of refused forms, under the patients' locks. A patient and instrument has one open alert of
    this kind: a repeat is counted, and raises its priority where it says more."""
    found = store.of_refused(db, clinic_id, {one.patient_id for one in refused})
    standing = {(alert.patient_id, alert.instrument): alert for alert in found}
    for one in refused:
        alert = standing.get((one.patient_id, one.instrument))
        if alert is None:
            whose = (clinic_id, one.patient_id, one.instrument, "self_harm_item", one.priority, one.late)
            alert = standing[one.patient_id, one.instrument] = _watched(new_alert(*whose, one.taken_at, one.at))
            alert.score_refused = True
            _add(db, alert)
            continue
        alert.repeats += 1
        was_told = is_notified(alert.priority, late=alert.late)
        if RANKS[one.priority] < RANKS[alert.priority]:
            alert.priority, alert.rank = one.priority, RANKS[one.priority]
        if alert.late and not one.late:
            alert.late, alert.taken_at = False, one.taken_at
        keep(db, alert, one.at)
        if is_notified(alert.priority, late=alert.late) and not was_told:
            notify(db, alert)


def raise_severe_side_effect(
    db: Transaction, clinic_id: UUID, patient_id: UUID, session_id: UUID, taken_at: datetime, at: datetime
) -> None:
    """Raises an alert about a session with a severe side effect."""
    late = is_late(taken_at, at)
    alert = _watched(new_alert(clinic_id, patient_id, None, "severe_side_effect", "routine", late, taken_at, at))
    alert.session_id = session_id
    _add(db, alert)


def mark_amended(db: Transaction, clinic_id: UUID, session_id: UUID, at: datetime) -> None:
    """Marks the alerts of a session whose severe side effects were withdrawn. The alerts remain."""
    for alert in store.of_sessions(db, clinic_id, [session_id]):
        alert.amended_at = alert.amended_at or at
        db.add(alert)


def new_alert(
    clinic_id: UUID, patient_id: UUID, instrument: str | None, kind: str, priority: str, late: bool,
    taken_at: datetime, raised_at: datetime, *, check_in_id: UUID | None = None, onset_on: date | None = None,
) -> Alert:  # fmt: skip
    """A new alert, which the ORM does not watch."""
    return _alert_row(
        clinic_id=clinic_id,
        id=new_id(),
        patient_id=patient_id,
        check_in_id=check_in_id,
        session_id=None,
        instrument=instrument,
        domain=domain_of(instrument),
        kind=kind,
        priority=priority,
        rank=RANKS[priority],
        late=late,
        state="open",
        onset_on=onset_on,
        withdrawn_at=None,
        withdrawn_because=None,
        score_refused=False,
        repeats=0,
        moved_at=None,
        former=[],
        refused=None,
        taken_at=taken_at,
        raised_at=raised_at,
        amended_at=None,
    )


def _watched(alert: Alert) -> Alert:
    return Alert(**vars(alert))


def self_harm_alert(clinic_id: UUID, answer: Answered, priority: str) -> Alert:
    """The alert of a recorded answer."""
    whose = (clinic_id, answer.patient_id, answer.instrument, "self_harm_item", priority, answer.is_late(priority))
    alert = _watched(new_alert(*whose, answer.taken_at, answer.recorded_at))
    alert.check_in_id, alert.session_id = answer.check_in_id, answer.session_id
    return alert


def withdraw(db: Transaction, alert: Alert, at: datetime, because: str) -> None:
    """Takes an alert off the list, for a reason that it keeps."""
    if alert.state != "withdrawn":
        alert.state, alert.withdrawn_at, alert.withdrawn_because = "withdrawn", at, because
        keep(db, alert, at)


def said_by_refused(alert: Alert) -> dict[str, Any]:
    """What the alert of a refused form says, so that it can be raised again."""
    return {
        "priority": alert.priority,
        "late": alert.late,
        "taken_at": alert.taken_at.isoformat(),
        "repeats": alert.repeats,
    }


def raise_again(db: Transaction, clinic_id: UUID, patient_id: UUID, instrument: str | None, said: Mapping[str, Any],
                at: datetime) -> None:  # fmt: skip
    """Raises the alert of a refused form again, for the patient who had it, where it went on as another one."""
    whose = (clinic_id, patient_id, instrument, "self_harm_item", said["priority"], said["late"])
    alert = _watched(new_alert(*whose, datetime.fromisoformat(said["taken_at"]), at))
    alert.score_refused, alert.repeats = True, said["repeats"]
    _add(db, alert)


def notify(db: Transaction, alert: Alert) -> None:
    """Makes a mail about the alert due."""
    # Insertion order matters: nothing refers to a notice, but an alert must be there before a mail about it is sent.
    db.add(
        Notice(
            clinic_id=alert.clinic_id,
            alert_id=alert.id,
            told=0,
            turn=0,
            attempts=0,
            first_told_at=None,
            due_at=(now := clock.now()),
            set_at=now,
        )
    )


def _add(db: Transaction, alert: Alert) -> None:
    """Stores an alert, with a notice if mails must be sent about it."""
    keep(db, alert, alert.raised_at)
    if is_notified(alert.priority, late=alert.late):
        notify(db, alert)


def told_of(alert: Alert, at: datetime) -> dict[str, Any] | None:
    """The row of the outbox that a changed alert calls for, before its changes are written: where it is open anew, more
    pressing, timely or another patient's than before; and where it is no longer open without anybody having looked."""
    changed = store.changed(alert, ("state", "rank", "late", "patient_id"))
    if alert.state == "open" and changed:
        return outbox.change(alert.clinic_id, "alert.raised", alert.patient_id, at, alert.id)
    if alert.state in ("withdrawn", "historic") and "state" in changed:
        return outbox.change(alert.clinic_id, "alert.withdrawn", alert.patient_id, at, alert.id)
    return None


def keep(db: Transaction, alert: Alert, at: datetime) -> None:
    """Stores an alert, once all its changes are made, and tells of it in the outbox."""
    told = told_of(alert, at)
    db.add(alert)
    outbox.record(db, [told] if told is not None else [])


def _take_over(db: Transaction, alert: Alert, answer: Answered, priority: str) -> None:
    """Makes the alert of a refused form that of the score which said the same and was recorded."""
    was_told = is_notified(alert.priority, late=alert.late)
    alert.refused = said_by_refused(alert)
    alert.check_in_id, alert.session_id, alert.score_refused = answer.check_in_id, answer.session_id, False
    alert.priority, alert.rank = priority, RANKS[priority]
    alert.late, alert.taken_at = answer.is_late(priority), answer.taken_at
    keep(db, alert, answer.recorded_at)
    if is_notified(alert.priority, late=alert.late) and not was_told:
        notify(db, alert)


def _make_timely(db: Transaction, known: Sequence[Alert], answers: Sequence[Answered]) -> None:
    """Makes late alerts timely if an amendment shows that their check-in is recent after all."""
    for alert in known:
        moved = (a for a in answers if (a.check_in_id, a.instrument) == (alert.check_in_id, alert.instrument))
        answer = next(moved, None)
        if answer is None or not alert.late or alert.state != "open" or answer.is_late(alert.priority):
            continue
        alert.late, alert.taken_at = False, answer.taken_at
        keep(db, alert, answer.recorded_at)
        if is_notified(alert.priority, late=False):
            notify(db, alert)


def _differs(said: Said, after: Said | None) -> bool:
    """Whether an amended answer is another one. An answer that was not known before contradicts nothing."""
    return after is None or (said != after and not (said[1] is None and said[0] in (None, after[0])))


def _is_news(said: Said | None, answer: Answered) -> bool:
    """Whether an answer is new, or an amended one that reached its line, or is further over it than before."""
    if said is None:
        return True
    return is_worse(INSTRUMENTS[answer.instrument], said, (answer.points, answer.self_harm_item))


def _is_open(known: Collection[Alert], answer: Answered, priority: str) -> bool:
    same = (a for a in known if a.check_in_id == answer.check_in_id and a.instrument == answer.instrument)
    return any(a.state == "open" and a.kind == "self_harm_item" and a.rank <= RANKS[priority] for a in same)
