"""Applies what is staged: through the same functions that record what is posted."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import amending
from app.checkins import service as check_ins
from app.checkins import store as check_ins_store
from app.checkins.deciding import Decision, Post
from app.checkins.refusing import Alarm, raise_alarms
from app.errors import Internal, Merged, NotFound, Problem
from app.exchange.checking import Checker
from app.exchange.items import CheckInItem, Item, PatientItem, SessionItem, Version, Whose, what_is_new
from app.exchange.staging import ProblemRow
from app.exchange.versions import AGAIN, alarms_of, amendments, body_of
from app.logs import log_unexpected
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import PatientIn, PatientPatch
from app.sessions import service as sessions
from app.sessions import store as sessions_store
from app.sessions.models import SessionIn, SessionPatch
from app.storage import Transaction, is_lost, is_passing, savepoint

T = TypeVar("T")

PATIENT, SESSION, CHECK_IN = b"psc"
_ELSE = "something else is recorded there"
BROUGHT = struct.Struct(">B16sI")


@dataclass(slots=True)
class Applied:
    """What became of some records: counts, what was made (to be taken back by), what was left out with the alarming
    answers in it, and whose it is."""

    counts: dict[str, int] = field(default_factory=dict)
    brought: list[bytes] = field(default_factory=list)
    problems: list[ProblemRow] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    patient_ids: set[UUID] = field(default_factory=set)

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more

    def leave_out(self, item: Item | None, line: int, column: str | None, rule: str) -> None:
        """Notes that a record is not recorded; None: some that cannot be read any more."""
        self.count("left_out")
        self.problems.append(("left_out", line, column, rule))
        if isinstance(item, CheckInItem):
            self.alarms += alarms_of(item)

    def bring(self, kind: int, made: UUID, version: int) -> None:
        self.brought.append(BROUGHT.pack(kind, made.bytes, version))


def apply(db: Transaction, caller: Caller, act: Act, items: Sequence[Item]) -> Applied:
    """Records some of what is staged. What somebody recorded otherwise meanwhile is left out, and listed."""
    done = Applied()
    goes_on = _survivors(db, act, items)
    items = [_of(item, goes_on[_whose(item)]) for item in items]
    posted = [item for item in items if isinstance(item, CheckInItem)]
    others = [item for item in items if not isinstance(item, CheckInItem)]
    if others:
        _check_and_record(db, caller, act, others, done, {})
    # Those that were taken back in the end leave their places to others, each before the next one.
    ended = [[item] for item in posted if item.versions[-1].voided]
    standing = [item for item in posted if not item.versions[-1].voided]
    for some in [*ended, standing] if standing else ended:
        # Recording itself finds out what is there already: only what it does not take is looked at again.
        doubtful = _record(db, caller, act, some, done)
        if doubtful:
            refusals = {item.id: outcome for item, outcome in doubtful if isinstance(outcome, Problem)}
            _check_and_record(db, caller, act, [item for item, _ in doubtful], done, refusals)
    if done.alarms:
        done.patient_ids.update(raise_alarms(db, caller, act, done.alarms).patient_ids)
    return done


def _check_and_record(
    db: Transaction, caller: Caller, act: Act, items: Sequence[Item], done: Applied,
    refusals: Mapping[UUID | None, Problem],
) -> None:  # fmt: skip
    """Records what the check still takes. `refusals`: why recording did not take a check-in, by its id."""
    for verdict in Checker(act.clinic_id, act.at).check(db, items):
        item = verdict.item
        if verdict.outcome == "amends" and not isinstance(item, PatientItem):
            item.drop_through(verdict.after)
        if verdict.outcome == "refused":
            line, column, rule = verdict.problems[0]
            done.leave_out(item, line, column, rule)
        elif verdict.outcome in ("unchanged", "skipped"):
            done.count("unchanged")
        elif verdict.outcome == "new" and isinstance(item, CheckInItem):
            refusal = refusals.get(item.id)
            place = (item.line, None, _ELSE) if refusal is None else _blamed(item, refusal)
            done.leave_out(item, *place)
        else:
            returns = verdict.outcome == "returns"
            _guarded(db, done, item, partial(_APPLY[type(item)], db, caller, act, item, done, returns=returns))


def _survivors(db: Transaction, act: Act, items: Sequence[Item]) -> dict[UUID, UUID]:
    """The record in which each patient's goes on, who may have been merged into another one since the file was read."""
    ids = {_whose(item) for item in items}
    merged = patients_store.summaries(db, act.clinic_id, ids, lock=True)
    gone = {one for one, found in merged.items() if found.merged_into is not None}
    return {one: patients.goes_on_in(db, act.clinic_id, one) if one in gone else one for one in ids}


def _of(item: Any, patient_id: UUID) -> Any:
    if item.whose.patient_id == patient_id:
        return item
    return msgspec.structs.replace(item, whose=Whose(patient_id, None, True, item.whose.column))


def _whose(item: Item) -> UUID:
    assert item.whose.patient_id is not None
    return item.whose.patient_id


def _guarded(db: Transaction, done: Applied, item: Item, work: Callable[[], T]) -> T | None:
    """The result of recording one record; one that cannot be recorded is left out alone."""
    before = (dict(done.counts), len(done.brought))
    try:
        with savepoint(db):
            return work()
    except Problem as problem:
        fault = problem.errors[0] if problem.errors else None
        left_out = (fault.name.strip("/").split("/")[0] or None, fault.detail) if fault else (None, problem.detail)
    except Exception as error:
        if is_passing(error) or is_lost(error):
            raise  # the whole transaction must be tried again
        log_unexpected(error)
        left_out = (None, Internal().detail)
    done.counts, done.brought = before[0], done.brought[: before[1]]
    done.leave_out(item, item.line, *left_out)
    return None


def _patient(db: Transaction, caller: Caller, act: Act, item: PatientItem, done: Applied, *, returns: bool) -> None:
    patient_id = _whose(item)
    if returns:
        status = item.body.get("care_status", "active")
        patch = PatientPatch.model_validate({"care_status": status, "reason": AGAIN})
        made = patients.update(db, caller, act, patient_id, None, patch)
    else:
        made = patients.create(db, caller, act, PatientIn.model_validate({**item.body, "id": patient_id}))
    done.patient_ids.add(patient_id)
    done.count("patients")
    done.bring(PATIENT, patient_id, made.value.version)


def _session(db: Transaction, caller: Caller, act: Act, item: SessionItem, done: Applied, *, returns: bool) -> None:
    patient_id, session_id = _whose(item), item.id
    assert session_id is not None
    is_new = session_id not in sessions_store.by_ids(db, act.clinic_id, [session_id])
    version = 0
    for place, one in enumerate(item.versions):
        if is_new and place == 0:
            body = SessionIn.model_validate({**one.body, "id": session_id})
            made = sessions.record(db, caller, act, patient_id, body, one.recorded_at)
        else:
            patch = SessionPatch.model_validate({**one.body, "reason": one.reason or AGAIN})
            made = sessions.update(db, caller, act, patient_id, session_id, None, patch, one.recorded_at)
        version = made.value.version
    done.patient_ids.add(patient_id)
    done.count("sessions" if is_new or returns else "amended")
    if is_new or returns:  # what was there before is not the import's to take back
        done.bring(SESSION, session_id, version)


def _amend(db: Transaction, caller: Caller, act: Act, item: CheckInItem, done: Applied, *, returns: bool) -> None:
    """The versions of a check-in that are not recorded here yet; of one that returns, its last one."""
    assert item.id is not None
    _further(db, caller, act, item, item.id, item.versions[-1:] if returns else item.versions)
    done.patient_ids.add(_whose(item))
    if not returns:
        done.count("amended")
        return
    for name, number in what_is_new(item).items():
        done.count(name, number)
    done.bring(CHECK_IN, item.id, check_ins_store.by_ids(db, act.clinic_id, [item.id])[item.id][0].version)


_APPLY: dict[type, Callable[..., None]] = {PatientItem: _patient, SessionItem: _session, CheckInItem: _amend}


# There is nobody any more to record it for.
_GONE = (NotFound, Merged)


def _record(
    db: Transaction, caller: Caller, act: Act, items: Sequence[CheckInItem], done: Applied
) -> list[tuple[CheckInItem, Decision | Problem]]:
    """Records check-ins together; if one breaks all, each by itself. Returns those that brought nothing, which may be
    recorded already, in part or otherwise, with what became of them."""
    try:
        with savepoint(db):
            made = _recorded(db, caller, act, items)
    except Exception as error:
        if is_passing(error) or is_lost(error):
            raise
        alone = (_guarded(db, done, item, partial(_recorded, db, caller, act, [item])) for item in items)
        made = [one for some in alone for one in some or []]
    doubtful = []
    for item, outcome in made:
        if isinstance(outcome, Decision) and outcome.is_new:
            done.patient_ids.add(_whose(item))
            done.count("check_ins")
            done.count("scores", len(outcome.scores))
            made_id, version = outcome.check_in.id, 1
            if len(item.versions) > 1:
                version = check_ins_store.by_ids(db, act.clinic_id, [made_id])[made_id][0].version
            done.bring(CHECK_IN, made_id, version)
        elif isinstance(outcome, Decision) and outcome.completed:
            done.patient_ids.add(_whose(item))
            done.count("amended")
        elif isinstance(outcome, _GONE):
            done.leave_out(item, item.line, None, outcome.detail)
        else:
            doubtful.append((item, outcome))
    return doubtful


def _recorded(
    db: Transaction, caller: Caller, act: Act, items: Sequence[CheckInItem]
) -> list[tuple[CheckInItem, Decision | Problem]]:
    """What became of the first version of each; further ones are added to what is new."""
    posts = [
        Post(caller, act, _whose(item), body_of(item.id, item.versions[0]), item.versions[0].recorded_at)
        for item in items
    ]
    found = list(zip(items, check_ins.record(db, act.clinic_id, posts).outcomes, strict=True))
    for item, outcome in found:
        if isinstance(outcome, Decision) and outcome.is_new and len(item.versions) > 1:
            _further(db, caller, act, item, outcome.check_in.id, item.versions[1:])
    return found


def _blamed(item: CheckInItem, problem: Problem) -> tuple[int, str | None, str]:
    """The line, the column and the rule of a refusal."""
    if not problem.errors:
        return item.line, None, problem.detail
    place = problem.errors[0].name.strip("/").split("/")
    version = item.versions[0]
    if place[0] == "responses" and len(place) > 1 and place[1].isdigit():
        response = version.responses[int(place[1])]
        return response.line, response.column, problem.errors[0].detail
    column = version.at_column if place[0] == "taken_at" else place[0] or None
    return item.line, column, problem.errors[0].detail


def _further(
    db: Transaction, caller: Caller, act: Act, item: CheckInItem, check_in_id: UUID, versions: Sequence[Version]
) -> None:
    """Adds versions to a check-in, each as an amendment."""
    for version in versions:
        for body in amendments(db, act.clinic_id, check_in_id, version):
            amending.amend(
                db, caller, act, _whose(item), check_in_id, None, body, source_recorded_at=version.recorded_at
            )
