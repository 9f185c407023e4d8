"""Answers to self-harm items in forms that are refused. The score is refused, and the answer raises its alert all the
same: safety does not depend on a form being accepted.

A refused form is read as it came. An item counts only if it stands in its place and is a whole number in its range;
else it is unknown, and unknown raises nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from app.access.service import Caller
from app.alerts.policies import RANKS, is_late, is_worse, self_harm_priority
from app.alerts.raising import Refused, Said, raise_refused
from app.api.fields import Id, MomentIn
from app.audit.service import Act
from app.checkins import store
from app.checkins.models import NoticeOut
from app.checkins.output import crisis_notice
from app.checkins.policies import RIGHT_FOR, RIGHT_WITHIN, looks_slow, taken
from app.errors import Busy, Problem
from app.facts import Fact
from app.instruments import INSTRUMENTS, Instrument
from app.patients import service as patients
from app.patients import store as patients_store
from app.storage import Transaction
from app.tracks import store as tracks
from app.tracks.models import ScoreVersion

# Nobody known, nothing there, or nothing that was read.
_NOT_OF_A_FORM = (401, 404, 413, 429)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(MomentIn)
_ID: TypeAdapter[UUID] = TypeAdapter(Id)


class _Pairs(dict[str, Any]):
    """An object with every value of a repeated name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _values(node: Any, name: str) -> list[Any]:
    """Every value of a name in an object; none where it is no object."""
    if isinstance(node, _Pairs):
        return [value for key, value in node.pairs if key == name]
    return [node[name]] if isinstance(node, dict) and name in node else []


@dataclass(frozen=True, slots=True)
class Alarm:
    """An answer at or over its line: whose it is, by which instrument, how urgent, what was said (points, item), and
    what the form says of its time (None: nothing that can be read). `check_in_id`: the check-in that the form was to
    amend."""

    patient_id: UUID
    instrument: str
    priority: str
    said: Said
    taken_at: datetime | None
    sent_at: datetime | None
    check_in_id: UUID | None = None


def concerns(problem: Problem) -> bool:
    """Whether a form that is refused like this, for a caller who may send it, may hold an answer that somebody must
    see."""
    return 400 <= problem.status < 500 and problem.status not in _NOT_OF_A_FORM


def document_of(body: bytes) -> Any:
    """The JSON document in a body, read as leniently as possible; None if there is none. Where a name is repeated, no
    value of it is lost."""
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


def alarms_in(form: Any, patient_id: UUID | None, check_in_id: UUID | None = None) -> list[Alarm]:
    """The alarming answers of one form, one for each instrument. `patient_id`: whose it is; None where the form names
    the patient itself."""
    whose = patient_id or _read(_ID, next(iter(_values(form, "patient_id")), None))
    responses = [one for some in _values(form, "responses") if isinstance(some, list) for one in some]
    if whose is None:
        return []
    found: dict[str, tuple[str, Said]] = {}
    for response in responses:
        for code, priority, said in _alarms(response):
            if code not in found or _weight(priority, said) < _weight(*found[code]):
                found[code] = priority, said
    times = (_read(_MOMENT, next(iter(_values(form, name)), None)) for name in ("taken_at", "sent_at"))
    taken_at, sent_at = times
    return [Alarm(whose, code, *found[code], taken_at, sent_at, check_in_id) for code in found]


def _weight(priority: str, said: Said) -> tuple[int, int]:
    """The more alarming an answer is, the less."""
    return RANKS[priority], -(said[1] or 0)


def raise_alarms(db: Transaction, caller: Caller, act: Act, alarms: Sequence[Alarm]) -> Fact[NoticeOut | None]:
    """Raises the alerts of refused forms, of those patients for whom the caller may record. The fact names them; its
    value is the notice that the refusal carries."""
    whose = {alarm.patient_id: caller.whose(alarm.patient_id) for alarm in alarms}
    goes_on = {i: patients.goes_on_in(db, act.clinic_id, p) for i, p in whose.items() if caller.patient_id in (None, p)}
    locked = patients_store.summaries(db, act.clinic_id, set(goes_on.values()), lock=True)
    if any(patient.merged_into is not None for patient in locked.values()):  # merged just now
        raise Busy
    mine = [replace(a, patient_id=goes_on[a.patient_id]) for a in alarms if goes_on.get(a.patient_id) in locked]
    if not mine:
        return Fact(None)
    amended = store.by_ids(db, act.clinic_id, {alarm.check_in_id for alarm in mine if alarm.check_in_id is not None})
    stood = {check_in_id: check_in.taken_at for check_in_id, (check_in, _) in amended.items()}
    known = {(score.check_in_id, score.instrument): score for score in tracks.of_check_ins(db, act.clinic_id, stood)}
    told = [(known.get((a.check_in_id, a.instrument)), a, _refused(db, caller, act, a, stood)) for a in mine]  # type: ignore[arg-type]
    news = [refused for score, alarm, refused in told if not _is_told(score, alarm, refused)]
    raise_refused(db, act.clinic_id, news)
    return Fact(crisis_notice(caller), tuple(locked))


def _is_told(score: ScoreVersion | None, alarm: Alarm, refused: Refused) -> bool:
    """Whether the score that a refused form was to amend said as much of the same patient when it was recorded, and as
    timely: then it has raised its alert, and the form only repeats it."""
    if score is None or score.patient_id != alarm.patient_id or (score.late and not refused.late):
        return False
    stood = score.points, score.self_harm_item
    instrument = INSTRUMENTS[alarm.instrument]
    return self_harm_priority(instrument, *stood) is not None and not is_worse(instrument, stood, alarm.said)


def _refused(db: Transaction, caller: Caller, act: Act, alarm: Alarm, stood: Mapping[UUID, datetime]) -> Refused:
    """When the answer was given, as far as the form tells; a time that cannot be is the time of arrival."""
    said_at = alarm.taken_at or (stood.get(alarm.check_in_id) if alarm.check_in_id else None) or act.at
    was_right = looks_slow(alarm.sent_at, act.at) and caller.id in store.right_clocks(
        db, act.clinic_id, [alarm.patient_id], [caller.id], act.at - RIGHT_FOR, RIGHT_WITHIN
    )
    try:
        moment = taken(caller, said_at, alarm.sent_at, act.at, was_right=was_right)
    except Problem:
        return Refused(alarm.patient_id, alarm.instrument, alarm.priority, act.at, False, act.at)
    late = is_late(moment.at, act.at) and not moment.is_suspect
    if alarm.priority == "urgent" and caller.patient_id is not None:
        late = late and alarm.sent_at is not None
    return Refused(alarm.patient_id, alarm.instrument, alarm.priority, moment.at, late, act.at)


def _alarms(response: Any) -> Iterator[tuple[str, str, Said]]:
    """(instrument, priority of the alert, what was said) for every answer of a response that calls for one."""
    for code in _values(response, "instrument"):
        instrument = INSTRUMENTS.get(code) if isinstance(code, str) else None
        if instrument is None or instrument.self_harm is None:
            continue
        item = instrument.items[instrument.self_harm.number - 1]
        given = [answers for answers in _values(response, "answers") if answers is not None]
        for answers in given:
            value = answers[item.number - 1] if isinstance(answers, list) and len(answers) >= item.number else None
            if type(value) is int and item.min <= value <= item.max:
                yield from _raised(instrument, None, value)
        for total in _values(response, "score") if not given else ():
            if type(total) is int and total in instrument.points:
                yield from _raised(instrument, total, None)


def _raised(instrument: Instrument, points: int | None, item: int | None) -> Iterator[tuple[str, str, Said]]:
    priority = self_harm_priority(instrument, points, item)
    if priority is not None:
        yield instrument.code, priority, (points, item)


def _read(adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None
