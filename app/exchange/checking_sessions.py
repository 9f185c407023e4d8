"""Whether the sessions of a file can be recorded."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from app.errors import Problem
from app.exchange.comparing import is_same_session
from app.exchange.items import SessionItem, made_id
from app.exchange.verdicts import OTHER, TAKEN_BACK, Verdict, settled, with_patient
from app.sessions import policies
from app.sessions import store as sessions
from app.sessions.models import COUNTED, SessionIn
from app.storage import Transaction, new_id
from app.tracks import store as tracks
from app.tracks.patient_tracks import CountedInfusion


@dataclass(slots=True)
class SessionChecker:
    """Checks the sessions of one file. Remembers those of the patient whose turn it is."""

    clinic_id: UUID
    now: datetime
    _last_sessions: tuple[UUID | None, list[CountedInfusion]] = (None, [])

    def check(self, db: Transaction, items: dict[int, SessionItem], whose: dict[str, UUID]) -> dict[int, Verdict]:
        """A verdict for each, by its place among the records of the file."""
        if not items:
            return {}
        mine = {index: whose[item.whose.key] for index, item in items.items()}
        infusions = tracks.infusions_of(db, self.clinic_id, set(mine.values()))
        starts = {(p, one.started_at): one.session_id for p, some in infusions.items() for one in some}
        ids = {
            i: item.id
            or starts.get((mine[i], _start(item)))
            or made_id(mine[i].hex, _start(item).isoformat(), "session")
            for i, item in items.items()
        }
        known = sessions.by_ids(db, self.clinic_id, {one for one in ids.values() if one is not None})
        found = {}
        for index, item in items.items():
            patient_id, session_id = mine[index], ids[index]
            resolved = msgspec.structs.replace(with_patient(item, patient_id), id=session_id)
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
            return Verdict(item, "refused", ((item.line, "session_id", OTHER),))
        verdict = settled(
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
        return verdict or Verdict(item, "refused", ((item.line, "session_id", OTHER),))

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


def _start(item: SessionItem) -> datetime:
    return datetime.fromisoformat(item.versions[-1].body["started_at"])


def _column(problem: Problem) -> str | None:
    return problem.errors[0].name.strip("/").split("/")[0] or None
