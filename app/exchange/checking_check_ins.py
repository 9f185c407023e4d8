"""Whether the check-ins of a file can be recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from app.checkins import store as check_ins
from app.checkins.deciding import scored_of
from app.checkins.models import CheckIn, CheckInVersion
from app.checkins.policies import Answers, check_taken_at, compared
from app.checkins.reading import scores_of
from app.errors import Problem
from app.exchange.comparing import is_same_version
from app.exchange.items import CheckInItem, Response, Version, made_id
from app.exchange.verdicts import OTHER, TAKEN_BACK, Verdict, patient_of, settled, with_patient
from app.instruments import INSTRUMENTS, score
from app.storage import Transaction
from app.tracks import store as tracks
from app.tracks.models import ScoreVersion


@dataclass(slots=True)
class CheckInChecker:
    """Checks the check-ins of one file. Remembers what stands in the file for the patient whose turn it is."""

    clinic_id: UUID
    now: datetime
    _places: tuple[UUID | None, dict[tuple[datetime, str], Response]] = (None, {})

    def check(self, db: Transaction, items: dict[int, CheckInItem], whose: dict[str, UUID]) -> dict[int, Verdict]:
        """A verdict for each, by its place among the records of the file."""
        if not items:
            return {}
        resolved = {index: _identified(with_patient(item, whose[item.whose.key])) for index, item in items.items()}
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
        patient_ids = {patient_of(item) for item in items}
        found = tracks.standing_between(db, self.clinic_id, patient_ids, min(moments), max(moments))
        return {(score.patient_id, score.taken_at, score.instrument): score for score in found}

    def _known_check_in(
        self, db: Transaction, item: CheckInItem, row: tuple[CheckIn, CheckInVersion], scores: Sequence[ScoreVersion]
    ) -> Verdict:
        check_in, current = row
        if current.moved_to is not None:
            return Verdict(item, "unchanged")
        if check_in.patient_id != patient_of(item):
            return Verdict(item, "refused", ((item.line, "check_in_id", OTHER),))
        verdict = settled(
            item,
            current.version,
            lambda version: is_same_version(version, current, scores, is_whole=_has_versions(item)),
            is_undone=current.voided and current.reason == TAKEN_BACK,
            was_so=lambda version: self._was_so(db, version, check_in),
            is_whole=item.versions[0].recorded_at is not None,
        )
        return verdict or Verdict(item, "refused", _differing(item, scores))

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
            problems += self._faults(version, patient_of(item), sessions_of)
        last = item.versions[-1]
        if last.voided and len(item.versions) == 1:  # nothing of it is known but that it was taken back
            return Verdict(item, "skipped")
        same = 0
        for response in last.responses:
            other = self._taken(patient_of(item), last.taken_at.at, response)
            if other is not None:
                rule = f"another answer stands for {response.instrument} at this taken_at on line {other.line}"
                problems.append((response.line, response.column, rule))
            stands = standing.get((patient_of(item), last.taken_at.at, response.instrument))
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


def _differing(item: CheckInItem, scores: Sequence[ScoreVersion]) -> tuple[tuple[int, str | None, str], ...]:
    """Where a check-in of a file differs from the recorded one of its id."""
    if _made_for(item) != item.id:
        return ((item.line, "check_in_id", OTHER),)
    stands = {score.instrument: score for score in scores}
    return tuple(
        (one.line, one.column, f"a different answer is recorded for {one.instrument} at this taken_at")
        for one in item.versions[-1].responses
        if one.instrument not in stands or _stands_to(stands[one.instrument], one) is not Answers.SAME
    ) or ((item.line, None, OTHER),)


def _stands_to(stands: ScoreVersion, response: Response) -> Answers:
    mine = score(INSTRUMENTS[response.instrument], response.answers, response.score)
    return compared(scored_of(stands), mine)


def _has_versions(item: CheckInItem) -> bool:
    return len(item.versions) > 1 or item.versions[-1].number > 1


def _identified(item: CheckInItem) -> CheckInItem:
    """The check-in with an id: that of the file, or one that is the same whenever the same place is imported, so that
    the file is known again, whatever became of what it brought."""
    return item if item.id is not None else msgspec.structs.replace(item, id=_made_for(item))


def _made_for(item: CheckInItem) -> UUID:
    version = item.versions[-1]
    codes = sorted(response.instrument for response in version.responses)
    return made_id(patient_of(item).hex, version.taken_at.at.isoformat(), *codes)
