"""Reads a file that was sent, whole: every line becomes a record or a problem, and the records are staged in chunks.

Runs in steps, in a thread, between which others have their turn; the first one opens the file, and of a workbook takes
longest. Nothing here is applied. Where it is stopped it begins anew, since what is staged is deleted first.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from app.alerts.policies import is_late
from app.api.encryption import Cipher
from app.checkins.refusing import Alarm
from app.errors import Problem
from app.exchange import store
from app.exchange.assembling import NOTHING, assembled, voided_first
from app.exchange.checking import Checker
from app.exchange.columns import kind_of, why_no_kind
from app.exchange.items import (
    CHECK_INS,
    PATIENTS,
    SESSIONS,
    CheckInItem,
    Item,
    LineProblem,
    PatientItem,
    as_bytes,
    phase_of,
    what_is_new,
)
from app.exchange.mapped import MappedLayout
from app.exchange.models import Import
from app.exchange.own import OwnLayout
from app.exchange.reading import Pieces, read
from app.exchange.resolving import in_zone_of, mapping_of
from app.exchange.rows import FileError, Form, LineError, Row, Rows
from app.exchange.verdicts import Verdict
from app.exchange.versions import alarms_of
from app.logs import log_unexpected
from app.storage import Database, Transaction, keys_for
from app.storage.sorting import Sorted

PURPOSE = "imports"
MOST_PROBLEMS = 10_000
# So many are read or checked in one step: some 30 ms of the processor, or 3 while others want it.
_LINES_A_STEP, _FEW_LINES = 1_000, 100
_ITEMS_A_STEP, _FEW_ITEMS = 200, 20
_ITEMS_A_CHUNK = 500
_UNNAMED = "must have the columns of an export, or be read by a mapping, which `holdfast import --sniff` proposes"

ProblemRow = tuple[str, int, str | None, str]


def cipher(db: Transaction) -> Cipher:
    """What seals the file and what is staged of it."""
    return Cipher(keys_for(db, PURPOSE))


@dataclass(slots=True)
class Staging:
    """The state of one file that is being read. `problems`: those that are not stored yet. `alarms`:
    the alarming answers of late that are lost to a refusal. `is_hurried`: others want
    the processor, so that steps are short."""

    database: Database
    clinic_id: UUID
    import_id: UUID
    checker: Checker
    sorter: Sorted = field(default_factory=Sorted)
    lines: int = 0
    items: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[ProblemRow] = field(default_factory=list)
    problem_count: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    is_hurried: bool = False
    seen: set[str] = field(default_factory=set)
    seen_varies: bool = False
    waiting: dict[int, list[Item]] = field(default_factory=lambda: {PATIENTS: [], SESSIONS: [], CHECK_INS: []})
    numbers: dict[int, int] = field(default_factory=lambda: {PATIENTS: 0, SESSIONS: 0, CHECK_INS: 0})

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more

    def refuse(self, line: int, column: str | None, rule: str) -> None:
        """Notes why a line refuses the file."""
        self.problem_count += 1
        self.count("refused")
        if self.problem_count <= MOST_PROBLEMS:
            self.problems.append(("refused", line, column, rule))

    @property
    def is_refused(self) -> bool:
        return self.problem_count > 0


def steps(staging: Staging, found: Import) -> Iterator[Callable[[], Any]]:
    """The steps by which a file is read, in order. Each is to be run in a thread, and the next one asked for then."""
    with ExitStack() as held:
        held.callback(staging.sorter.close)
        yield from _steps(staging, found, held)


def _steps(staging: Staging, found: Import, held: ExitStack) -> Iterator[Callable[[], Any]]:
    rows: list[Rows] = []
    layout: list[OwnLayout | MappedLayout] = []

    def begin() -> None:
        try:
            opened, how = _opened(staging, found, held)
            rows.append(opened)
            layout.append(how)
        except FileError as error:
            staging.refuse(error.line, None, str(error))
        except Problem as problem:  # the mapping is not valid any more
            staging.refuse(1, None, problem.errors[0].detail if problem.errors else problem.detail)

    yield begin
    if not rows:
        return
    source, is_over = iter(rows[0]), [False]

    def read_some() -> None:
        is_over[0] = _read_some(staging, source, layout[0])

    while not is_over[0]:
        yield read_some
    if not staging.lines and not staging.is_refused:
        staging.refuse(1, None, "must hold a line under its header")
    _check_seen(staging, layout[0])
    for name, number in (("skipped", layout[0].skipped), ("totals_dropped", layout[0].dropped)):
        if number:
            staging.count(name, number)
    groups = voided_first(assembled(staging.sorter.in_order()))
    is_over[0] = False

    def check_some() -> None:
        is_over[0] = _check_some(staging, groups)

    while not is_over[0]:
        yield check_some


def _opened(staging: Staging, found: Import, held: ExitStack) -> tuple[Rows, OwnLayout | MappedLayout]:
    """The rows of the file, and how they are read."""
    mapping = mapping_of(found.mapping) if found.mapping is not None else None

    def piece(number: int) -> bytes | None:
        def stored(db: Transaction) -> bytes | None:
            content = store.piece(db, staging.clinic_id, staging.import_id, number)
            if content is None:
                return None
            opened = cipher(db).open(content)
            if opened is None:
                raise FileError("was sealed with a secret that is not used any more: send the file again")
            return opened

        return staging.database.reading(staging.clinic_id, stored)

    rows = read(found.media_type, Pieces(piece), mapping.form if mapping is not None else Form())
    held.callback(rows.close)
    if mapping is not None:
        # Each line of JSON has members of its own: what no line has is known at the end.
        staging.seen_varies = rows.varies
        lacking = [] if staging.seen_varies else [name for name in mapping.needed if name not in rows.header]
        if lacking:
            raise FileError(_lacking(lacking))
        if mapping.zone_from_header:
            mapping = in_zone_of(mapping, rows.more_headers)
        return rows, MappedLayout(mapping, found.mapping_name or "")
    what = kind_of(rows.header)
    if what is None:
        raise FileError(f"{_UNNAMED} ({why_no_kind(rows.header)})")
    return rows, OwnLayout(what)


def _lacking(columns: Sequence[str]) -> str:
    listed = ", ".join(columns[:20])
    return f"must have each column that the mapping names, once; lacking or there twice: {listed}"


def _check_seen(staging: Staging, layout: OwnLayout | MappedLayout) -> None:
    """Refuses a file of JSON in which a column that the mapping names is on no line: it would pass for a blank."""
    if staging.seen_varies and isinstance(layout, MappedLayout) and staging.lines:
        lacking = [name for name in layout.always_needed if name not in staging.seen]
        if lacking:
            staging.refuse(1, None, _lacking(lacking))


def _read_some(staging: Staging, source: Iterator[Row | LineError], layout: OwnLayout | MappedLayout) -> bool:
    """Reads some lines; whether the file is over."""
    some: list[tuple[str, bytes]] = []
    count, most = 0, _FEW_LINES if staging.is_hurried else _LINES_A_STEP
    try:
        for row in islice(source, most):
            count += 1
            if isinstance(row, LineError):
                staging.refuse(row.line, None, str(row))
                continue
            staging.seen.update(row[1] if staging.seen_varies else ())
            try:
                some += layout.fragments(*row)
            except LineProblem as problem:
                staging.refuse(problem.line, problem.column, str(problem))
            except Exception as error:  # of a library, about a value that nobody thought of: the line is refused
                log_unexpected(error)
                staging.refuse(row[0], None, "cannot be read")
    except FileError as error:
        staging.refuse(error.line, None, str(error))
        count = 0
    staging.lines += count
    staging.sorter.add(some)
    return count < most


def _check_some(staging: Staging, groups: Iterator[Item | LineProblem]) -> bool:
    """Checks some records, and stages them; whether those were the last."""
    items: list[Item] = []
    count, most = 0, _FEW_ITEMS if staging.is_hurried else _ITEMS_A_STEP
    for one in islice(groups, most):
        count += 1
        if not isinstance(one, LineProblem):
            items.append(one)
        elif str(one) == NOTHING:
            staging.count("skipped")
        else:
            staging.refuse(one.line, one.column, str(one))
    if items:
        found = staging.database.reading(staging.clinic_id, lambda db: staging.checker.check(db, items))
        for verdict in found:
            _settle(staging, verdict)
            _note_alarms(staging, verdict)
    return count < most


def _note_alarms(staging: Staging, verdict: Verdict) -> None:
    """Notes what somebody must see even if the file is refused. What is old comes with the file, once it is mended."""
    item = verdict.item
    if verdict.outcome in ("unchanged", "skipped") or not isinstance(item, CheckInItem):
        return
    if not is_late(item.versions[-1].taken_at.at, staging.checker.now):
        staging.alarms += alarms_of(item)


def _settle(staging: Staging, verdict: Verdict) -> None:
    if verdict.outcome == "refused":
        for line, column, rule in verdict.problems:
            staging.refuse(line, column, rule)
        return
    if verdict.outcome in ("unchanged", "skipped"):
        if not (isinstance(verdict.item, PatientItem) and verdict.item.only_new):
            staging.count(verdict.outcome)
        return
    staging.items += 1
    staging.waiting[phase_of(verdict.item)].append(verdict.item)
    if verdict.outcome == "amends":
        staging.count("amended")
    else:
        for name, number in what_is_new(verdict.item).items():
            staging.count(name, number)


Chunk = tuple[int, int, int, bytes]


def full_chunks(staging: Staging, *, all_of_them: bool) -> list[Chunk]:
    """(phase, number, items, content) of the chunks that are full, or of all that is left. They are not waiting any
    more: whoever takes them must store them."""
    found = []
    for phase, items in staging.waiting.items():
        while len(items) >= _ITEMS_A_CHUNK or (all_of_them and items):
            some, items[:] = items[:_ITEMS_A_CHUNK], items[_ITEMS_A_CHUNK:]
            found.append((phase, staging.numbers[phase], len(some), as_bytes(some)))
            staging.numbers[phase] += 1
    return found


def store_staged(db: Transaction, staging: Staging, chunks: Sequence[Chunk], problems: Sequence[ProblemRow]) -> None:
    """Stores chunks, and the last problems that were found. May be done again where its transaction is."""
    seal = cipher(db).seal
    for phase, number, count, content in chunks:
        store.add_chunk(db, staging.clinic_id, staging.import_id, phase, number, count, seal(content))
    store_problems(db, staging.clinic_id, staging.import_id, problems, staging.problem_count)


def store_problems(
    db: Transaction, clinic_id: UUID, import_id: UUID, problems: Sequence[ProblemRow], count: int
) -> None:
    """Stores the last of `count` problems of an import."""
    first = min(count, MOST_PROBLEMS) - len(problems)
    rows = [
        {"clinic_id": clinic_id, "import_id": import_id, "number": first + n, "kind": kind, "line": line,
         "column": column, "rule": rule}
        for n, (kind, line, column, rule) in enumerate(problems)
    ]  # fmt: skip
    if rows:
        store.add_problems(db, rows)
