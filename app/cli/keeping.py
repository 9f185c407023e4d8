"""Backups and secrets: `holdfast backup`, `restore`, `keys`."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from app import keeping, migrating, rotating
from app.cli.opening import answer, database, fail, settings, told
from app.settings import Settings, key_file, next_key_file, write_key
from app.storage import Keyring
from app.storage.archive import ArchiveError

keys = typer.Typer(no_args_is_help=True, help="The service's secret.")

_FOUND = 1


def backup(file: Annotated[Path, typer.Argument(help="The file to write; it must not exist")]) -> None:
    """Write a backup of everything, from one snapshot, while the service runs.

    The secret is not in it: keep HOLDFAST_SECRET_KEY, or the key file beside an SQLite database, apart from it.

    Example: holdfast backup /backups/2026-01-06.holdfast
    """
    if file.exists():
        fail("the file is there already: choose another name")
    began = time.monotonic()
    with database() as opened:
        try:
            manifest = keeping.backup(opened, file, told("backup"))
            keeping.record(opened, "backup")
        except OSError as error:
            fail(f"the file cannot be written: {error.strerror}")
    rows = sum(table["rows"] for table in manifest["tables"].values())
    answer(
        rows=rows, clinics=manifest["clinics"], bytes=file.stat().st_size, seconds=round(time.monotonic() - began, 1)
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `holdfast backup` wrote")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Then check rows, audit seals, folds and answers: slower")
    ] = False,
) -> None:
    """Put a backup into an empty database, and migrate that first. Refuses a database that holds a clinic.

    Needs the secret of the backup as HOLDFAST_SECRET_KEY, or as the key file beside the SQLite database. A backup of
    one engine can be restored into the other.
    """
    began, found = time.monotonic(), settings()
    try:
        keeping.check_release(file)  # before anything is made of the target
    except ArchiveError as error:
        fail(str(error))
    migrating.upgrade(found, say=told("migrated to"))
    with database(found) as opened:
        try:
            rows = keeping.restore(opened, file, told("restore"))
        except ArchiveError as error:
            fail(str(error))
        wrong = 0
        for line in keeping.verify(opened, file, told("verify")) if verify else ():
            print(line)
            wrong += 1
        keeping.record(opened, "restore")
    if wrong:
        fail(f"what was restored is not as it was: {wrong} found", _FOUND)
    answer(rows=rows, verified=verify, seconds=round(time.monotonic() - began, 1))


@keys.command("rotate")
def rotate() -> None:
    """Replace the secret by another one while the service runs; run it again where it was stopped.

    First restart every process with both: the new one as HOLDFAST_SECRET_KEY, the old one as
    HOLDFAST_PREVIOUS_SECRET_KEY. With a key file beside an SQLite database and no variable set, a new secret is made:
    stop the service, or restart it once the new secret is there and ask again. Old audit seals and old backups need the
    old secret: keep it.
    """
    found = settings()
    if found.is_sqlite and found.secret == _held(found):  # no variable, and no new one made before
        write_key(next_key_file(found.database_url))
        found = settings()
    began = time.monotonic()
    with database(found) as opened:
        done, failed = rotating.rotate(opened, Keyring(found.secrets[:2]), told("sealed anew"))
    put = rotating.put_key_in_place(found)
    said = [
        f"{failed} identities cannot be read with either secret and stay as they are" if failed else "",
        f"the key file holds the new secret now; the old one is in {put.name}" if put is not None else "",
        "old audit seals and backups made before need the old secret: keep it apart, and for 24 hours in "
        "HOLDFAST_PREVIOUS_SECRET_KEY, so that repeats of requests are still known",
    ]
    print("\n".join(filter(None, said)), file=sys.stderr)
    answer(sealed_anew=done, unreadable=failed, seconds=round(time.monotonic() - began, 1))


def _held(found: Settings) -> str | None:
    path = key_file(found.database_url)
    return path.read_text(encoding="ascii").strip() if path.exists() else None
