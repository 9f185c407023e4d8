"""The records that fragments make, once those of one record stand together; and what is kept of items beside a
total."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from app.errors import Problem
from app.exchange.items import (
    PATIENTS,
    SESSIONS,
    CheckInItem,
    Fragment,
    Item,
    Keyed,
    LineProblem,
    PatientItem,
    Response,
    SessionItem,
    SessionVersion,
    Version,
    as_fragment,
    as_patient,
    as_session,
)
from app.instruments import INSTRUMENTS, Instrument, score


def assembled(found: Iterable[Keyed]) -> Iterator[Item | LineProblem]:
    """The records that fragments in the order of their keys make, or why they make none."""
    for group, parts in groupby(found, key=lambda one: one[0].rpartition("\0")[0]):
        contents = [content for _, content in parts]
        try:
            if group[0] == str(PATIENTS):
                yield _one_patient([as_patient(content) for content in contents])
            elif group[0] == str(SESSIONS):
                yield _one_session([as_session(content) for content in contents])
            else:
                yield _one_check_in([as_fragment(content) for content in contents])
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
    for code, some in _as_asked(loose).items():
        if (made := _joined(INSTRUMENTS[code], some)) is not None:
            found[code] = made
    if not found:
        raise LineProblem(parts[0].line, None, NOTHING)
    return [found[code] for code in sorted(found)]


def _as_asked(loose: dict[str, list[Fragment]]) -> dict[str, list[Fragment]]:
    """The same; of items that two instruments share, those of the shorter one where no other item is there."""
    found = dict(loose)
    for long, short in _SHORTER.items():
        parts = found.get(long, [])
        numbers = {item.number for item in INSTRUMENTS[short].items}
        if parts and {part.item for part in parts if part.value is not None} <= numbers:
            found[short] = [*found.get(short, []), *(part for part in parts if part.item in numbers)]
            del found[long]
    return found


NOTHING = "holds no answer"
# The first items of these are all of those.
_SHORTER = {"phq-9": "phq-2", "gad-7": "gad-2"}


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
