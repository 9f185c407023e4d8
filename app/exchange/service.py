"""Imports as callers see them: a file that comes in, how far it is, ending it; and mappings."""

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

from app.audit.service import Act
from app.errors import Fault, Invalid, NotFound, Problem, UnsupportedMediaType
from app.exchange import cells, store
from app.exchange.models import (
    CountsOut,
    Import,
    ImportMapping,
    ImportOut,
    ImportProblemOut,
    MappingOut,
    ProgressOut,
)
from app.exchange.reading import ANY, MEDIA_TYPES, is_readable, why_not_readable
from app.exchange.resolving import mapping_of, ready
from app.exchange.staging import cipher
from app.facts import Fact
from app.storage import Transaction, new_id

_MOST_OPEN = 10
_MOST_MAPPINGS = 200
_SHOWN_PROBLEMS = 100
_RECEIVED_WITHIN = timedelta(days=1)
# Of these nothing is left to be taken back.
_ENDED = ("refused", "cancelled", "cancelling")


class TooManyImports(Problem):
    """A clinic has at most 10 imports that are not ended. Wait until one is, or end one."""

    code, status, title = "too_many_imports", 409, "Ten imports are not ended"


class TooManyMappings(Problem):
    """A clinic keeps at most 200 mappings. Delete one."""

    code, status, title = "too_many_mappings", 409, "The clinic has 200 mappings already"


def begin(
    db: Transaction, act: Act, media_type: str, mapping_name: str | None, *, dry_run: bool,
    content: dict[str, Any] | None = None,
) -> UUID:  # fmt: skip
    """An import whose file is about to come. `content`: a mapping that is not kept. Raises UnsupportedMediaType,
    Invalid, TooManyImports."""
    if media_type not in (ANY, *MEDIA_TYPES):
        raise UnsupportedMediaType("a file is sent as one of: " + ", ".join((ANY, *MEDIA_TYPES)))
    if media_type != ANY and not is_readable(media_type):
        raise UnsupportedMediaType(why_not_readable(media_type))
    if mapping_name is not None and content is None:
        content = _content_of(db, act.clinic_id, mapping_name)
    if content is not None:
        mapping_of(content)
    if store.open_imports(db, act.clinic_id) >= _MOST_OPEN:
        raise TooManyImports
    found = Import(
        clinic_id=act.clinic_id,
        id=new_id(),
        state="receiving",
        media_type=media_type,
        mapping_name=mapping_name,
        mapping=content,
        dry_run=dry_run,
        actor_kind=act.actor_kind,
        actor_id=act.actor_id,
        request_id=act.request_id,
        size=0,
        lines=0,
        items=0,
        applied=0,
        counts={},
        problem_count=0,
        created_at=act.at,
        ended_at=None,
    )
    db.add(found)
    db.flush()
    return found.id


def _content_of(db: Transaction, clinic_id: UUID, name: str) -> dict[str, Any]:
    kept = store.mapping(db, clinic_id, name)
    if kept is not None:
        return kept.content
    if name in ready():
        return ready()[name]
    raise Invalid(errors=[Fault("parameter", "mapping", "must name a mapping: see /v1/imports/mappings")])


def receive(db: Transaction, clinic_id: UUID, import_id: UUID, number: int, piece: bytes) -> None:
    """Keeps a piece of the file, encrypted. Raises NotFound where the import was ended meanwhile."""
    found = store.find(db, clinic_id, import_id, lock=True)
    if found is None or found.state != "receiving":
        raise NotFound
    store.add_piece(db, clinic_id, import_id, number, cipher(db).seal(piece))


def discard(db: Transaction, clinic_id: UUID, import_id: UUID) -> None:
    """Forgets an import whose file did not come whole, or came before."""
    found = store.find(db, clinic_id, import_id, lock=True)
    if found is None or found.state != "receiving":
        return
    while store.forget_some_pieces(db, clinic_id, import_id):
        pass
    db.delete(found)


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Forgets imports whose file did not come whole within a day, and what is left of files that are not needed."""
    for found in store.unfinished(db, clinic_id, now - _RECEIVED_WITHIN):
        discard(db, clinic_id, found.id)
    for import_id in store.with_pieces(db, clinic_id):
        while store.forget_some_pieces(db, clinic_id, import_id):
            pass


def received(db: Transaction, act: Act, import_id: UUID, size: int) -> Fact[ImportOut]:
    """The file is whole: it waits to be read. Raises NotFound where the import was ended meanwhile."""
    found = _find(db, act.clinic_id, import_id, lock=True)
    if size == 0:
        raise Invalid(errors=[Fault("pointer", "", "must hold a file")])
    if found.state == "receiving":
        found.state, found.size = "validating", size
        db.add(found)
    return Fact(_out(found, []), is_new=True)


def listed(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> list[ImportOut]:
    """A page of imports, newest first, one more than `limit` where there is more."""
    return [_out(found, []) for found in store.page(db, clinic_id, after, limit)]


def one(db: Transaction, clinic_id: UUID, import_id: UUID) -> Fact[ImportOut]:
    """An import with the first of its problems. Raises NotFound."""
    found = _find(db, clinic_id, import_id)
    problems = store.problems(db, clinic_id, import_id, _SHOWN_PROBLEMS)
    return Fact(_out(found, [_problem(problem.__dict__) for problem in problems]))


def problems_file(db: Transaction, clinic_id: UUID, import_id: UUID) -> Fact[str]:
    """Every problem that is kept of an import, as CSV. Raises NotFound."""
    _find(db, clinic_id, import_id)
    text = StringIO()
    lines = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    text.write("kind,line,column,rule\r\n")
    for found in store.problems(db, clinic_id, import_id, None):
        lines.writerow([found.kind, found.line, cells.safe(found.column or ""), cells.safe(found.rule)])
    return Fact(text.getvalue())


def end(db: Transaction, act: Act, import_id: UUID) -> Fact[ImportOut]:
    """Ends an import: what it has brought is taken back, and nothing more is applied. Raises NotFound."""
    found = _find(db, act.clinic_id, import_id, lock=True)
    if found.state not in _ENDED:
        found.state, found.ended_at = "cancelling", None
        found.counts = {**found.counts, "kept": found.counts.get("amended", 0) if not found.dry_run else 0}
        db.add(found)
        db.flush()
    return one(db, act.clinic_id, import_id)


def _find(db: Transaction, clinic_id: UUID, import_id: UUID, *, lock: bool = False) -> Import:
    found = store.find(db, clinic_id, import_id, lock=lock)
    if found is None:
        raise NotFound
    return found


def _out(found: Import, problems: list[ImportProblemOut]) -> ImportOut:
    return ImportOut(
        id=found.id,
        state=found.state,
        dry_run=found.dry_run,
        media_type=found.media_type,
        mapping=found.mapping_name,
        progress=ProgressOut(lines=found.lines, records=found.items, applied=found.applied),
        counts=CountsOut(**{name: found.counts.get(name, 0) for name in CountsOut.model_fields}),
        problems=problems,
        created_at=found.created_at,
        ended_at=found.ended_at,
    )


def _problem(found: dict[str, Any]) -> ImportProblemOut:
    return ImportProblemOut(**{name: found[name] for name in ImportProblemOut.model_fields})


def mappings(db: Transaction, clinic_id: UUID) -> Fact[list[MappingOut]]:
    """The clinic's own mappings, then those that are ready."""
    own = [_mapping_out(found) for found in store.mappings(db, clinic_id)]
    return Fact([*own, *(_ready_out(name) for name in ready())])


def mapping(db: Transaction, clinic_id: UUID, name: str) -> Fact[MappingOut]:
    """A mapping by its name. Raises NotFound."""
    found = store.mapping(db, clinic_id, name)
    if found is None and name not in ready():
        raise NotFound
    return Fact(_mapping_out(found) if found is not None else _ready_out(name))


def put_mapping(db: Transaction, act: Act, name: str, content: dict[str, Any]) -> Fact[MappingOut]:
    """Keeps a mapping under a name. Raises Invalid."""
    if name in ready():
        raise Invalid(errors=[Fault("parameter", "name", "is that of a ready mapping: extend it under another name")])
    mapping_of(content)
    found = store.mapping(db, act.clinic_id, name)
    if found is None:
        if len(store.mappings(db, act.clinic_id)) >= _MOST_MAPPINGS:
            raise TooManyMappings
        found = ImportMapping(clinic_id=act.clinic_id, name=name, content=content, updated_at=act.at)
    elif found.content != content:
        found.content, found.updated_at = content, act.at
    db.add(found)
    db.flush()
    return Fact(_mapping_out(found))


def delete_mapping(db: Transaction, act: Act, name: str) -> Fact[None]:
    """Forgets a mapping. Raises NotFound."""
    found = store.mapping(db, act.clinic_id, name)
    if found is None:
        raise NotFound
    db.delete(found)
    return Fact(None)


def _mapping_out(found: ImportMapping) -> MappingOut:
    return MappingOut(name=found.name, ready=False, content=found.content, updated_at=found.updated_at)


def _ready_out(name: str) -> MappingOut:
    return MappingOut(name=name, ready=True, content=ready()[name], updated_at=None)
