"""What the lines of a file say, whatever its layout: fragments, which are sorted, and the records they make.

A check-in may stand on several lines (one for each instrument, item or version), and these anywhere in the file. So
every line becomes fragments under a key; sorted by it, those of one record come together.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from app.errors import Problem
from app.instruments import INSTRUMENTS, Instrument, score

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
        return self.patient_id.hex if self.patient_id is not None else f"~{self.external_id}"


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
    before_infusion: bool = False
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
    before_infusion: bool
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
# More versions than a record can have.
_MOST_VERSIONS = 10**6

_encode = msgspec.msgpack.Encoder().encode
_fragment = msgspec.msgpack.Decoder(Fragment).decode
_session = msgspec.msgpack.Decoder(SessionItem).decode
_patient = msgspec.msgpack.Decoder(PatientItem).decode
items_of = msgspec.msgpack.Decoder(list[Item]).decode
as_bytes = _encode


def keyed(phase: int, whose: Whose, group: str, version: int, line: int, content: Any) -> Keyed:
    """A part of a record under the key by which it comes together with the others."""
    return f"{phase}{whose.key}\0{group}\0{version:07d}{line:09d}", _encode(content)


def in_time(moment: datetime) -> str:
    """A text that sorts like the instant."""
    return f"{int(moment.timestamp() * 1_000_000) + 10**16:018d}"


def assembled(found: Iterable[Keyed]) -> Iterator[Item | LineProblem]:
    """The records that fragments in the order of their keys make, or why they make none."""
    for group, parts in groupby(found, key=lambda one: one[0].rpartition("\0")[0]):
        contents = [content for _, content in parts]
        try:
            if group[0] == str(PATIENTS):
                yield _one_patient([_patient(content) for content in contents])
            elif group[0] == str(SESSIONS):
                yield _one_session([_session(content) for content in contents])
            else:
                yield _one_check_in([_fragment(content) for content in contents])
        except LineProblem as problem:
            yield problem


def voided_first(items: Iterable[Item | LineProblem]) -> Iterator[Item | LineProblem]:
    """The same, but of each patient's check-ins those first that were taken back in the end: another one may stand in
    the place of each."""
    for _, some in groupby(items, key=_patient_of_check_in):
        mine = list(some)
        if len(mine) > 1 and isinstance(mine[0], CheckInItem):
            mine.sort(key=lambda item: not (isinstance(item, CheckInItem) and item.versions[-1].voided))
        yield from mine


def _patient_of_check_in(item: Item | LineProblem) -> str | None:
    return item.whose.key if isinstance(item, CheckInItem) else None


def _one_patient(parts: Sequence[PatientItem]) -> PatientItem:
    first, *others = parts
    for other in others:
        if other.body != first.body and not first.only_new:
            raise LineProblem(other.line, "external_id", "must not name a patient twice with other content")
    return first


def _one_session(parts: Sequence[SessionItem]) -> SessionItem:
    versions: list[SessionVersion] = []
    for part in parts:
        [version] = part.versions
        if versions and versions[-1].number == version.number:
            if versions[-1].body != version.body:
                raise LineProblem(version.line, "session_id", "must not name a session twice with other content")
            continue
        versions.append(version)
    return SessionItem(parts[0].whose, parts[0].id, versions)


def _one_check_in(parts: Sequence[Fragment]) -> CheckInItem:
    versions: list[Version] = []
    for number, mine in groupby(parts, key=lambda part: part.version):
        versions.append(_one_version(number, list(mine)))
    return CheckInItem(parts[0].whose, parts[0].id, versions)


def _one_version(number: int, parts: Sequence[Fragment]) -> Version:
    first = parts[0]
    for part in parts:
        if part.taken_at.at != first.taken_at.at:
            raise LineProblem(part.line, first.at_column, "must be the same on every line of a check-in")
        if (part.session_id, part.before_infusion) != (first.session_id, first.before_infusion):
            rule = "session_id and before_infusion must be the same on every line of a check-in"
            raise LineProblem(part.line, None, rule)
    voided = first.status == "voided"
    return Version(
        number, first.line, first.taken_at, first.session_id, first.before_infusion, voided, first.reason,
        first.recorded_at, [] if voided else _responses(parts), first.at_column,
    )  # fmt: skip


def _responses(parts: Sequence[Fragment]) -> list[Response]:
    found: dict[str, Response] = {}
    loose: dict[str, list[Fragment]] = {}
    for part in parts:
        response = part.response
        if response is None:
            continue
        if part.item is not None:
            loose.setdefault(response.instrument, []).append(part)
            continue
        stands = found.setdefault(response.instrument, response)
        if (stands.answers, stands.score) != (response.answers, response.score):
            rule = "must not name an instrument of a check-in twice with other content"
            raise LineProblem(response.line, response.column, rule)
    for code, some in loose.items():
        if (made := _joined(INSTRUMENTS[code], some)) is not None:
            found[code] = made
    if not found:
        raise LineProblem(parts[0].line, None, NOTHING)
    return [found[code] for code in sorted(found)]


NOTHING = "holds no answer"


def _joined(instrument: Instrument, parts: Sequence[Fragment]) -> Response | None:
    """A response that stands item by item."""
    answers: list[int | None] = [None] * len(instrument.items)
    total: float | int | None = None
    seen: dict[int, float | int | None] = {}
    for part in parts:
        assert part.item is not None
        assert part.response is not None
        if seen.get(part.item, part.value) != part.value:
            rule = "must not answer an item of a check-in twice with other answers"
            raise LineProblem(part.line, part.response.column, rule)
        seen[part.item] = part.value
        if part.item == 0:
            total = part.value
        else:
            answers[part.item - 1] = None if part.value is None else int(part.value)
    last = parts[-1]
    assert last.response is not None
    given, kept = settled(instrument, answers, total, last.line, last.response.column)
    return None if given is None and kept is None else Response(instrument.code, given, kept, last.line,
                                                                last.response.column)  # fmt: skip


def settled(
    instrument: Instrument, answers: list[int | None], total: float | int | None, line: int, column: str
) -> tuple[list[int | None] | None, float | int | None]:
    """What is kept of items and a total that stand beside one another in a file. (None, None): nobody answered.

    A total is never kept beside an unanswered item. If that is the self-harm item alone, the answers are kept, and it
    is unknown; with others unanswered the line is refused, because tools count blanks as 0 in their totals. A total of
    items that are all blank is kept only where blanks could not have made it. Source: formats.md, traps 1, 2 and 5.
    """
    if not instrument.items:
        return None, total
    if all(answer is None for answer in answers):
        lowest = instrument.value(instrument.points[0])
        return (None, None) if total is None or total in (0, lowest) else (None, total)
    blank = [number for number, answer in enumerate(answers, start=1) if answer is None]
    harm = instrument.self_harm
    is_incomplete = bool(blank) and score(instrument, answers, None).points is None
    if is_incomplete and total is not None and (harm is None or blank != [harm.number]):
        raise LineProblem(line, column, "a total beside unanswered items is no score: leave the total out")
    if is_incomplete and harm is not None and total is not None:
        item = instrument.items[harm.number - 1]
        given = ([*answers[: item.number - 1], one, *answers[item.number :]] for one in (item.min, item.max))
        least, most = (instrument.value(instrument.total(whole)) for whole in given)
        if not least <= total <= most:
            raise LineProblem(line, column, "must be a total that the answers can have")
    return answers, None if is_incomplete else total


def check(response: Response) -> None:
    """Raises LineProblem for a response that its instrument cannot give."""
    try:
        score(INSTRUMENTS[response.instrument], response.answers, response.score)
    except Problem as problem:
        fault = problem.errors[0]
        raise LineProblem(response.line, response.column, fault.detail) from None
