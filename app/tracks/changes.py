"""What changes a verdict's ground: new versions of one patient's facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.tracks.models import InfusionVersion, ScoreVersion
from app.tracks.patient_tracks import Subject


@dataclass(frozen=True, slots=True)
class Change:
    """New versions of one patient's facts, recorded at `at`. The current versions of `replaces_check_ins` and
    `replaces_sessions` are superseded then. `session_id` is the session that a check-in is linked to; its alerts carry
    it. `because`: why an onset may be gone, where the versions do not tell. `urgent_is_late`: whether an urgent answer
    is late where its score is (a phone's slow clock alone does not make it so)."""

    subject: Subject
    scores: Sequence[ScoreVersion] = ()
    infusions: Sequence[InfusionVersion] = ()
    replaces_check_ins: Sequence[UUID] = ()
    replaces_sessions: Sequence[UUID] = ()
    at: datetime | None = None
    session_id: UUID | None = None
    because: str | None = None
    urgent_is_late: bool = True

    @property
    def only_adds_scores(self) -> bool:
        """Whether the change only adds scores. Such a change cannot remove a domain from the answers."""
        return bool(self.scores) and not (self.infusions or self.replaces_check_ins or self.replaces_sessions)
