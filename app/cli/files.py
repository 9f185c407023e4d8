"""Files in and out: `holdfast import` and `export`."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app import clock
from app.access import store as access
from app.access.door import operate, record_act
from app.audit.models import EVERYONE
from app.audit.service import by_operator
from app.cli.opening import database, fail
from app.errors import Problem
from app.exchange import cells, exporting, parquet, running, service
from app.exchange.assembling import assembled
from app.exchange.columns import COLUMNS, What
from app.exchange.items import LineProblem
from app.exchange.mapped import MappedLayout
from app.exchange.mapping import MappingIn
from app.exchange.models import Import, ImportOut
from app.exchange.own import OwnLayout
from app.exchange.reading import SUFFIXES, Pieces, read
from app.exchange.resolving import from_yaml, in_zone_of, mapping_of
from app.exchange.rows import FileError, LineError, Rows
from app.exchange.sniffing import Proposal, form_of, propose
from app.facts import Fact
from app.storage import NO_CLINIC, Database, Transaction

_PIECE = 256 * 1024
_REFUSED = 1
_SHOWN = 10
_LOOK_SECONDS = 1.0

Clinic = Annotated[UUID | None, typer.Option(help="The clinic's id; not needed where there is one only")]
File = Annotated[Path, typer.Argument(help="CSV, NDJSON, XLSX; .sav, .xpt or .hl7 with their extras", dir_okay=False)]


def import_(
    file: File,
    mapping: Annotated[
        str | None, typer.Option(help="A mapping file (.yaml), or the name of one that is kept or ready")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check alone")] = False,
    sniff: Annotated[
        bool, typer.Option("--sniff", help="Propose a mapping, and show the first ten rows as read")
    ] = False,
    clinic: Clinic = None,
) -> None:
    """Import scores, sessions or patients from a file: in our own layout, or by a mapping.

    One bad line refuses the whole file, and is named. The same file again changes nothing. It may be stopped: the
    service goes on with it, and the same command finds what is there already.
    """
    if not file.is_file():
        fail(f"{file}: no such file")
    if not file.stat().st_size:
        fail(f"{file}: is empty")
    media_type = SUFFIXES.get(file.suffix.lower())
    if media_type is None:
        fail(f"{file.name}: must end in one of " + ", ".join(SUFFIXES))
    if sniff:
        _sniff(file, media_type)
        return
    content = from_yaml(_text(Path(mapping))) if mapping is not None and mapping.endswith((".yaml", ".yml")) else None
    name = mapping if content is None else Path(str(mapping)).stem
    with database() as opened:
        clinic_id = _clinic(opened, clinic)
        import_id = _sent(opened, clinic_id, file, media_type, name, content, dry_run=dry_run)
        done = asyncio.run(_carried(opened, clinic_id, import_id))
    _tell(done)


async def _carried(opened: Database, clinic_id: UUID, import_id: UUID) -> ImportOut:
    """The import once there is nothing more to do: done here, or by the service, which may have been first."""
    while True:
        with _bar() as say:
            await running.carry_through(opened, clinic_id, import_id, say)
        found = (await opened.read(clinic_id, lambda db: service.one(db, clinic_id, import_id))).value
        if found.ended_at is not None:
            return found
        await asyncio.sleep(_LOOK_SECONDS)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _clinic(opened: Database, clinic: UUID | None) -> UUID:
    known = opened.reading(NO_CLINIC, access.clinic_ids)
    if clinic is not None and clinic not in known:
        fail("there is no such clinic")
    if clinic is None and len(known) != 1:
        fail("say which clinic with --clinic: see `holdfast clinics list`")
    return clinic if clinic is not None else known[0]


def _sent(
    opened: Database, clinic_id: UUID, file: Path, media_type: str, name: str | None, content: dict[str, Any] | None, *,
    dry_run: bool,
) -> UUID:  # fmt: skip
    """Keeps the file in the database, as one that is posted is."""
    act = by_operator(clinic_id, "create_import", clock.now())
    import_id = opened.writing(
        clinic_id, lambda db: service.begin(db, act, media_type, name, dry_run=dry_run, content=content)
    )
    try:
        _send_pieces(opened, clinic_id, import_id, file)
    except BaseException:
        opened.writing(clinic_id, lambda db: service.discard(db, clinic_id, import_id))
        raise
    size = file.stat().st_size
    operate(opened, act, lambda db: service.received(db, act, import_id, size))
    return import_id


def _send_pieces(opened: Database, clinic_id: UUID, import_id: UUID, file: Path) -> None:
    with file.open("rb") as source:
        for number, piece in enumerate(iter(partial(source.read, _PIECE), b"")):
            opened.writing(
                clinic_id,
                partial(service.receive, clinic_id=clinic_id, import_id=import_id, number=number, piece=piece),
            )


@contextmanager
def _bar() -> Iterator[Callable[[Import], None]]:
    """Says how far an import is: on a terminal's standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("reading", total=None)

        def say(found: Import) -> None:
            if found.state == "validating":
                bar.update(task, completed=found.lines)
            else:
                bar.update(task, description="recording", completed=found.applied, total=found.items)

        yield say


def _tell(done: ImportOut) -> None:
    counts = {name: number for name, number in done.counts.model_dump().items() if number}
    print(json.dumps({"import_id": str(done.id), "state": done.state, "dry_run": done.dry_run, **counts}))
    for found in done.problems:
        place = f"line {found.line}" + (f", {found.column}" if found.column else "")
        print(f"{found.kind}: {place}: {found.rule}", file=sys.stderr)
    if done.state == "refused":
        number = done.counts.refused
        lines = "1 line breaks a rule" if number == 1 else f"{number} lines break a rule"
        fail(f"the file was refused: {lines}; nothing was imported", _REFUSED)


def _sniff(file: Path, media_type: str) -> None:
    with file.open("rb") as source:
        _tell_what_it_seems(file, source, media_type)


def _tell_what_it_seems(file: Path, source: BinaryIO, media_type: str) -> None:
    first = source.readline(1024 * 1024).decode("utf-8", "replace")
    try:
        with closing(read(media_type, _raw(source), form_of(first))) as rows:
            proposal = propose(media_type, rows)
    except FileError as error:
        fail(f"line {error.line}: {error}")
    if proposal.what is not None:
        print(f"# {file.name}: {proposal.what} in Holdfast's own layout; no mapping is needed")
    else:
        print(f"# A mapping for {file.name}: look at it, save it as a .yaml file, and import with --mapping")
        for unsure in proposal.unsure:
            print(f"# say {unsure}")
        print(yaml.safe_dump(proposal.mapping, sort_keys=False).rstrip())
    guess = proposal.mapping is not None and "zone" not in proposal.mapping
    print("# The first ten rows as they would be read" + (", as if times without a zone were UTC" if guess else ""))
    for line in _first_rows(source, media_type, proposal):
        print(f"#   {line}")


def _first_rows(source: BinaryIO, media_type: str, proposal: Proposal) -> Iterator[str]:
    try:
        mapping = None if proposal.mapping is None else mapping_of({"zone": "UTC", **proposal.mapping})
        form = form_of("") if mapping is None else mapping.form
        with closing(read(media_type, _raw(source), form)) as rows:
            yield from _as_read(rows, mapping, proposal)
    except Problem as problem:
        yield "not yet: " + "; ".join(f"{fault.name} {fault.detail}" for fault in problem.errors)


def _as_read(rows: Rows, mapping: MappingIn | None, proposal: Proposal) -> Iterator[str]:
    layout: OwnLayout | MappedLayout
    if mapping is not None:
        layout = MappedLayout(in_zone_of(mapping, rows.more_headers), "")
    else:
        assert proposal.what is not None
        layout = OwnLayout(proposal.what)
    for row in islice(rows, _SHOWN):
        if isinstance(row, LineError):
            yield f"line {row.line}: {row}"
            continue
        try:
            made = list(assembled(sorted(layout.fragments(*row))))
        except LineProblem as problem:
            yield f"line {problem.line}: {problem.column or 'the line'} {problem}"
            continue
        yield f"line {row[0]}: " + ("; ".join(map(_shown, made)) or "skipped")


def _shown(item: Any) -> str:
    if isinstance(item, LineProblem):
        return f"{item.column or 'the line'} {item}"
    kind = type(item).__name__.removesuffix("Item")
    if kind != "CheckIn":
        return f"a {kind.lower()}"
    version = item.versions[0]
    said = ", ".join(f"{r.instrument} {r.answers if r.answers is not None else r.score}" for r in version.responses)
    return f"{item.whose.external_id or item.whose.patient_id} {version.taken_at.at.isoformat()} {said}"


def _raw(source: BinaryIO) -> Pieces:
    source.seek(0)
    return Pieces(lambda _: source.read(_PIECE) or None)


def export(
    what: Annotated[str, typer.Argument(help=", ".join(COLUMNS))],
    file: Annotated[Path, typer.Argument(help="A new file that ends in .csv, .ndjson or .parquet", dir_okay=False)],
    since: Annotated[str | None, typer.Option(help="Only what was recorded from this RFC 3339 instant on")] = None,
    clinic: Clinic = None,
) -> None:
    """Export scores, sessions or patients to a file: what stands, as CSV or Parquet, or every version, as NDJSON."""
    kinds: dict[str, What] = {name: name for name in COLUMNS}
    if what not in kinds:
        fail("WHAT: must be one of " + ", ".join(COLUMNS))
    form = file.suffix.removeprefix(".").lower()
    if form not in ("csv", "ndjson", "parquet"):
        fail(f"{file.name}: must end in .csv, .ndjson or .parquet")
    moment = None if since is None else _moment(since)
    with database() as opened:
        clinic_id = _clinic(opened, clinic)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        act = by_operator(clinic_id, f"export_{what}_{form}", clock.now())
        opened.writing(clinic_id, lambda db: record_act(db, act, Fact(None, (EVERYONE,))))
        with os.fdopen(descriptor, "wb") as out:

            def write(db: Transaction) -> None:
                out.seek(0)
                out.truncate()  # a transaction may be tried again
                found = access.clinic(db, clinic_id)
                assert found is not None
                asked = (db, clinic_id, ZoneInfo(found.time_zone), kinds[what])
                if form == "parquet":
                    parquet.write(out, kinds[what], exporting.table(*asked, moment))
                    return
                for piece in exporting.export(*asked, "csv" if form == "csv" else "ndjson", moment, names=True):
                    out.write(piece)

            opened.reading(clinic_id, write)
    print(json.dumps({"file": str(file), "bytes": file.stat().st_size}))


def _moment(text: str) -> Any:
    try:
        return cells.moment(text)
    except cells.CellError as error:
        fail(f"since: {error}")
