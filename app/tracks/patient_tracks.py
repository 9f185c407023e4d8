"""What one patient's verdicts rest on, and whose they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from app.instruments import INSTRUMENTS
from app.relief import VERSION, Track, Verdict
from app.relief.values import Immutable

BEFORE_INFUSION_WITHIN = timedelta(minutes=60)
FOLLOWED = frozenset(code for code, instrument in INSTRUMENTS.items() if instrument.rule)
# The rules, and the shape in which a fold is kept. One that was kept by another is done again.
FOLD = f"{VERSION}/3"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose tracks: a patient, the clinic's zone, the declared primary instruments, the indications, and whether the
    patient is in care."""

    patient_id: UUID
    zone: ZoneInfo
    primaries: Mapping[str, str]
    indications: Sequence[str]
    care_status: str


class CountedInfusion(Immutable, frozen=True):
    """An infusion that counts, as it stands now."""

    session_id: UUID
    started_at: datetime
    ended_at: datetime | None


class Folded(Immutable, frozen=True):
    """What is kept of a patient: the infusions that count in order of time, the track that they make without a score,
    and the track of each instrument with scores."""

    infusions: list[CountedInfusion]
    blank: Track
    tracks: dict[str, Track]


_NOTHING = Folded([], Track(), {})


@dataclass(slots=True)
class PatientTracks:
    """What one patient's verdicts rest on now: see Folded. `stored` is what is kept of it; `needs_fold` the instruments
    whose tracks are to be folded anew; `is_outdated`: what is kept is of another fold. `before` are then the tracks as
    they were until now. `read` are verdicts that were read, and of which track."""

    infusions: list[CountedInfusion] = field(default_factory=list)
    blank: Track = _NOTHING.blank
    tracks: dict[str, Track] = field(default_factory=dict)
    stored: Folded = _NOTHING
    needs_fold: set[str] = field(default_factory=set)
    is_outdated: bool = False
    before: dict[str, Track] = field(default_factory=dict)
    read: dict[tuple[str, date], tuple[Track, Verdict]] = field(default_factory=dict)

    def is_before(self, moment: datetime) -> bool:
        """Whether every score that is folded was taken before `moment`; False where that is not known. A score that
        counts at its infusion's start was taken up to an hour later."""
        scores = (track.latest_score for track in self.tracks.values())
        later = any(score is not None and score.at + BEFORE_INFUSION_WITHIN >= moment for score in scores)
        return not (later or self.needs_fold or self.is_outdated)

    @property
    def folded(self) -> Folded:
        return Folded(self.infusions, self.blank, self.tracks)


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Folded).decode


def to_json(folded: Folded) -> str:
    """The text that a fold is stored as."""
    return _write(folded).decode()


def from_json(state: str) -> PatientTracks:
    """The inverse of `to_json`, for a text that this version of the fold (`FOLD`) wrote."""
    stored = _read(state)
    return PatientTracks([*stored.infusions], stored.blank, {**stored.tracks}, stored)
