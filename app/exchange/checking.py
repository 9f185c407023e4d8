"""Whether the records of a file can be recorded: against the rules, and against what is recorded already. Reads only.

The same check is made twice: of the whole file before anything is applied, and of each record when it is applied, since
somebody may have recorded something in its place meanwhile.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.exchange.checking_check_ins import CheckInChecker
from app.exchange.checking_sessions import SessionChecker
from app.exchange.comparing import why_other_patient
from app.exchange.items import CheckInItem, Item, PatientItem, SessionItem
from app.exchange.verdicts import OTHER, TAKEN_BACK, Verdict, with_patient
from app.patients import identifiers
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import PatientOut
from app.patients.policies import caseless
from app.storage import Transaction, new_id

Unknown = Literal["refuse", "skip", "create"]
_TWO_PATIENTS = "names another patient than patient_id does"
_NO_PATIENT = "must name a patient of this clinic: import the patients first, or let the mapping create them"


@dataclass(slots=True)
class Checker:
    """Checks the records of one file, in the order in which they are applied. `unknown`: what becomes of records of
    patients who are not known. Remembers the patients that the file itself creates."""

    clinic_id: UUID
    now: datetime
    unknown: Unknown = "refuse"
    created: dict[str, UUID] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _doubtful: set[str] = field(default_factory=set)
    _sessions: SessionChecker = field(init=False)
    _check_ins: CheckInChecker = field(init=False)

    def __post_init__(self) -> None:
        self._sessions = SessionChecker(self.clinic_id, self.now)
        self._check_ins = CheckInChecker(self.clinic_id, self.now)

    def check(self, db: Transaction, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each of some records, in the order given. A fixed number of queries, and further ones for a
        record that was merged, corrected or taken back since."""
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
        verdicts |= self._sessions.check(db, of[SessionItem], whose)
        verdicts |= self._check_ins.check(db, of[CheckInItem], whose)
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
            if other is None or other == found.get(key, other):
                continue
            if patients.goes_on_in(db, self.clinic_id, other) != found[key]:
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
                found[index] = self._known_patient(db, with_patient(item, patient_id), shown[patient_id])
            elif patient_id is not None:  # by an earlier line of this file
                found[index] = Verdict(with_patient(item, patient_id), "new")
            else:
                found[index] = self._new_patient(item, holders)
        return found

    def _known_patient(self, db: Transaction, item: PatientItem, stands: PatientOut) -> Verdict:
        if stands.care_status == "entered_in_error":
            last = patients_store.versions(db, self.clinic_id, stands.id)[-1]
            if last.reason == TAKEN_BACK and item.body.get("care_status") != "entered_in_error":
                return Verdict(item, "returns")
        column = None if item.only_new else why_other_patient(item, item.whose, stands)
        refused = () if column is None else ((item.line, column, OTHER),)
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
        return Verdict(with_patient(item, patient_id), "new")
