"""Applies what is staged: through the same functions that record what is posted."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from pydantic import MISSING

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import amending
from app.checkins import service as check_ins
from app.checkins import store as check_ins_store
from app.checkins.deciding import Decision, Post
from app.checkins.models import AmendmentIn, CheckInIn, ResponseAmendment
from app.errors import Internal, Merged, NotFound, Problem
from app.exchange.checking import Checker
from app.exchange.comparing import is_same_version
from app.exchange.items import CheckInItem, Item, PatientItem, SessionItem, Version, Whose
from app.exchange.staging import ProblemRow, what_is_new
from app.logs import log_unexpected
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import PatientIn, PatientPatch
from app.sessions import service as sessions
from app.sessions import store as sessions_store
from app.sessions.models import SessionIn, SessionPatch
from app.storage import Transaction, is_lost, is_passing, savepoint
from app.tracks import store as tracks

T = TypeVar("T")

PATIENT, SESSION, CHECK_IN = b"psc"
BROUGHT = struct.Struct(">B16sI")
_AGAIN = "recorded where it was imported from"


@dataclass(slots=True)
class Applied:
    """What became of some records: counts, what was made (to be taken back by), what was left out, and whose it is."""

    counts: dict[str, int] = field(default_factory=dict)
    brought: list[bytes] = field(default_factory=list)
    problems: list[ProblemRow] = field(default_factory=list)
    patient_ids: set[UUID] = field(default_factory=set)

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more

    def leave_out(self, line: int, column: str | None, rule: str) -> None:
        self.count("left_out")
        self.problems.append(("left_out", line, column, rule))

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
        _check_and_record(db, caller, act, others, done)
    # Those that were taken back in the end leave their places to others, each before the next one.
    ended = [[item] for item in posted if item.versions[-1].voided]
    standing = [item for item in posted if not item.versions[-1].voided]
    for some in [*ended, standing] if standing else ended:
        # Recording itself finds out what is there already: only what it does not take is looked at again.
        doubtful = _record(db, caller, act, some, done)
        if doubtful:
            _check_and_record(db, caller, act, doubtful, done)
    return done


def _check_and_record(db: Transaction, caller: Caller, act: Act, items: Sequence[Item], done: Applied) -> None:
    for verdict in Checker(act.clinic_id, act.at).check(db, items):
        item = verdict.item
        if verdict.outcome == "amends" and not isinstance(item, PatientItem):
            item.drop_through(verdict.after)
        if verdict.outcome == "refused":
            line, column, rule = verdict.problems[0]
            done.leave_out(line, column, rule)
        elif verdict.outcome in ("unchanged", "skipped"):
            done.count("unchanged")
        elif verdict.outcome == "new" and isinstance(item, CheckInItem):
            done.leave_out(item.line, None, "something else is recorded there")
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
    done.leave_out(item.line, *left_out)
    return None


def _patient(db: Transaction, caller: Caller, act: Act, item: PatientItem, done: Applied, *, returns: bool) -> None:
    patient_id = _whose(item)
    if returns:
        status = item.body.get("care_status", "active")
        patch = PatientPatch.model_validate({"care_status": status, "reason": _AGAIN})
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
            patch = SessionPatch.model_validate({**one.body, "reason": one.reason or _AGAIN})
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
) -> list[CheckInItem]:
    """Records check-ins together; if one breaks all, each by itself. Returns those whose id is known, which may be
    recorded already, in part or otherwise."""
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
        elif item.id is not None and not isinstance(outcome, _GONE):
            doubtful.append(item)
        elif isinstance(outcome, Problem):
            done.leave_out(*_blamed(item, outcome))
        else:
            done.count("amended" if outcome.completed else "unchanged")
            done.patient_ids.update([_whose(item)] if outcome.completed else ())
    return doubtful


def _recorded(
    db: Transaction, caller: Caller, act: Act, items: Sequence[CheckInItem]
) -> list[tuple[CheckInItem, Decision | Problem]]:
    """What became of the first version of each; further ones are added to what is new."""
    posts = [
        Post(caller, act, _whose(item), _body(item.id, item.versions[0]), item.versions[0].recorded_at)
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


class _Response(msgspec.Struct, gc=False):
    """A response as `ResponseIn` has it, once it is checked: made in a tenth of the time."""

    instrument: str
    answers: list[int | None] | None
    score: float | int | None


class _CheckIn(msgspec.Struct):
    """A check-in as `CheckInIn` has it, once it is checked."""

    id: UUID | None
    taken_at: datetime
    session_id: UUID | None
    before_infusion: bool
    responses: list[_Response]
    sent_at: None = None


def _body(check_in_id: UUID | None, version: Version) -> CheckInIn:
    responses = [_Response(one.instrument, one.answers, one.score) for one in version.responses]
    made = _CheckIn(check_in_id, version.taken_at.at, version.session_id, bool(version.before_infusion), responses)
    return cast("CheckInIn", made)


def _further(
    db: Transaction, caller: Caller, act: Act, item: CheckInItem, check_in_id: UUID, versions: Sequence[Version]
) -> None:
    """Adds versions to a check-in, each as an amendment."""
    for version in versions:
        for body in _amendments(db, act, check_in_id, version):
            amending.amend(
                db, caller, act, _whose(item), check_in_id, None, body, source_recorded_at=version.recorded_at
            )


def _amendments(db: Transaction, act: Act, check_in_id: UUID, version: Version) -> Iterator[AmendmentIn]:
    """The amendments that make a check-in say what a version says."""
    _, current = check_ins_store.by_ids(db, act.clinic_id, [check_in_id])[check_in_id]
    reason: Any = version.reason or _AGAIN
    if version.voided:
        if not current.voided:
            yield AmendmentIn.model_construct(reason=reason, taken_at=MISSING, responses=MISSING, void=True)
        return
    was_voided = current.voided
    if was_voided:
        yield AmendmentIn.model_construct(reason=reason, taken_at=MISSING, responses=MISSING, void=False)
        _, current = check_ins_store.by_ids(db, act.clinic_id, [check_in_id])[check_in_id]
    scores = tracks.of_check_ins(db, act.clinic_id, [check_in_id])
    stood = {score.instrument for score in scores}
    if was_voided and len(stood) == len(version.responses) and is_same_version(version, current, scores):
        return
    given = [
        ResponseAmendment.model_construct(instrument=r.instrument, answers=r.answers, score=r.score, remove=False)
        for r in version.responses
    ]
    gone = stood - {r.instrument for r in version.responses}
    given += [
        ResponseAmendment.model_construct(instrument=code, answers=None, score=None, remove=True)
        for code in sorted(gone)
    ]
    moved = version.taken_at.at != current.taken_at
    yield AmendmentIn.model_construct(
        reason=reason, taken_at=version.taken_at.at if moved else MISSING, responses=given, void=MISSING
    )
