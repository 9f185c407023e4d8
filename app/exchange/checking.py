"""Whether the records of a file can be recorded: against the rules, and against what is recorded already. Reads only.

The same check is made twice: of the whole file before anything is applied, and of each record when it is applied, since
somebody may have recorded something in its place meanwhile.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from app.checkins import store as check_ins
from app.checkins.deciding import scored_of
from app.checkins.models import CheckIn, CheckInVersion
from app.checkins.policies import Answers, check_taken_at, compared
from app.checkins.reading import scores_of
from app.errors import Problem
from app.exchange.comparing import is_same_session, is_same_version, why_other_patient
from app.exchange.items import CheckInItem, Item, PatientItem, Response, SessionItem, Version, Whose
from app.instruments import INSTRUMENTS, score
from app.patients import identifiers
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import PatientOut
from app.patients.policies import caseless
from app.sessions import policies
from app.sessions import store as sessions
from app.sessions.models import COUNTED, SessionIn
from app.storage import Transaction, new_id
from app.tracks import store as tracks
from app.tracks.models import ScoreVersion
from app.tracks.patient_tracks import CountedInfusion

R = TypeVar("R", CheckInItem, SessionItem)
Unknown = Literal["refuse", "skip", "create"]
_OTHER = "names something with other content: nothing is overwritten, correct it in the service"
# Why what an undone import brought was taken back.
TAKEN_BACK = "the import that brought it was undone"
_TWO_PATIENTS = "names another patient than patient_id does"
_NO_PATIENT = "must name a patient of this clinic: import the patients first, or let the mapping create them"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a record. `new`: it is to be recorded; `amends`: its versions after number `after` are;
    `returns`: an import brought it, which was undone, and it comes again; `unchanged`: nothing is; `skipped`: the
    mapping says so; `refused`: `problems` say why (line, column, rule)."""

    item: Item
    outcome: Literal["new", "amends", "returns", "unchanged", "skipped", "refused"]
    problems: tuple[tuple[int, str | None, str], ...] = ()
    after: int = 0


@dataclass(slots=True)
class Checker:
    """Checks the records of one file, in the order in which they are applied. `unknown`: what becomes of records of
    patients who are not known. Remembers the patients that the file itself creates, and the sessions."""

    clinic_id: UUID
    now: datetime
    unknown: Unknown = "refuse"
    created: dict[str, UUID] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _doubtful: set[str] = field(default_factory=set)
    _places: tuple[UUID | None, dict[tuple[datetime, str], Response]] = (None, {})
    _last_sessions: tuple[UUID | None, list[CountedInfusion]] = (None, [])

    def check(self, db: Transaction, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each of some records, in the order given. A fixed number of queries."""
        whose = self._resolved(db, items)
        patient_items = {index: item for index, item in enumerate(items) if isinstance(item, PatientItem)}
        verdicts = self._patients(db, patient_items, whose)
        whose |= {i.whose.key: self.created[i.whose.key] for i in items if i.whose.key in self.created}
        for index, item in enumerate(items):
            resolved = whose.get(item.whose.key)
            if item.whose.key in self._doubtful:
                verdicts[index] = Verdict(item, "refused", ((item.line, "external_id", _TWO_PATIENTS),))
                continue
            if isinstance(item, PatientItem) or resolved is not None:
                continue
            if self.unknown == "skip":
                verdicts[index] = Verdict(item, "skipped")
            else:
                verdicts[index] = Verdict(item, "refused", ((item.line, item.whose.column, _NO_PATIENT),))
        of: dict[type, dict[int, Any]] = defaultdict(dict)
        for index, item in enumerate(items):
            if index not in verdicts:
                of[type(item)][index] = item
        verdicts |= self._sessions(db, of[SessionItem], whose)
        verdicts |= self._check_ins(db, of[CheckInItem], whose)
        return [verdicts[index] for index in range(len(items))]

    def _resolved(self, db: Transaction, items: Sequence[Item]) -> dict[str, UUID]:
        """The patient of each key who is known, in whose record it goes on."""
        asked = {item.whose.key: item.whose for item in items}
        named = {key: one.external_id for key, one in asked.items() if one.patient_id is None and one.external_id}
        spelt = {one.external_id for one in asked.values() if one.external_id and one.is_text}
        by_name = identifiers.holders(db, self.clinic_id, spelt | set(named.values()))
        ids = {key: by_name[name] for key, name in named.items() if name in by_name}
        ids |= {key: one.patient_id for key, one in asked.items() if one.patient_id is not None}
        known = patients_store.summaries(db, self.clinic_id, set(ids.values()))
        found = {}
        for key, patient_id in ids.items():
            if patient_id not in known:
                continue
            is_merged = known[patient_id].merged_into is not None
            found[key] = patients.goes_on_in(db, self.clinic_id, patient_id) if is_merged else patient_id
        for key, one in asked.items():
            other = by_name.get(one.external_id or "") if one.is_text and one.patient_id is not None else None
            if other is not None and key in found and patients.goes_on_in(db, self.clinic_id, other) != found[key]:
                self._doubtful.add(key)
        return {key: self.created[key] for key in asked if key in self.created} | found

    def _patients(self, db: Transaction, items: dict[int, PatientItem], whose: dict[str, UUID]) -> dict[int, Verdict]:
        known = patients_store.by_ids(
            db, self.clinic_id, [whose[i.whose.key] for i in items.values() if i.whose.key in whose]
        )
        shown = {one.id: one for one in patients.patients_out(db, self.clinic_id, list(known.values()))}
        holders = identifiers.holders(db, self.clinic_id, [i.body["external_id"] for i in items.values()])
        found = {}
        for index, item in items.items():
            patient_id = whose.get(item.whose.key)
            if patient_id in shown:
                found[index] = self._known_patient(db, _with(item, patient_id), shown[patient_id])
            elif patient_id is not None:  # by an earlier line of this file
                found[index] = Verdict(_with(item, patient_id), "new")
            else:
                found[index] = self._new_patient(item, holders)
        return found

    def _known_patient(self, db: Transaction, item: PatientItem, stands: PatientOut) -> Verdict:
        if stands.care_status == "entered_in_error":
            last = patients_store.versions(db, self.clinic_id, stands.id)[-1]
            if last.reason == TAKEN_BACK and item.body.get("care_status") != "entered_in_error":
                return Verdict(item, "returns")
        column = None if item.only_new else why_other_patient(item, item.whose, stands)
        refused = () if column is None else ((item.line, column, _OTHER),)
        return Verdict(item, "refused" if refused else "unchanged", refused)

    def _new_patient(self, item: PatientItem, holders: dict[str, UUID]) -> Verdict:
        external_id = item.body["external_id"]
        if not item.whose.is_text:
            rule = "must be text: a spreadsheet has made a number or a date of it"
            return Verdict(item, "refused", ((item.line, "external_id", rule),))
        spelt = caseless(external_id)
        if external_id in holders or spelt in self._names:
            return Verdict(item, "refused", ((item.line, "external_id", "must be unique in the clinic"),))
        patient_id = item.whose.patient_id or new_id()
        self._names.add(spelt)
        self.created[item.whose.key] = patient_id
        return Verdict(_with(item, patient_id), "new")

    def _sessions(self, db: Transaction, items: dict[int, SessionItem], whose: dict[str, UUID]) -> dict[int, Verdict]:
        if not items:
            return {}
        mine = {index: whose[item.whose.key] for index, item in items.items()}
        infusions = tracks.infusions_of(db, self.clinic_id, set(mine.values()))
        starts = {(p, one.started_at): one.session_id for p, some in infusions.items() for one in some}
        ids = {
            i: item.id or starts.get((mine[i], _start(item))) or _made_id(mine[i], _start(item), "session")
            for i, item in items.items()
        }
        known = sessions.by_ids(db, self.clinic_id, {one for one in ids.values() if one is not None})
        found = {}
        for index, item in items.items():
            patient_id, session_id = mine[index], ids[index]
            resolved = msgspec.structs.replace(_with(item, patient_id), id=session_id)
            if session_id in known:
                found[index] = self._known_session(db, resolved, known[session_id], patient_id)
            else:
                found[index] = self._new_session(resolved, patient_id, infusions.get(patient_id, []))
        return found

    def _known_session(self, db: Transaction, item: SessionItem, row: sessions.Row, patient_id: UUID) -> Verdict:
        session, current = row
        if current.moved_to is not None:
            return Verdict(item, "unchanged")
        if session.patient_id != patient_id:
            return Verdict(item, "refused", ((item.line, "session_id", _OTHER),))
        settled = _settled(
            item,
            session.version,
            lambda version: is_same_session(version.body, current.content),
            is_undone=current.reason == TAKEN_BACK,
            was_so=lambda version: any(
                is_same_session(version.body, one.content)
                for one in sessions.versions(db, self.clinic_id, session.id)[:-1]
            ),
            is_whole=item.versions[0].recorded_at is not None,
        )
        return settled or Verdict(item, "refused", ((item.line, "session_id", _OTHER),))

    def _new_session(self, item: SessionItem, patient_id: UUID, recorded: list[CountedInfusion]) -> Verdict:
        body = SessionIn.model_validate(item.versions[-1].body)
        if any(version.naive for version in item.versions):
            return Verdict(item, "refused", ((item.line, "started_at", "must have a zone, such as Z or -05:00"),))
        of_file = self._last_sessions[1] if self._last_sessions[0] == patient_id else []
        try:
            policies.check(body, self.now)
            policies.check_vitals(body, self.now)
            if body.status in COUNTED:
                policies.check_overlap(body, [*recorded, *of_file])
        except Problem as problem:
            return Verdict(item, "refused", ((item.line, _column(problem), problem.errors[0].detail),))
        if body.status in COUNTED:
            one = CountedInfusion(item.id or new_id(), body.started_at, body.ended_at)
            self._last_sessions = (patient_id, [*of_file, one])
        return Verdict(item, "new")

    def _check_ins(self, db: Transaction, items: dict[int, CheckInItem], whose: dict[str, UUID]) -> dict[int, Verdict]:
        if not items:
            return {}
        resolved = {index: _identified(_with(item, whose[item.whose.key])) for index, item in items.items()}
        known = check_ins.by_ids(db, self.clinic_id, {i.id for i in resolved.values() if i.id is not None})
        new = {index: item for index, item in resolved.items() if item.id not in known}
        standing = self._standing(db, list(new.values()))
        named = {v.session_id for item in new.values() for v in item.versions if v.session_id is not None}
        sessions_of = tracks.sessions_of(db, self.clinic_id, named)
        scores = scores_of(db, self.clinic_id, list(known))
        found = {}
        for index, item in resolved.items():
            if item.id is not None and item.id in known:
                found[index] = self._known_check_in(db, item, known[item.id], scores.get(item.id, []))
            else:
                found[index] = self._new_check_in(item, standing, sessions_of)
        return found

    def _standing(
        self, db: Transaction, items: Sequence[CheckInItem]
    ) -> dict[tuple[UUID, datetime, str], ScoreVersion]:
        """What is recorded in the places of these check-ins, and beside them."""
        if not items:
            return {}
        moments = [item.versions[-1].taken_at.at for item in items]
        patient_ids = {_patient(item) for item in items}
        found = tracks.standing_between(db, self.clinic_id, patient_ids, min(moments), max(moments))
        return {(score.patient_id, score.taken_at, score.instrument): score for score in found}

    def _known_check_in(
        self, db: Transaction, item: CheckInItem, row: tuple[CheckIn, CheckInVersion], scores: Sequence[ScoreVersion]
    ) -> Verdict:
        check_in, current = row
        if current.moved_to is not None:
            return Verdict(item, "unchanged")
        if check_in.patient_id != _patient(item):
            return Verdict(item, "refused", ((item.line, "check_in_id", _OTHER),))
        settled = _settled(
            item,
            current.version,
            lambda version: is_same_version(version, current, scores, is_whole=_has_versions(item)),
            is_undone=current.voided and current.reason == TAKEN_BACK,
            was_so=lambda version: self._was_so(db, version, check_in),
            is_whole=item.versions[0].recorded_at is not None,
        )
        return settled or Verdict(item, "refused", _differing(item, scores))

    def _was_so(self, db: Transaction, version: Version, check_in: CheckIn) -> bool:
        """Whether an earlier version of a check-in says the same: what was changed here since stays."""
        if check_in.version == 1:
            return False
        every = tracks.versions_of_check_in(db, self.clinic_id, check_in.id)
        return any(
            is_same_version(version, one, [score for score in every if score.version == one.version])
            for one in check_ins.versions(db, self.clinic_id, check_in.id)[:-1]
        )

    def _new_check_in(
        self,
        item: CheckInItem,
        standing: dict[tuple[UUID, datetime, str], ScoreVersion],
        sessions_of: dict[UUID, UUID],
    ) -> Verdict:
        problems: list[tuple[int, str | None, str]] = []
        for version in item.versions:
            problems += self._faults(version, _patient(item), sessions_of)
        last = item.versions[-1]
        if last.voided and len(item.versions) == 1:  # nothing of it is known but that it was taken back
            return Verdict(item, "skipped")
        same = 0
        for response in last.responses:
            other = self._taken(_patient(item), last.taken_at.at, response)
            if other is not None:
                rule = f"another answer stands for {response.instrument} at this taken_at on line {other.line}"
                problems.append((response.line, response.column, rule))
            stands = standing.get((_patient(item), last.taken_at.at, response.instrument))
            if stands is None:
                continue
            how = _stands_to(stands, response)
            same += how is Answers.SAME
            if how is Answers.DIFFERENT:
                rule = f"a different answer is recorded for {response.instrument} at this taken_at"
                problems.append((response.line, response.column, rule))
        if problems:
            return Verdict(item, "refused", tuple(problems))
        return Verdict(item, "unchanged" if same and same == len(last.responses) else "new")

    def _taken(self, patient_id: UUID, at: datetime, response: Response) -> Response | None:
        """Another response of the file in the same place, of the patient who is checked now."""
        if self._places[0] != patient_id:
            self._places = (patient_id, {})
        other = self._places[1].setdefault((at, response.instrument), response)
        same = other is response or (other.answers, other.score) == (response.answers, response.score)
        return None if same else other

    def _faults(
        self, version: Version, patient_id: UUID, sessions_of: dict[UUID, UUID]
    ) -> list[tuple[int, str | None, str]]:
        found: list[tuple[int, str | None, str]] = []
        if version.taken_at.naive:
            found.append((version.line, version.at_column, "must have a zone, such as Z or -05:00"))
        try:
            check_taken_at(version.taken_at.at, self.now)
        except Problem:
            rule = "must be from 1900 on, and not more than 5 minutes in the future"
            found.append((version.line, version.at_column, rule))
        if version.session_id is not None and sessions_of.get(version.session_id) != patient_id:
            rule = "must name a session of this patient: import the sessions first"
            found.append((version.line, "session_id", rule))
        return found


def _settled(
    item: R,
    number: int,
    is_so: Callable[[Any], bool],
    *,
    is_undone: bool,
    was_so: Callable[[Any], bool],
    is_whole: bool,
) -> Verdict | None:
    """What becomes of a record whose id is known, of which version `number` stands; None where it is refused. `is_so`:
    whether a version of the file's says what stands; `was_so`: whether it says what stood before. `is_whole`: the file
    is an export of every version, from some instant on."""
    last = item.versions[-1]
    if is_so(last):
        return Verdict(item, "unchanged")
    if is_undone:
        return Verdict(item, "returns")
    if item.versions[0].number == number + 1 and is_whole:
        return Verdict(item, "amends", after=number)  # of a file that begins later
    at = next((version for version in item.versions if version.number == number), None)
    if at is not None and at is not last and is_so(at):
        return Verdict(item, "amends", after=number)
    return Verdict(item, "unchanged") if was_so(last) else None


def _differing(item: CheckInItem, scores: Sequence[ScoreVersion]) -> tuple[tuple[int, str | None, str], ...]:
    """Where a check-in of a file differs from the recorded one of its id."""
    if _made_for(item) != item.id:
        return ((item.line, "check_in_id", _OTHER),)
    stands = {score.instrument: score for score in scores}
    return tuple(
        (one.line, one.column, f"a different answer is recorded for {one.instrument} at this taken_at")
        for one in item.versions[-1].responses
        if one.instrument not in stands or _stands_to(stands[one.instrument], one) is not Answers.SAME
    ) or ((item.line, None, _OTHER),)


def _stands_to(stands: ScoreVersion, response: Response) -> Answers:
    mine = score(INSTRUMENTS[response.instrument], response.answers, response.score)
    return compared(scored_of(stands), mine)


def _with(item: Any, patient_id: UUID) -> Any:
    """The record, whose patient is known by id."""
    mine = item.whose
    return msgspec.structs.replace(item, whose=Whose(patient_id, mine.external_id, mine.is_text, mine.column))


def _has_versions(item: CheckInItem) -> bool:
    return len(item.versions) > 1 or item.versions[-1].number > 1


def _identified(item: CheckInItem) -> CheckInItem:
    """The check-in with an id: that of the file, or one that is the same whenever the same place is imported, so that
    the file is known again, whatever became of what it brought."""
    return item if item.id is not None else msgspec.structs.replace(item, id=_made_for(item))


def _made_for(item: CheckInItem) -> UUID:
    version = item.versions[-1]
    codes = sorted(response.instrument for response in version.responses)
    return _made_id(_patient(item), version.taken_at.at, *codes)


def _made_id(patient_id: UUID, at: datetime, *what: str) -> UUID:
    """An id in the form of version 8 (RFC 9562), a hash of what it names."""
    made_of = " ".join([patient_id.hex, at.isoformat(), *what])
    made = int.from_bytes(hashlib.sha256(made_of.encode()).digest()[:16])
    return UUID(int=(made & ~(0xF << 76) & ~(0x3 << 62)) | (8 << 76) | (2 << 62))


def _patient(item: Item) -> UUID:
    assert item.whose.patient_id is not None
    return item.whose.patient_id


def _start(item: SessionItem) -> datetime:
    return datetime.fromisoformat(item.versions[-1].body["started_at"])


def _column(problem: Problem) -> str | None:
    return problem.errors[0].name.strip("/").split("/")[0] or None
