"""An archive of a whole database: every row of one snapshot, the same on every engine.

It is a ZIP file with one file of JSON lines for each table. The last file in it, the manifest, states the rows and the
SHA-256 of every other one, and is itself under a keyed hash. What is sealed stays sealed: the secret is not in it.
"""

import hashlib
import hmac
import json
import os
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Column, LargeBinary, Table, func, select

from app.storage.database import Database
from app.storage.keys import Keyring, keyring
from app.storage.rights import rights_of
from app.storage.rows import insert_into
from app.storage.types import Moment, Transaction, Uid

_MANIFEST = "manifest.json"
_FORMAT = 1
_ROWS_A_TIME = 2_000
_PURPOSE = "backups"

Say = Callable[[str], None]


class ArchiveError(Exception):
    """The file is no archive, is damaged, or does not fit this database. The message is one sentence."""


def write(
    database: Database,
    path: Path,
    tables: Sequence[Table],
    clinic_ids: Callable[[Transaction], Sequence[UUID]],
    facts: Callable[[Transaction], dict[str, Any]],
    say: Say,
) -> dict[str, Any]:
    """Writes every row of these tables, as one snapshot has them, to a file that only its owner may read. `facts` are
    further members of the manifest. The file is there only once it is whole. Returns the manifest. OSError where it
    cannot be written."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            database.snapshot() as db,
        ):
            clinics = clinic_ids(db)
            manifest: dict[str, Any] = {"format": _FORMAT, **facts(db), "tables": {}}
            for table in tables:
                manifest["tables"][table.name] = _write_table(database, db, archive, table, clinics, say)
            manifest["mac"] = _mac(keyring(db), manifest)
            archive.writestr(_MANIFEST, json.dumps(manifest, sort_keys=True, indent=1))
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return manifest


def _write_table(
    database: Database, db: Transaction, archive: zipfile.ZipFile, table: Table, clinics: Sequence[UUID], say: Say
) -> dict[str, Any]:
    digest, count = hashlib.sha256(), 0
    with archive.open(f"{table.name}.ndjson", "w", force_zip64=True) as file:
        for row in _rows(database, db, table, clinics):
            line = to_json(row) + b"\n"
            digest.update(line)
            file.write(line)
            count += 1
            if count % _ROWS_A_TIME == 0:
                say(f"{table.name} {count}")
    return {"rows": count, "sha256": digest.hexdigest()}


def _rows(database: Database, db: Transaction, table: Table, clinics: Sequence[UUID]) -> Iterator[dict[str, Any]]:
    """The rows of a table, clinic by clinic, since row-level security shows one clinic's at a time."""
    query = select(table).order_by(*table.primary_key)
    for clinic_id in [None] if rights_of(table).is_open else clinics:
        if clinic_id is not None:
            database.name_clinic(db, clinic_id)
        mine = query if clinic_id is None else query.where(_whose(table) == clinic_id)
        with db.connection().execute(mine, execution_options={"yield_per": _ROWS_A_TIME}) as found:
            for row in found:
                yield {name: _out(value) for name, value in row._mapping.items()}


def _out(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


class Archive:
    """An archive that is read: its manifest is checked at once, its rows while they are read."""

    def __init__(self, path: Path) -> None:
        """Raises ArchiveError for what is no archive."""
        try:
            self._zip = zipfile.ZipFile(path)
            self.manifest: dict[str, Any] = json.loads(self._zip.read(_MANIFEST))
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
            raise ArchiveError("the file is no backup, or is damaged") from error
        if self.manifest.get("format") != _FORMAT:
            raise ArchiveError("the backup is of a later release")

    def check_key(self, ring: Keyring) -> None:
        """Raises ArchiveError unless every secret that sealed something in the backup is given, and the manifest was
        written with the one that sealed then."""
        if not self.key_ids or not set(self.key_ids) <= set(ring.ids):
            both = ", and to HOLDFAST_PREVIOUS_SECRET_KEY" if len(self.key_ids) > 1 else ""
            raise ArchiveError(f"the backup belongs to another HOLDFAST_SECRET_KEY{both}")
        mac = _mac(ring.sealing_with(self.key_ids[0]), self.manifest)
        if not hmac.compare_digest(mac, str(self.manifest.get("mac"))):
            raise ArchiveError("the backup's manifest was changed")

    @property
    def key_ids(self) -> list[str]:
        """The ids of the secrets that sealed what is in the backup, the one that sealed when it was made first."""
        return list(self.manifest.get("key_ids", []))

    def restore(self, database: Database, db: Transaction, tables: Sequence[Table], say: Say) -> int:
        """Inserts every row into empty tables, in the caller's transaction. Returns how many. Raises ArchiveError where
        the archive is damaged or was changed."""
        total = 0
        for table in tables:
            said = self.manifest["tables"].get(table.name)
            if said is None:
                raise ArchiveError(f"the backup lacks the table {table.name}")
            whose = None if rights_of(table).is_open else _whose(table).name
            count = 0
            for rows in self._parts(table, said["sha256"]):
                for clinic_id, some in _by_clinic(rows, whose):
                    if clinic_id is not None:
                        database.name_clinic(db, clinic_id)
                    insert_into(db, table, some)
                count += len(rows)
                say(f"{table.name} {count}")
            if count != said["rows"]:
                raise ArchiveError(f"the backup has {count} rows of {table.name}, not {said['rows']}")
            total += count
        return total

    def _parts(self, table: Table, expected: str) -> Iterator[list[dict[str, Any]]]:
        digest = hashlib.sha256()
        parsers = {column.name: _parser(column) for column in table.columns}
        rows: list[dict[str, Any]] = []
        try:
            with self._zip.open(f"{table.name}.ndjson") as file:
                for line in file:
                    digest.update(line)
                    found = json.loads(line)
                    rows.append({name: parse(found[name]) for name, parse in parsers.items()})
                    if len(rows) == _ROWS_A_TIME:
                        yield rows
                        rows = []
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, EOFError) as error:
            raise ArchiveError(f"the backup of {table.name} is damaged") from error
        if digest.hexdigest() != expected:
            raise ArchiveError(f"the backup of {table.name} is damaged")
        if rows:
            yield rows


def counts(database: Database, db: Transaction, tables: Sequence[Table], clinics: Sequence[UUID]) -> dict[str, int]:
    """The rows of each table, over these clinics."""
    found = {}
    for table in tables:
        total = 0
        for clinic_id in [None] if rights_of(table).is_open else clinics:
            query = select(func.count()).select_from(table)
            if clinic_id is not None:
                database.name_clinic(db, clinic_id)
                query = query.where(_whose(table) == clinic_id)
            total += db.execute(query).scalar_one()
        found[table.name] = total
    return found


def _whose(table: Table) -> Column[Any]:
    """The column that says which clinic a row belongs to."""
    return table.c.clinic_id if "clinic_id" in table.c else table.c.id


def _by_clinic(rows: list[dict[str, Any]], whose: str | None) -> Iterator[tuple[UUID | None, list[dict[str, Any]]]]:
    """The rows in runs of one clinic; all of them, of no clinic, for an open table."""
    if whose is None:
        yield None, rows
        return
    run: list[dict[str, Any]] = []
    for row in rows:
        if run and row[whose] != run[0][whose]:
            yield run[0][whose], run
            run = []
        run.append(row)
    if run:
        yield run[0][whose], run


def _parser(column: Column[Any]) -> Callable[[Any], Any]:
    """How a column's values are read from JSON."""
    if isinstance(column.type, LargeBinary):
        parse: Callable[[str], Any] = b64decode
    elif isinstance(column.type, Moment):
        parse = datetime.fromisoformat
    elif isinstance(column.type, Uid):
        parse = UUID
    elif column.type.python_type is date:
        parse = date.fromisoformat
    else:
        return lambda value: value
    return lambda value: None if value is None else parse(value)


def _mac(ring: Keyring, manifest: Mapping[str, Any]) -> str:
    content = json.dumps({name: value for name, value in manifest.items() if name != "mac"}, sort_keys=True)
    return hmac.digest(ring.keys(_PURPOSE)[0], content.encode(), hashlib.sha256).hex()
