"""What the verdicts of one patient rest on, and which patient that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from app.instruments import INSTRUMENTS
from app.relief import VERSION, Track, Verdict
from app.relief.values import Immutable

FOLLOWED = frozenset(code for code, instrument in INSTRUMENTS.items() if instrument.rule)
# The version of a stored fold: the version of the rules, then the version of the storage format. A fold stored under
# any other version is computed again.
FOLD = f"{VERSION}/7"


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
    """An infusion that counts, in its current version. `history`: when each of its versions was recorded, and the start
    by that version; None where it did not count then. Statements that a check-in came before it rest on that."""

    session_id: UUID
    started_at: datetime
    ended_at: datetime | None
    history: tuple[tuple[datetime, datetime | None], ...] = ()


class Folded(Immutable, frozen=True):
    """The stored state of a patient: the infusions that count, in order of time; `blank`, the track of any instrument
    without a score; and the track of each instrument with scores. `incomplete_on`: the day of each instrument's latest
    score with unanswered items. `last_taken_at`: no score was ever taken later."""

    infusions: list[CountedInfusion]
    blank: Track
    tracks: dict[str, Track]
    incomplete_on: Mapping[str, date] = {}
    last_taken_at: datetime | None = None


_NOTHING = Folded([], Track(), {})


@dataclass(slots=True)
class PatientTracks:
    """What one patient's verdicts rest on now; the first five fields are those of Folded. `stored` is the state as it
    is in the database. `needs_fold` holds the instruments whose tracks must be folded again. `is_outdated` tells that
    the stored state is of another fold version; `before` then holds the tracks as they were before the current changes.
    `told`: the instrument and the status of each domain, as they were last told; None where that was not looked up.
    `version` is that of the rules by which the tracks are folded and read. `read` caches verdicts by instrument and
    day, each with the track it was read from."""

    infusions: list[CountedInfusion] = field(default_factory=list)
    blank: Track = _NOTHING.blank
    tracks: dict[str, Track] = field(default_factory=dict)
    incomplete_on: dict[str, date] = field(default_factory=dict)
    last_taken_at: datetime | None = None
    stored: Folded = _NOTHING
    needs_fold: set[str] = field(default_factory=set)
    is_outdated: bool = False
    before: dict[str, Track] = field(default_factory=dict)
    version: str = VERSION
    read: dict[tuple[str, date], tuple[Track, Verdict]] = field(default_factory=dict)
    told: dict[str, tuple[str, str]] | None = None

    def is_before(self, moment: datetime) -> bool:
        """Whether every score, voided ones too, was taken before `moment`; False if that is not known."""
        later = self.last_taken_at is not None and self.last_taken_at >= moment
        return not (later or self.needs_fold or self.is_outdated)

    @property
    def tracks_before(self) -> dict[str, Track]:
        """The tracks as they are now, also where the stored ones are of another fold version."""
        return self.before if self.is_outdated else self.tracks

    def copied(self) -> Folded:
        """A state to be stored, which later changes leave alone."""
        return Folded([*self.infusions], self.blank, {**self.tracks}, {**self.incomplete_on}, self.last_taken_at)

    @property
    def folded(self) -> Folded:
        return Folded(self.infusions, self.blank, self.tracks, self.incomplete_on, self.last_taken_at)


_write = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_read = msgspec.msgpack.Decoder(Folded).decode


def to_bytes(folded: Folded) -> bytes:
    """What a fold is stored as."""
    return _write(folded)


def from_bytes(state: bytes) -> PatientTracks:
    """The inverse of `to_bytes`, for bytes that this version of the fold (`FOLD`) wrote."""
    stored = _read(state)
    incomplete_on = {**stored.incomplete_on}
    return PatientTracks(
        [*stored.infusions], stored.blank, {**stored.tracks}, incomplete_on, stored.last_taken_at, stored
    )
