"""What one patient's verdicts rest on, and whose they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID
from zoneinfo import ZoneInfo

from app.relief import Track
from app.tracks.models import DomainStatus, InfusionVersion, TrackRow


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose tracks: a patient, the clinic's zone, the declared primary instruments, the indications, and whether the
    patient is in care."""

    patient_id: UUID
    zone: ZoneInfo
    primaries: Mapping[str, str]
    indications: Sequence[str]
    care_status: str


@dataclass(slots=True)
class Known:
    """What one patient's verdicts rest on: infusions that count (in order of time), tracks, and what is stored of them;
    `before` are tracks as they were until now, where what is stored of them is of another fold."""

    infusions: list[InfusionVersion] = field(default_factory=list)
    tracks: dict[str, Track] = field(default_factory=dict)
    stored: dict[str, Track] = field(default_factory=dict)
    track_rows: dict[str, TrackRow] = field(default_factory=dict)
    domain_rows: dict[str, DomainStatus] = field(default_factory=dict)
    needs_fold: set[str] = field(default_factory=set)
    before: dict[str, Track] = field(default_factory=dict)
