"""What a check-in of a file becomes: its first version a post, each further one amendments."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from pydantic import MISSING

from app.checkins import store as check_ins_store
from app.checkins.models import AmendmentIn, CheckInIn, ResponseAmendment
from app.checkins.refusing import Alarm, alarms_in
from app.exchange.comparing import is_same_version
from app.exchange.items import CheckInItem, Version
from app.storage import Transaction
from app.tracks import store as tracks

AGAIN = "recorded where it was imported from"


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


def body_of(check_in_id: UUID | None, version: Version) -> CheckInIn:
    """What is recorded of a first version."""
    responses = [_Response(one.instrument, one.answers, one.score) for one in version.responses]
    made = _CheckIn(check_in_id, version.taken_at.at, version.session_id, bool(version.before_infusion), responses)
    return cast("CheckInIn", made)


def amendments(db: Transaction, clinic_id: UUID, check_in_id: UUID, version: Version) -> Iterator[AmendmentIn]:
    """The amendments that make a check-in say what a version says."""
    _, current = check_ins_store.by_ids(db, clinic_id, [check_in_id])[check_in_id]
    reason: Any = version.reason or AGAIN
    if version.voided:
        if not current.voided:
            yield AmendmentIn.model_construct(reason=reason, taken_at=MISSING, responses=MISSING, void=True)
        return
    was_voided = current.voided
    if was_voided:
        yield AmendmentIn.model_construct(reason=reason, taken_at=MISSING, responses=MISSING, void=False)
        _, current = check_ins_store.by_ids(db, clinic_id, [check_in_id])[check_in_id]
    scores = tracks.of_check_ins(db, clinic_id, [check_in_id])
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


def alarms_of(item: CheckInItem) -> list[Alarm]:
    """The alarming answers of a check-in that is not recorded: somebody must see them all the same."""
    version = item.versions[-1]
    responses = [
        {"instrument": one.instrument, "answers": one.answers, "score": one.score} for one in version.responses
    ]
    form = {"taken_at": version.taken_at.at.isoformat(), "responses": responses}
    return alarms_in(form, item.whose.patient_id)
