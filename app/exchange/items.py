"""What the lines of a file say, whatever its layout: fragments, which are sorted, and the records they make.

A check-in may stand on several lines (one for each instrument, item or version), and these anywhere in the file. So
every line becomes fragments under a key; sorted by it, those of one record come together.
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.patients.policies import caseless

PATIENTS, SESSIONS, CHECK_INS = 0, 1, 2


class LineProblem(Exception):
    """A line that breaks a rule; the message is the rule."""

    def __init__(self, line: int, column: str | None, rule: str) -> None:
        super().__init__(rule)
        self.line, self.column = line, column


class Whose(msgspec.Struct, frozen=True, array_like=True):
    """The patient of a line: by id, by external id, or both. `is_text`: the external id came as text, and not as a
    number that a spreadsheet made of it. `column`: where it stands."""

    patient_id: UUID | None
    external_id: str | None
    is_text: bool = True
    column: str = "patient_id"

    @property
    def key(self) -> str:
        """What lines of one patient have in common."""
        return self.patient_id.hex if self.patient_id is not None else f"~{caseless(self.external_id or '')}"


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """An instant as a file gives it. `naive`: without its zone, as spreadsheets leave it; it is then no more than a
    sign by which a record that is known is known again."""

    at: datetime
    naive: bool = False

    def is_same(self, other: datetime) -> bool:
        """Whether it can be this instant: tools cut or round fractions of a second."""
        return abs((self.at - other).total_seconds()) < 1


class Response(msgspec.Struct, array_like=True):
    """One instrument's answers, its score alone, or both."""

    instrument: str
    answers: list[int | None] | None
    score: float | int | None
    line: int
    column: str


class Fragment(msgspec.Struct, array_like=True):
    """What one line says of a check-in: a whole response, or a part of one (`item`: its number; 0: the total)."""

    whose: Whose
    id: UUID | None
    version: int
    line: int
    taken_at: Moment
    session_id: UUID | None = None
    before_infusion: bool | None = None
    status: str = "recorded"
    reason: str | None = None
    recorded_at: datetime | None = None
    response: Response | None = None
    item: int | None = None
    value: float | int | None = None
    at_column: str = "taken_at"


class Version(msgspec.Struct, array_like=True):
    """One version of a check-in."""

    number: int
    line: int
    taken_at: Moment
    session_id: UUID | None
    before_infusion: bool | None
    voided: bool
    reason: str | None
    recorded_at: datetime | None
    responses: list[Response]
    at_column: str = "taken_at"


class CheckInItem(msgspec.Struct, tag="check_in", array_like=True):
    """A check-in with its versions, oldest first."""

    whose: Whose
    id: UUID | None
    versions: list[Version]

    @property
    def line(self) -> int:
        return self.versions[0].line

    def drop_through(self, number: int) -> None:
        """Forgets the versions up to this one."""
        self.versions = [version for version in self.versions if version.number > number]


class SessionVersion(msgspec.Struct, array_like=True):
    """One version of a session: its content as `SessionIn` has it."""

    number: int
    line: int
    body: dict[str, Any]
    reason: str | None
    recorded_at: datetime | None
    naive: bool = False


class SessionItem(msgspec.Struct, tag="session", array_like=True):
    """A session with its versions, oldest first."""

    whose: Whose
    id: UUID | None
    versions: list[SessionVersion]

    @property
    def line(self) -> int:
        return self.versions[0].line

    def drop_through(self, number: int) -> None:
        """Forgets the versions up to this one."""
        self.versions = [version for version in self.versions if version.number > number]


class PatientItem(msgspec.Struct, tag="patient", array_like=True):
    """A patient: the content as `PatientIn` has it."""

    whose: Whose
    line: int
    body: dict[str, Any]
    only_new: bool = False
    """Made beside a line about something else: no more than a patient who is not known yet."""


Item = PatientItem | SessionItem | CheckInItem
Keyed = tuple[str, bytes]
_encode = msgspec.msgpack.Encoder().encode
as_fragment = msgspec.msgpack.Decoder(Fragment).decode
as_session = msgspec.msgpack.Decoder(SessionItem).decode
as_patient = msgspec.msgpack.Decoder(PatientItem).decode
items_of = msgspec.msgpack.Decoder(list[Item]).decode
as_bytes = _encode


def phase_of(item: Item) -> int:
    """Patients come before sessions, and those before check-ins."""
    return PATIENTS if isinstance(item, PatientItem) else SESSIONS if isinstance(item, SessionItem) else CHECK_INS


def what_is_new(item: Item) -> dict[str, int]:
    """What a new record counts for."""
    if isinstance(item, CheckInItem):
        return {"check_ins": 1, "scores": len(item.versions[-1].responses)}
    return {"patients": 1} if isinstance(item, PatientItem) else {"sessions": 1}


def keyed(phase: int, whose: Whose, group: str, version: int, line: int, content: Any) -> Keyed:
    """A part of a record under the key by which it comes together with the others."""
    return f"{phase}{whose.key}\0{group}\0{version:07d}{line:09d}", _encode(content)


def in_time(moment: datetime) -> str:
    """A text that sorts like the instant."""
    return f"{int(moment.timestamp() * 1_000_000) + 10**16:018d}"


def made_id(*of: str) -> UUID:
    """An id that is the same for the same texts, whenever the file is sent: a hash of them, as a UUID of version 8 (RFC
    9562)."""
    made = int.from_bytes(hashlib.sha256("\0".join(of).encode()).digest()[:16])
    return UUID(int=(made & ~(0xF << 76) & ~(0x3 << 62)) | (8 << 76) | (2 << 62))
