"""Keeps a copy of all check-ins in a warehouse: python warehouse.py ADDRESS CLIENT_ID CLIENT_SECRET FILE [--once].

The integration needs the scopes `checkins:read` and `patients:read`. The warehouse is an SQLite file here; any other
works the same way. It follows the feed of changes: what is said there is read anew, and written together with the
position, so that nothing is missed or doubled wherever the program is stopped. After 90 days without it, or after a
restore of the service, it reads everything anew, and forgets what it held. Where something fails for now it ends with a
message, and goes on there when it is started again, as a service manager does.
"""

import sqlite3
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from holdfast_client import AuthenticatedClient, Client
from holdfast_client.api.access import issue_token
from holdfast_client.api.check_ins import get_check_in, list_check_ins
from holdfast_client.api.exchange import list_changes
from holdfast_client.api.patients import list_patients
from holdfast_client.models import (
    ChangeList,
    CheckInList,
    CheckInOut,
    GrantType,
    PatientList,
    ProblemOut,
    TokenOut,
    TokenRequest,
)
from holdfast_client.types import UNSET

_TABLES = """
create table if not exists scores (check_in text, instrument text, patient text, taken_at text, value real, version int,
    primary key (check_in, instrument));
create table if not exists position (one integer primary key check (one = 1), after integer not null);
"""
_WAIT_SECONDS = 30


def main(address: str, client_id: str, secret: str, file: str, *options: str) -> None:
    with sqlite3.connect(file) as warehouse:
        warehouse.executescript(_TABLES)
    while True:
        # A token is good for 15 minutes, and a round takes less: the first one some 5 ms a patient.
        asked = TokenRequest(GrantType.CLIENT_CREDENTIALS, client_id=client_id, client_secret=secret)
        token = issue_token.sync(client=Client(address), body=asked)
        if not isinstance(token, TokenOut):
            raise SystemExit(f"signing in was refused: {token}")
        with AuthenticatedClient(address, token.access_token) as client, sqlite3.connect(file) as warehouse:
            is_there_more = follow(client, warehouse, 0 if "--once" in options else _WAIT_SECONDS)
        if "--once" in options and not is_there_more:
            return


def follow(client: AuthenticatedClient, warehouse: sqlite3.Connection, wait: int) -> bool:
    """Takes the next changes in. Tells whether there were any."""
    found = warehouse.execute("select after from position").fetchone()
    after = None if found is None else found[0]
    if after is None:
        after = everything(client, warehouse)
    page = list_changes.sync(client=client, after=after, limit=200, wait=wait)
    if isinstance(page, ProblemOut) and page.code == "changes_gone":
        warehouse.execute("delete from position")
        warehouse.execute("delete from scores")
        return True
    if not isinstance(page, ChangeList):
        raise SystemExit(f"the feed was refused: {page}")
    touched = {(change.patient_id, change.check_in_id) for change in page.items if change.check_in_id is not None}
    for patient_id, check_in_id in touched:
        check_in = get_check_in.sync(patient_id, check_in_id, client=client)
        if isinstance(check_in, ProblemOut) and check_in.code in ("merged", "not_found"):
            forget(warehouse, check_in_id)  # it goes on in another record, which is told of too
        elif isinstance(check_in, CheckInOut):
            keep(warehouse, check_in)
        else:
            raise SystemExit(f"a check-in could not be read: {check_in}")
    warehouse.execute("insert or replace into position values (1, ?)", (page.next_after,))
    return bool(page.items)


def everything(client: AuthenticatedClient, warehouse: sqlite3.Connection) -> int:
    """Reads all check-ins, and gives the position from before: what changes meanwhile is read once more."""
    after = 0
    while True:
        page = list_changes.sync(client=client, after=after or UNSET, limit=200)
        if not isinstance(page, ChangeList):
            raise SystemExit(f"the feed was refused: {page}")
        if page.next_after == after:
            break
        after = page.next_after
    for patient_id in patients(client):
        cursor: str | None = ""
        while cursor is not None:
            some = list_check_ins.sync(patient_id, client=client, limit=200, cursor=cursor or UNSET)
            if isinstance(some, ProblemOut) and some.code in ("merged", "not_found"):
                break  # meanwhile; the feed tells of it
            if not isinstance(some, CheckInList):
                raise SystemExit(f"check-ins could not be read: {some}")
            for check_in in some.items:
                keep(warehouse, check_in)
            cursor = some.next_cursor
    return after


def patients(client: AuthenticatedClient) -> Iterator[UUID]:
    cursor: str | None = ""
    while cursor is not None:
        page = list_patients.sync(client=client, limit=200, cursor=cursor or UNSET)
        if not isinstance(page, PatientList):
            raise SystemExit(f"the patients were refused: {page}")
        yield from (patient.id for patient in page.items)
        cursor = page.next_cursor


def forget(warehouse: sqlite3.Connection, check_in_id: UUID) -> None:
    warehouse.execute("delete from scores where check_in = ?", (str(check_in_id),))


def keep(warehouse: sqlite3.Connection, check_in: CheckInOut) -> None:
    """Writes a check-in as it stands: none of its scores where it was voided or moved."""
    forget(warehouse, check_in.id)
    rows: list[tuple[Any, ...]] = [
        (str(check_in.id), score.instrument, str(check_in.patient_id), check_in.taken_at.isoformat(), score.value,
         check_in.version)
        for score in check_in.scores
        if check_in.status == "recorded"
    ]  # fmt: skip
    warehouse.executemany("insert into scores values (?, ?, ?, ?, ?, ?)", rows)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, httpx.HTTPError) as error:  # no answer, or one of something in between
        raise SystemExit(f"the service could not be reached: {type(error).__name__}") from error
