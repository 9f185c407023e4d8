"""The use case of the outlook: gather, compare, answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from app.access.service import Caller
from app.cohorts import service as cohorts
from app.cohorts import store as cohorts_store
from app.cohorts.tallies import Question as Cohort
from app.errors import Merged, NotFound
from app.facts import Fact
from app.outlook import store
from app.outlook.estimating import ahead
from app.outlook.models import DepthOut, OutlookOut
from app.outlook.words import explain
from app.patients import service as patients
from app.patients import store as patients_store
from app.relief import VERSION, Verdict
from app.relief.outlook import Contribution, contribution
from app.storage import Transaction
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks.days import local_day
from app.tracks.domains import blank_verdict, checked_instrument, rule, verdicts_on

_Compared = list[tuple[UUID, Contribution]]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose outlook is asked for, by which instrument, as of which day (None: today in the clinic), and by what was
    recorded up to `known_at` (None: everything)."""

    patient_id: UUID
    instrument: str
    as_of: date | None
    known_at: datetime | None


def outlook_of(db: Transaction, caller: Caller, question: Question, now: datetime) -> Fact[OutlookOut]:
    """What became of the clinic's earlier spells that were in response about as long. Raises NotFound, Merged, Invalid,
    and Busy while another question about the past is being answered."""
    checked_instrument(question.instrument)
    _check_there(db, caller, question)
    today = local_day(now, caller.time_zone)
    as_of = question.as_of or today
    cohorts.check_moment(db, caller, as_of, question.known_at, now)
    verdict = _verdict(db, caller, question, as_of)
    spell = verdict.spell
    if verdict.status != "holding" or spell is None or spell.event is not None:
        reason = "not_holding" if verdict.status != "holding" else "no_spell" if spell is None else "spell_ended"
        return _answer(caller, question, as_of, now, reason=reason)
    held = spell.days
    is_past = question.known_at is not None or as_of != today
    compared = None
    if not is_past and not cohorts_store.is_outdated(db, caller.clinic_id):
        compared = store.contributions(db, caller.clinic_id, question.instrument, question.patient_id, held, as_of)
    if compared is None:
        compared = cohorts.alone(lambda: list(_folded(db, caller, question, as_of, held)))
    return _answer(caller, question, as_of, now, held, compared, verdict)


def _check_there(db: Transaction, caller: Caller, question: Question) -> None:
    """Raises NotFound, and Merged unless what is asked for was known before the merge."""
    patient = patients_store.find(db, caller.clinic_id, question.patient_id)
    if patient is None:
        raise NotFound
    then = question.known_at
    is_before = then is not None and patient.merged_at is not None and then < patient.merged_at
    if patient.merged_into is not None and not is_before:
        raise Merged(patients.goes_on_in(db, caller.clinic_id, patient.id))


def _verdict(db: Transaction, caller: Caller, question: Question, as_of: date) -> Verdict:
    whose = (db, caller.clinic_id, question.patient_id)
    if question.known_at is None:
        known = tracks.gather(db, caller.clinic_id, [question.patient_id])[question.patient_id]
        known = answers.readable(*whose, known, caller.time_zone, as_of)
    else:
        known, _ = answers.known_on(*whose, caller.time_zone, as_of, question.known_at)
    return verdicts_on(known, as_of).get(question.instrument) or blank_verdict(known, as_of)


def _folded(
    db: Transaction, caller: Caller, question: Question, as_of: date, held: int
) -> Iterator[tuple[UUID, Contribution]]:
    asked = Cohort(question.instrument, "none", as_of)
    for _, known in cohorts.records_known(db, caller, asked, question.known_at):
        for patient_id, records in known.items():
            for record in records if patient_id != question.patient_id else ():
                spell = record.spell
                if spell is not None:
                    is_event = spell.event is not None
                    found = contribution(spell.diary, spell.days, is_event=is_event, held=held)
                    if found is not None:
                        yield patient_id, found


def _answer(
    caller: Caller,
    question: Question,
    as_of: date,
    now: datetime,
    held: int | None = None,
    compared: Iterable[tuple[UUID, Contribution]] = (),
    verdict: Verdict | None = None,
    reason: str | None = None,
) -> Fact[OutlookOut]:
    smallest, found = caller.clinic.smallest_group, list(compared)
    people = len({patient_id for patient_id, _ in found})
    if reason is None and people < smallest:
        reason = "too_few"
    told = reason is None
    value = OutlookOut(
        patient_id=question.patient_id,
        instrument=question.instrument,
        as_of=as_of,
        known_at=question.known_at or now,
        rule=VERSION,
        days_held=held,
        n=None if held is None else len(found),
        patients=None if held is None else people,
        smallest_group=smallest,
        reason=reason,
        ahead=ahead([one for _, one in found]) if told else [],
        by_depth=_by_depth(question.instrument, verdict, found, smallest) if told and verdict is not None else None,
        explanation="",
    )
    value.explanation = explain(value)
    return Fact(value, (question.patient_id,))


def _by_depth(instrument: str, verdict: Verdict, found: _Compared, smallest: int) -> DepthOut | None:
    """The outlook over the spells on the patient's side of a fall by 75%."""
    if rule(instrument).basis == "points" or verdict.latest is None or verdict.baseline is None:
        return None
    is_deep = 4 * verdict.latest.severity <= verdict.baseline.severity
    mine = [(patient_id, one) for patient_id, one in found if one.is_deep == is_deep]
    people = len({patient_id for patient_id, _ in mine})
    if people < smallest:
        return None
    side = "deep" if is_deep else "shallow"
    return DepthOut(side=side, n=len(mine), patients=people, ahead=ahead([one for _, one in mine]))
