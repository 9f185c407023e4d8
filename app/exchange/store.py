"""Queries of exports and imports. Rows are read in batches, whatever their number."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, func, inspect, or_, type_coerce, update
from sqlalchemy import select as rows_of
from sqlmodel import SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.checkins.models import CheckIn, CheckInVersion
from app.exchange.models import Import, ImportChunk, ImportMapping, ImportPiece, ImportProblem
from app.patients.models import Patient
from app.sessions.models import InfusionSession, SessionVersion
from app.storage import Repeated, Transaction, below, insert
from app.tracks.models import ScoreVersion

_AT_ONCE = 1_000
_PIECES_AT_ONCE = 64
_S, _P = (inspect(model).local_table.c for model in (ScoreVersion, Patient))


def _hidden(patient_id: Any) -> Any:
    """Of patients who were entered in error, or whose record goes on in another one."""
    return patient_id.in_(
        rows_of(_P.id).where(
            _P.clinic_id == bindparam("clinic"),
            or_(_P.care_status == "entered_in_error", _P.merged_into.is_not(None)),
        )
    )


def _scores_of(model: type[SQLModel], *conditions: Any, whole: bool) -> Any:
    """The scores of check-ins by one of their two tables; `whole`: also versions without a score, which were voided."""
    c: Any = inspect(model).local_table.c
    its_id = c.id if "id" in c else c.check_in_id
    of_it = and_(_S.clinic_id == c.clinic_id, _S.check_in_id == its_id, _S.version == c.version)
    patient_id, check_in_id = (
        type_coerce(c.patient_id, Repeated()).label("patient_id"),
        type_coerce(its_id, Repeated()).label("check_in_id"),
    )
    return (
        rows_of(
            *(patient_id, check_in_id, c.session_id, c.taken_at, c.stated_before_at, _S.instrument, _S.points),
            *(_S.answers, c.version, c.voided, c.moved_to, c.reason, c.recorded_at, c.source_recorded_at),
            _S.superseded_at.label("replaced_at"),
        )
        .select_from(c.clinic_id.table.join(_S.clinic_id.table, of_it, isouter=whole))
        .where(c.clinic_id == bindparam("clinic"), *conditions, ~_hidden(c.patient_id))
        .where(c.recorded_at >= bindparam("since"))
        .order_by(*([its_id] if model is CheckIn else [its_id, c.version]))
    )


# By check-in, which is the order of an index.
_CURRENT = _scores_of(CheckIn, col(CheckIn.voided).is_(False), whole=False)
_ONLY = _scores_of(CheckIn, col(CheckIn.version) == 1, whole=True)
_OF_SEVERAL = _scores_of(CheckInVersion, whole=True)

_V: Any = inspect(SessionVersion).local_table.c
_I: Any = inspect(InfusionSession).local_table.c
_SESSIONS = (
    rows_of(_V.patient_id, _V.session_id, _V.version, _V.content, _V.reason, _V.moved_to, _V.recorded_at,
            _V.source_recorded_at, _I.version.label("current"))
    .select_from(
        _V.clinic_id.table.join(
            _I.clinic_id.table, and_(_I.clinic_id == _V.clinic_id, _I.id == _V.session_id)
        )
    )
    .where(_V.clinic_id == bindparam("clinic"), ~_hidden(_V.patient_id), _V.recorded_at >= bindparam("since"))
    .order_by(_V.session_id, _V.version)
)  # fmt: skip


def scores(db: Transaction, clinic_id: UUID, since: datetime | None, *, every_version: bool) -> Iterator[Sequence[Any]]:
    """Scores in batches, except those of patients who were entered in error or merged into others: those that stand, or
    each version of each, those of a check-in beside one another, and voided ones without a score."""
    for query in (_ONLY, _OF_SEVERAL) if every_version else (_CURRENT,):
        yield from _batches(db, clinic_id, query, since)


def sessions(db: Transaction, clinic_id: UUID, since: datetime | None) -> Iterator[Sequence[Any]]:
    """Every version of every session in batches, except those of patients entered in error or merged into others."""
    return _batches(db, clinic_id, _SESSIONS, since)


def _batches(db: Transaction, clinic_id: UUID, query: Any, since: datetime | None) -> Iterator[Sequence[Any]]:
    connection = db.connection()
    # SQLite's cursor reads row by row by itself; for PostgreSQL it must be requested.
    options = {"stream_results": connection.dialect.name != "sqlite", "max_row_buffer": _AT_ONCE}
    asked = {"clinic": clinic_id, "since": since or datetime.fromisoformat("1900-01-01T00:00:00+00:00")}
    found = connection.execute(query, asked, execution_options=options)
    while rows := found.fetchmany(_AT_ONCE):
        yield rows


def patients(db: Transaction, clinic_id: UUID, since: datetime | None, *, hidden: bool) -> Iterator[Sequence[Patient]]:
    """Patients in batches, in the order of their ids; `hidden`: also those who were entered in error."""
    after: UUID | None = None
    while True:
        query = select(Patient).where(col(Patient.clinic_id) == clinic_id, col(Patient.merged_into).is_(None))
        if not hidden:
            query = query.where(col(Patient.care_status) != "entered_in_error")
        if since is not None:
            query = query.where(col(Patient.updated_at) >= since)
        if after is not None:
            query = query.where(col(Patient.id) > after)
        rows = db.exec(query.order_by(col(Patient.id)).limit(_AT_ONCE)).all()
        if not rows:
            return
        yield rows
        after = rows[-1].id
        db.expunge_all()


def find(db: Transaction, clinic_id: UUID, import_id: UUID, *, lock: bool = False) -> Import | None:
    """An import; `lock` locks it until the transaction ends."""
    query = select(Import).where(col(Import.clinic_id) == clinic_id, col(Import.id) == import_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return db.exec(query).first()


def page(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> Sequence[Import]:
    """A page of imports, newest first, one more than `limit` where there is more."""
    place = (col(Import.created_at), col(Import.id))
    query = select(Import).where(col(Import.clinic_id) == clinic_id)
    if after is not None:
        query = query.where(below(place, (datetime.fromisoformat(after[0]), UUID(after[1]))))
    return db.exec(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()


def waiting(db: Transaction) -> list[tuple[UUID, UUID]]:
    """(clinic, import) of every import with something to do, over all clinics, oldest first."""
    query = select(Import.clinic_id, Import.id).where(col(Import.ended_at).is_(None), col(Import.state) != "receiving")
    return list(db.exec(query.order_by(col(Import.created_at))))


def unfinished(db: Transaction, clinic_id: UUID, before: datetime) -> Sequence[Import]:
    """Imports whose file began to come before an instant, and did not come whole."""
    query = select(Import).where(
        col(Import.clinic_id) == clinic_id, col(Import.state) == "receiving", col(Import.created_at) < before
    )
    return db.exec(query).all()


def with_pieces(db: Transaction, clinic_id: UUID) -> Sequence[UUID]:
    """Ended imports of which pieces are left."""
    query = select(ImportPiece.import_id).join(
        Import, and_(col(Import.clinic_id) == col(ImportPiece.clinic_id), col(Import.id) == col(ImportPiece.import_id))
    )
    ended = (col(ImportPiece.clinic_id) == clinic_id, col(Import.ended_at).is_not(None))
    return db.exec(query.where(*ended).distinct()).all()


def open_imports(db: Transaction, clinic_id: UUID) -> int:
    """How many imports of a clinic are not ended."""
    query = select(func.count()).where(col(Import.clinic_id) == clinic_id, col(Import.ended_at).is_(None))
    return db.exec(query).one()


def add_piece(db: Transaction, clinic_id: UUID, import_id: UUID, number: int, content: bytes) -> None:
    row = {"clinic_id": clinic_id, "import_id": import_id, "number": number, "content": content}
    insert(db, {ImportPiece: [row]})


def piece(db: Transaction, clinic_id: UUID, import_id: UUID, number: int) -> bytes | None:
    found = db.get(ImportPiece, (clinic_id, import_id, number))
    return None if found is None else found.content


def add_chunk(
    db: Transaction, clinic_id: UUID, import_id: UUID, phase: int, number: int, items: int, content: bytes
) -> None:
    row = {"clinic_id": clinic_id, "import_id": import_id, "phase": phase, "number": number, "items": items, "done": 0}
    insert(db, {ImportChunk: [{**row, "content": content, "brought": b""}]})


def next_chunk(db: Transaction, clinic_id: UUID, import_id: UUID) -> ImportChunk | None:
    """The first chunk that is not applied."""
    query = _chunks(clinic_id, import_id).where(col(ImportChunk.content).is_not(None))
    return db.exec(query.order_by(col(ImportChunk.phase), col(ImportChunk.number)).limit(1)).first()


def last_brought(db: Transaction, clinic_id: UUID, import_id: UUID) -> ImportChunk | None:
    """The last chunk that brought something which is not taken back."""
    query = _chunks(clinic_id, import_id).where(func.length(col(ImportChunk.brought)) > 0)
    return db.exec(query.order_by(col(ImportChunk.phase).desc(), col(ImportChunk.number).desc()).limit(1)).first()


def _chunks(clinic_id: UUID, import_id: UUID) -> SelectOfScalar[ImportChunk]:
    return select(ImportChunk).where(col(ImportChunk.clinic_id) == clinic_id, col(ImportChunk.import_id) == import_id)


def place(db: Transaction, chunk: ImportChunk) -> int:
    """How far a chunk has come by now."""
    found = db.get(ImportChunk, (chunk.clinic_id, chunk.import_id, chunk.phase, chunk.number))
    return -1 if found is None else found.done


def keep_place(db: Transaction, chunk: ImportChunk, **values: Any) -> None:
    """Says how far a chunk has come."""
    mine = (ImportChunk.clinic_id, ImportChunk.import_id, ImportChunk.phase, ImportChunk.number)
    here = (chunk.clinic_id, chunk.import_id, chunk.phase, chunk.number)
    same = [col(column) == value for column, value in zip(mine, here, strict=True)]
    db.execute(update(ImportChunk).where(*same).values(**values))


def forget_staged(db: Transaction, clinic_id: UUID, import_id: UUID) -> None:
    """Deletes what an earlier try to read the file staged and found."""
    for model in (ImportChunk, ImportProblem):
        db.execute(delete(model).where(col(model.clinic_id) == clinic_id, col(model.import_id) == import_id))


def forget_some_pieces(db: Transaction, clinic_id: UUID, import_id: UUID) -> bool:
    """Deletes a part of the file as it came. Whether there may be more."""
    mine = (col(ImportPiece.clinic_id) == clinic_id, col(ImportPiece.import_id) == import_id)
    last = db.exec(select(func.max(ImportPiece.number)).where(*mine)).one()
    if last is None:
        return False
    db.execute(delete(ImportPiece).where(*mine, col(ImportPiece.number) > last - _PIECES_AT_ONCE))
    return True


def forget_unapplied(db: Transaction, clinic_id: UUID, import_id: UUID) -> None:
    """Deletes what was staged and is not to be applied any more."""
    mine = (col(ImportChunk.clinic_id) == clinic_id, col(ImportChunk.import_id) == import_id)
    db.execute(update(ImportChunk).where(*mine, col(ImportChunk.content).is_not(None)).values(content=None))


def add_problems(db: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    insert(db, {ImportProblem: rows})


def problems(db: Transaction, clinic_id: UUID, import_id: UUID, limit: int | None) -> Sequence[ImportProblem]:
    """What was wrong with an import, in the order of its lines."""
    query = select(ImportProblem).where(
        col(ImportProblem.clinic_id) == clinic_id, col(ImportProblem.import_id) == import_id
    )
    return db.exec(query.order_by(col(ImportProblem.line), col(ImportProblem.number)).limit(limit)).all()


def mapping(db: Transaction, clinic_id: UUID, name: str) -> ImportMapping | None:
    return db.get(ImportMapping, (clinic_id, name))


def mappings(db: Transaction, clinic_id: UUID) -> Sequence[ImportMapping]:
    """The clinic's own mappings, by name."""
    query = select(ImportMapping).where(col(ImportMapping.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(ImportMapping.name))).all()
