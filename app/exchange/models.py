"""Tables of imports and of mappings, and the bodies of requests and responses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from app.api.fields import Id, MomentOut, ResponseBody, grows
from app.storage import Moment, Uid, document, key, rights

_OPEN = text("ended_at IS NULL")


def _of_import() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["clinic_id", "import_id"], ["imports.clinic_id", "imports.id"])


class Import(SQLModel, table=True):
    """One file that was sent to be imported, and how far it has come: `lines` read, `items` made of them, `applied` of
    those. On PostgreSQL every clinic's rows may be read, so that one query finds those with work to do."""

    __tablename__ = "imports"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index("ix_imports_created", "clinic_id", "created_at", "id"),
        Index("ix_imports_open", "clinic_id", "id", postgresql_where=_OPEN, sqlite_where=_OPEN),
        rights("*", deletes=True, seen_by_all=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    state: str
    media_type: str
    mapping_name: str | None
    mapping: dict[str, Any] | None = Field(sa_type=document())
    dry_run: bool
    actor_kind: str
    actor_id: UUID = Field(sa_type=Uid)
    request_id: str
    size: int = Field(sa_type=BigInteger)
    lines: int
    items: int
    applied: int
    counts: dict[str, int] = Field(sa_type=document())
    problem_count: int
    created_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)


class ImportPiece(SQLModel, table=True):
    """A piece of the file as it came, encrypted. Deleted once the file is staged."""

    __tablename__ = "import_pieces"
    __table_args__ = (_of_import(), rights(deletes=True))

    clinic_id: UUID = key()
    import_id: UUID = key()
    number: int = Field(primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)


class ImportChunk(SQLModel, table=True):
    """Some items that were staged: `content` is encrypted, and deleted once they are applied. `phase`: patients before
    sessions before check-ins. `brought`: what the items that are `done` made, for the case that it is undone."""

    __tablename__ = "import_chunks"
    __table_args__ = (_of_import(), rights("done, content, brought", deletes=True))

    clinic_id: UUID = key()
    import_id: UUID = key()
    phase: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    items: int
    done: int
    content: bytes | None = Field(sa_type=LargeBinary)
    brought: bytes = Field(sa_type=LargeBinary)


class ImportProblem(SQLModel, table=True):
    """A line that was refused or left out: where, and by which rule. The value is never kept."""

    __tablename__ = "import_problems"
    __table_args__ = (_of_import(), rights(deletes=True))

    clinic_id: UUID = key()
    import_id: UUID = key()
    number: int = Field(primary_key=True)
    kind: str
    line: int
    column: str | None
    rule: str


class ImportMapping(SQLModel, table=True):
    """How a clinic's own sheet is read, by name."""

    __tablename__ = "import_mappings"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), rights("*", deletes=True))

    clinic_id: UUID = key()
    name: str = Field(primary_key=True)
    content: dict[str, Any] = Field(sa_type=document())
    updated_at: datetime = Field(sa_type=Moment)


class ProgressOut(ResponseBody):
    """How far an import has come: lines read, records made of them, and how many of those are applied."""

    lines: int
    records: int
    applied: int


class CountsOut(ResponseBody):
    """What an import brings, or in a dry run would: new patients, sessions, check-ins and their scores; records that
    were there already (`unchanged`) or made an earlier one whole or newer (`amended`); lines that were skipped, as the
    mapping says, or hold no answer (`skipped`); totals that were not kept, because the self-harm item is not answered
    (`totals_dropped`); records left out, since something was recorded in their place meanwhile (`left_out`); lines that
    refuse the file (`refused`); and after an undo what was taken back, and what stays since it was changed since."""

    patients: int
    sessions: int
    check_ins: int
    scores: int
    unchanged: int
    amended: int
    skipped: int
    totals_dropped: int
    left_out: int
    refused: int
    taken_back: int
    kept: int


class ImportProblemOut(ResponseBody):
    """A line of the file, its column where one is to blame, and the rule it breaks; never the value. `refused` lines
    refuse the whole file; `left_out` ones alone are left out of it."""

    kind: str = grows("refused", "left_out")
    line: int
    column: str | None
    rule: str


class ImportOut(ResponseBody):
    """An import. `problems` are the first hundred; `GET .../problems/all.csv` has all that are kept. `mapping`: its
    name; null for our own layout."""

    id: Id
    state: str = grows("receiving", "validating", "refused", "applying", "done", "cancelling", "cancelled")
    dry_run: bool
    media_type: str
    mapping: str | None
    progress: ProgressOut
    counts: CountsOut
    problems: list[ImportProblemOut]
    created_at: MomentOut
    ended_at: MomentOut | None


class ImportList(ResponseBody):
    """A page of imports, newest first, each without its problems."""

    items: list[ImportOut]
    next_cursor: str | None


class MappingOut(ResponseBody):
    """A mapping that a clinic keeps, or one that is ready."""

    name: str
    ready: bool
    content: dict[str, Any]
    updated_at: MomentOut | None


class MappingList(ResponseBody):
    """The clinic's own mappings by name, then those that are ready."""

    items: list[MappingOut]
    next_cursor: str | None


class DictionaryColumn(ResponseBody):
    """A column of an export: its type, unit or range, what it means, and whether an import reads it."""

    name: str
    type: str
    meaning: str
    imported: bool


class DictionaryFile(ResponseBody):
    """The columns of one export, in order."""

    name: str
    columns: list[DictionaryColumn]


class DictionaryInstrument(ResponseBody):
    """An instrument as it stands in `instrument`: the range of `score` and of each item in `answers`."""

    code: str
    name: str
    items: int
    item_ranges: list[list[int]]
    lowest: float
    highest: float
    direction: str
    loinc: str | None


class DictionaryOut(ResponseBody):
    """The data dictionary of all exports."""

    files: list[DictionaryFile]
    instruments: list[DictionaryInstrument]
