"""Backups of a whole database, restoring them, and proving that what came back answers as before."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from app import clock, revisions
from app.access import store as access
from app.access.door import operate
from app.audit import sealing
from app.audit.models import EVERYONE
from app.audit.service import by_operator
from app.facts import Fact
from app.outbox import service as outbox
from app.patients import service as patients_service
from app.patients import store as patients
from app.storage import NO_CLINIC, Database, Transaction, archive, key_for, keyring
from app.storage.archive import Archive, ArchiveError
from app.tables import metadata
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks.days import local_day

# What a running service counts or holds for a moment, and the database's own secrets, which are restored apart.
_NOT_KEPT = frozenset({"leases", "processes", "rate_counts", "throttles", "service_keys"})
TABLES = [table for table in metadata.sorted_tables if table.name not in _NOT_KEPT]
_PATIENTS_A_ROUND = 200

Say = Callable[[str], None]


def backup(database: Database, path: Path, say: Say) -> dict[str, Any]:
    """Writes a backup of everything, from one snapshot, while the service runs. Returns its manifest: release, schema,
    key ids, rows and SHA-256 of each table, and a keyed hash of all relief answers of each clinic."""
    now = clock.now()

    def facts(db: Transaction) -> dict[str, Any]:
        clinic_ids, known = access.clinic_ids(db), keyring.states(db)
        return {
            "made_at": now.isoformat(),
            "release": version("holdfast"),
            "revision": revisions.head(),
            "key_ids": [key_id for key_id in database.keyring.ids if known.get(key_id) in ("current", "previous")],
            "clinics": len(clinic_ids),
            "answers": {str(clinic_id): _answers(database, db, clinic_id, now, say) for clinic_id in clinic_ids},
        }

    return archive.write(database, path, TABLES, access.clinic_ids, facts, say)


def check_release(path: Path) -> None:
    """Raises ArchiveError for a file that is no backup, or one of another schema."""
    made = Archive(path).manifest
    if made.get("revision") != revisions.head():
        raise ArchiveError(
            f"the backup was made by release {made.get('release')} at revision {made.get('revision')}, and this one "
            f"is at {revisions.head()}: restore it with the release of its revision, then upgrade"
        )


def restore(database: Database, path: Path, say: Say) -> int:
    """Puts every row of a backup into an empty, migrated database. Returns how many. Raises ArchiveError, and changes
    nothing, for a database that holds a clinic, another schema, another secret, and a damaged file."""
    check_release(path)
    found = Archive(path)
    if database.reading(NO_CLINIC, access.clinic_ids):
        raise ArchiveError("the database holds clinics already: restore into an empty one")
    found.check_key(database.keyring)
    with database.refilling() as db:
        keyring.bind(db, found.key_ids, clock.now())
        rows = found.restore(database, db, TABLES, say)
        for clinic_id in access.clinic_ids(db):
            database.name_clinic(db, clinic_id)
            outbox.begin_anew(db, clinic_id)
    database.unlock(clock.now())
    return rows


def record(database: Database, operation: str) -> None:
    """Records, for each clinic, that an operator copied everything, or put it back."""
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        act = by_operator(clinic_id, operation, clock.now())
        operate(database, act, lambda _: Fact(None, (EVERYONE,)))


def verify(database: Database, path: Path, say: Say) -> Iterator[str]:
    """What of a restored database is not as the backup says: rows, audit seals, folds, answers."""
    manifest = Archive(path).manifest
    made_at = datetime.fromisoformat(manifest["made_at"])
    with database.snapshot() as db:
        clinic_ids = access.clinic_ids(db)
        if len(clinic_ids) != manifest["clinics"]:
            yield f"there are {len(clinic_ids)} clinics, not {manifest['clinics']}"
        for name, count in archive.counts(database, db, TABLES, clinic_ids).items():
            if count != manifest["tables"][name]["rows"] and name != "feeds":  # restoring gives each clinic one
                yield f"{name} has {count} rows, not {manifest['tables'][name]['rows']}"
        for clinic_id in clinic_ids:
            database.name_clinic(db, clinic_id)
            clinic = access.clinic(db, clinic_id)
            is_synthetic = clinic is not None and clinic.synthetic
            for problem in sealing.verify(db, clinic_id, is_synthetic=is_synthetic, say=say):
                if problem.kind not in ("acknowledged", "not_checked"):
                    yield f"{clinic_id} audit log {problem.kind}: {problem.what}"
            if _answers(database, db, clinic_id, made_at, say) != manifest["answers"].get(str(clinic_id)):
                yield f"{clinic_id} relief answers are not those of the backup"
    for clinic_id in clinic_ids:
        yield from folded_otherwise(database, clinic_id, say)


def folded_otherwise(database: Database, clinic_id: UUID, say: Say) -> Iterator[str]:
    """The patients of a clinic whose stored answer is not what folding all their scores again gives."""
    now, after, done = clock.now(), None, 0

    def compare(db: Transaction, zone: ZoneInfo, ids: Sequence[UUID]) -> list[UUID]:
        day, summaries = local_day(now, zone), patients.summaries(db, clinic_id, ids)
        stored = tracks.gather(db, clinic_id, ids)
        differing = []
        for patient_id in ids:
            if not answers.is_readable_on(stored[patient_id], day):
                continue  # an outdated fold, which the hourly job renews, or a score of a later day
            subject = patients_service.subject_of(summaries[patient_id], zone)
            anew, _ = answers.known_on(db, clinic_id, patient_id, zone, day, None)
            if answers.relief_on(subject, stored[patient_id], day) != answers.relief_on(subject, anew, day):
                differing.append(patient_id)
        return differing

    def some(db: Transaction, after: UUID | None) -> list[UUID]:
        return patients.ids_after(db, clinic_id, after, _PATIENTS_A_ROUND)

    zone = database.reading(clinic_id, lambda db: access.time_zone(db, clinic_id))
    while ids := database.reading(clinic_id, partial(some, after=after)):
        for patient_id in database.reading(clinic_id, partial(compare, zone=zone, ids=ids)):
            yield f"{clinic_id} patient {patient_id} is folded otherwise than stored"
        after, done = ids[-1], done + len(ids)
        say(f"{done} patients folded again")


def _answers(database: Database, db: Transaction, clinic_id: UUID, at: datetime, say: Say) -> str:
    """A keyed hash of the relief answers of every patient of a clinic, as of the day of `at`."""
    database.name_clinic(db, clinic_id)
    zone, after, done = access.time_zone(db, clinic_id), None, 0
    day, digest = local_day(at, zone), hmac.new(key_for(db, "backup answers"), digestmod=hashlib.sha256)
    while ids := patients.ids_after(db, clinic_id, after, _PATIENTS_A_ROUND):
        summaries, known = patients.summaries(db, clinic_id, ids), tracks.gather(db, clinic_id, ids)
        for patient_id in ids:
            subject = patients_service.subject_of(summaries[patient_id], zone)
            mine = known[patient_id]
            if not answers.is_readable_on(mine, day):
                mine, _ = answers.known_on(db, clinic_id, patient_id, zone, day, None)
            digest.update(to_json(answers.relief_on(subject, mine, day)))
        after, done = ids[-1], done + len(ids)
        say(f"{done} answers")
    return digest.hexdigest()
