"""Alerts that go along with what they are about when it moves to another record, and come back with it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from app.alerts import following, raising, store
from app.alerts.models import Alert
from app.alerts.policies import RANKS, is_notified
from app.storage import Transaction


@dataclass(frozen=True, slots=True)
class Place:
    """What an alert is about: a check-in, a session, or nothing that is known."""

    check_in_id: UUID | None
    session_id: UUID | None


Places = Callable[[Alert], Place | None]


def of_moved(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places, at: datetime) -> None:
    """Makes the alerts about answers and side effects that moved those of the other patient, and open and timely:
    nobody has looked after that patient because of them. What was done about them stays. An onset of the wrong person
    is none of the right one's; it is taken back by the fold."""
    for alert in store.of_patients(db, clinic_id, [source], None, lock=True):
        place = None if alert.kind in following.KINDS else place_of(alert)
        if place is None:
            continue
        _point(alert, to, place)
        said, alert.refused = alert.refused, None
        is_open_anew = alert.kind == "self_harm_item" and alert.state != "withdrawn"
        if is_open_anew:
            alert.state, alert.late, alert.moved_at = "open", False, at
        raising.keep(db, alert, at)
        if said is not None:  # what was refused was the first patient's answer
            raising.raise_again(db, clinic_id, source, alert.instrument, said, at)
        if is_open_anew:
            store.end_notices(db, clinic_id, alert.id)
            if is_notified(alert.priority, late=False):
                raising.notify(db, alert)
    db.flush()


def of_merged(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places, at: datetime) -> None:
    """Makes every alert of a merged record the other one's, each with what it was before. Of an answer that both
    records hold, and of refused forms by one instrument, one alert stays open: of refused forms the one that says
    most."""
    theirs = store.of_patients(db, clinic_id, [to], None, lock=True)
    held = {_about(alert) for alert in theirs if alert.state in ("open", "acknowledged")}
    moved = store.of_patients(db, clinic_id, [source], None, lock=True)
    for alert in moved:
        alert.former = [*alert.former, _as_it_is(alert)]
        _point(alert, to, place_of(alert) or Place(None, None))
        about = _about(alert)
        if about is not None and about in held:
            raising.withdraw(db, alert, at, "merged")
        else:
            raising.keep(db, alert, at)
    db.flush()
    for alike in _by_instrument(a for a in [*theirs, *moved] if a.score_refused and a.state == "open"):
        for alert in alike[1:]:
            raising.withdraw(db, alert, at, "merged")
    db.flush()


def of_returned(db: Transaction, clinic_id: UUID, source: UUID, to: UUID, place_of: Places, at: datetime) -> None:
    """Gives a record its alerts back: those that it had before the merge, as they were but for what was done since, and
    those about what returns. What refused forms and recorded scores of the other record have made of them since stays
    there, as alerts of their own. An alert of the other record that was withdrawn for one of these is open again."""
    theirs = store.of_patients(db, clinic_id, [source], None, lock=True)
    without = set()
    for alert in theirs:
        was = alert.former[-1] if alert.former else None
        if was is not None and was["patient_id"] == str(to):
            if alert.score_refused and alert.state != "withdrawn":
                without.add(alert.instrument)
            alert.former = alert.former[:-1]
            _return(db, alert, was, to, at)
        elif not alert.former and alert.kind not in following.KINDS and (place := place_of(alert)) is not None:
            _point(alert, to, place)
        raising.keep(db, alert, at)
    db.flush()
    for alike in _by_instrument(a for a in theirs if a.score_refused and a.patient_id == source):
        if alike[0].instrument in without and not any(_stands_for_all(alert) for alert in alike):
            for alert in [a for a in alike if _is_withdrawn_for_another(a)][:1]:
                alert.state, alert.withdrawn_at, alert.withdrawn_because = "open", None, None
                raising.keep(db, alert, at)
    db.flush()


def _return(db: Transaction, alert: Alert, was: Mapping[str, Any], to: UUID, at: datetime) -> None:
    """Makes an alert that of the record it came from, unless it is about something else by now."""
    said = was["refused"]
    if said is not None and not alert.score_refused:  # a score of the other record took it over
        raising.raise_again(db, alert.clinic_id, to, alert.instrument, said, at)
        return
    if said is not None and alert.repeats > said["repeats"]:  # refused there once more
        since = raising.said_by_refused(alert) | {"repeats": alert.repeats - said["repeats"] - 1}
        raising.raise_again(db, alert.clinic_id, alert.patient_id, alert.instrument, since, at)
        alert.repeats, alert.priority, alert.rank = said["repeats"], said["priority"], RANKS[said["priority"]]
        alert.late, alert.taken_at = said["late"], datetime.fromisoformat(said["taken_at"])
    _point(alert, to, Place(_id(was["check_in_id"]), _id(was["session_id"])))
    if _is_withdrawn_for_another(alert):
        alert.state, alert.withdrawn_because = was["state"], was["withdrawn_because"]
        alert.withdrawn_at = None if was["withdrawn_at"] is None else datetime.fromisoformat(was["withdrawn_at"])


def _by_instrument(refused: Iterable[Alert]) -> list[list[Alert]]:
    """Alerts of refused forms by instrument, in each the one first that says most."""
    found = sorted(refused, key=lambda a: (a.instrument or "", a.rank, a.late, a.raised_at, a.id))
    return [list(alike) for _, alike in groupby(found, key=lambda a: a.instrument)]


def _stands_for_all(alert: Alert) -> bool:
    """Whether the alert of a refused form is open, or was before somebody looked after the merged patient."""
    return alert.state == "open" or (
        alert.state == "acknowledged" and bool(alert.former) and alert.former[-1]["state"] == "open"
    )


def _is_withdrawn_for_another(alert: Alert) -> bool:
    return alert.state == "withdrawn" and alert.withdrawn_because == "merged"


def _point(alert: Alert, patient_id: UUID, place: Place) -> None:
    alert.patient_id, alert.check_in_id, alert.session_id = patient_id, place.check_in_id, place.session_id


def _about(alert: Alert) -> tuple[UUID | None, UUID | None, str | None] | None:
    """What tells an alert about an answer or a side effect from another; None for an onset, or if it is not known."""
    if alert.kind in following.KINDS or (alert.check_in_id or alert.session_id) is None:
        return None
    return (alert.check_in_id, None if alert.check_in_id else alert.session_id, alert.instrument)


def _as_it_is(alert: Alert) -> dict[str, Any]:
    about = {"check_in_id": alert.check_in_id, "session_id": alert.session_id}
    return {
        "patient_id": str(alert.patient_id),
        **{name: None if value is None else str(value) for name, value in about.items()},
        "state": alert.state,
        "withdrawn_at": None if alert.withdrawn_at is None else alert.withdrawn_at.isoformat(),
        "withdrawn_because": alert.withdrawn_because,
        "refused": raising.said_by_refused(alert) if alert.score_refused else None,
    }


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
