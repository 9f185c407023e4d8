"""What the verdicts of one patient rest on, and which patient that is."""

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
# The version of a stored fold: the version of the rules, then the version of the storage format. A fold stored under
# any other version is computed again.
FOLD = f"{VERSION}/3"


@dataclass(frozen=True, slots=True)
class Subject:
    """The patient whose tracks are folded: the id, the clinic's time zone, the declared primary instrument of each
    domain, the indications, and whether the patient is in care."""

    patient_id: UUID
    zone: ZoneInfo
    primaries: Mapping[str, str]
    indications: Sequence[str]
    care_status: str


class CountedInfusion(Immutable, frozen=True):
    """An infusion that counts, in its current version."""

    session_id: UUID
    started_at: datetime
    ended_at: datetime | None


class Folded(Immutable, frozen=True):
    """The stored state of a patient: the infusions that count, in order of time; `blank`, the track of any instrument
    without a score; and the track of each instrument with scores."""

    infusions: list[CountedInfusion]
    blank: Track
    tracks: dict[str, Track]


_NOTHING = Folded([], Track(), {})


@dataclass(slots=True)
class PatientTracks:
    """What one patient's verdicts rest on now; the first three fields are those of Folded. `stored` is the state as it
    is in the database. `needs_fold` holds the instruments whose tracks must be folded again. `is_outdated` tells that
    the stored state is of another fold version; `before` then holds the tracks as they were before the current changes.
    `read` caches verdicts by instrument and day, each with the track it was read from."""

    infusions: list[CountedInfusion] = field(default_factory=list)
    blank: Track = _NOTHING.blank
    tracks: dict[str, Track] = field(default_factory=dict)
    stored: Folded = _NOTHING
    needs_fold: set[str] = field(default_factory=set)
    is_outdated: bool = False
    before: dict[str, Track] = field(default_factory=dict)
    read: dict[tuple[str, date], tuple[Track, Verdict]] = field(default_factory=dict)

    def is_before(self, moment: datetime) -> bool:
        """Whether every folded score was taken before `moment`; False if that is not known. A score that counts at its
        infusion's start may have been taken up to an hour later, so an hour is added."""
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
