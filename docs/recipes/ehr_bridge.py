"""Joins an electronic health record and Holdfast: python ehr_bridge.py ADDRESS CLIENT_ID CLIENT_SECRET IN OUT [--once].

The integration needs the scopes `patients:read patients:write sessions:write outcomes:read`. IN is a file of infusions
that were given, a JSON object a line, as the record's own export or message queue would bring them:

    {"mrn": "0042", "encounter": "E-17", "started_at": "2026-03-02T09:30:00-05:00", "dose_mg": 35}

Patients and sessions get ids that follow from the record's own numbers. So the same line can come twice, and the
program can be stopped anywhere: nothing is doubled. Lines are added at the end of IN. A line that is refused is told
of, and holds back nothing. Into OUT it writes a line for each patient whose relief changed, with the status of each
domain, for the record to show. A line can come twice, and the last one counts. How far it has come in IN and in the
feed of changes lies beside OUT. Where something fails for now it ends with a message, and goes on there when it is
started again, as a service manager does.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from holdfast_client import AuthenticatedClient, Client
from holdfast_client.api.access import issue_token
from holdfast_client.api.exchange import list_changes
from holdfast_client.api.outcomes import get_relief
from holdfast_client.api.patients import create_patient, get_patient, list_patients, search_patients
from holdfast_client.api.sessions import record_session
from holdfast_client.models import (
    ChangeList,
    GrantType,
    PatientIn,
    PatientList,
    PatientOut,
    PatientSearch,
    ProblemOut,
    ReliefOut,
    SessionIn,
    SessionOut,
    TokenOut,
    TokenRequest,
    WrittenOut,
)
from holdfast_client.types import UNSET

# Of this hospital's record: ids made from it are the same wherever the program runs.
_NUMBERS = uuid5(NAMESPACE_URL, "https://hospital.example/record")
_WAIT_SECONDS = 30
_LINES_A_ROUND = 200


def main(address: str, client_id: str, secret: str, given: str, out: str, *options: str) -> None:
    is_once = "--once" in options
    while True:
        # A token is good for 15 minutes, and a round takes less: it brings 200 infusions at most.
        asked = TokenRequest(GrantType.CLIENT_CREDENTIALS, client_id=client_id, client_secret=secret)
        token = issue_token.sync(client=Client(address), body=asked)
        if not isinstance(token, TokenOut):
            raise SystemExit(f"signing in was refused: {token}")
        with AuthenticatedClient(address, token.access_token) as client:
            is_there_more = bring_all(client, Path(given), Path(out))
            is_there_more |= tell(client, Path(out), 0 if is_once or is_there_more else _WAIT_SECONDS)
        if is_once and not is_there_more:
            return


def bring_all(client: AuthenticatedClient, given: Path, out: Path) -> bool:
    """Brings the next lines of IN. Tells whether there are more."""
    kept = out.with_suffix(".lines")
    done = int(kept.read_text()) if kept.exists() else 0
    lines = given.read_text(encoding="utf-8").splitlines(keepends=True)[done : done + _LINES_A_ROUND]
    whole = [line for line in lines if line.endswith("\n")]  # the last one may still be written
    for number, line in enumerate(whole, done + 1):
        try:
            bring(client, *read(line))
        except RefusedError as error:  # a person has to look; the others go on
            print(f"line {number} is refused: {error}", file=sys.stderr)
    keep(kept, str(done + len(whole)))
    return len(whole) == _LINES_A_ROUND


def keep(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    new = file.with_name(file.name + ".new")
    with new.open("w", encoding="utf-8") as content:
        content.write(text)
        content.flush()
        os.fsync(content.fileno())
    new.replace(file)


def read(line: str) -> tuple[str, SessionIn]:
    """The record number and the session of a line. Raises RefusedError."""
    try:
        found = json.loads(line)
        session = SessionIn(
            id=uuid5(_NUMBERS, f"encounter {found['encounter']}"),
            started_at=datetime.fromisoformat(found["started_at"]),
            dose_mg=float(found["dose_mg"]),
        )
        return str(found["mrn"]), session
    except (KeyError, TypeError, ValueError):
        raise RefusedError("it cannot be read") from None


def bring(client: AuthenticatedClient, mrn: str, session: SessionIn) -> None:
    """Records an infusion, and its patient if there is none yet. Raises RefusedError."""
    made = record_session.sync(patient_of(client, mrn), client=client, body=session)
    if not isinstance(made, SessionOut | WrittenOut):
        raise unlike(made)


def patient_of(client: AuthenticatedClient, mrn: str) -> UUID:
    """The patient with a record number: by it and not by the id, because a person may have entered them before."""
    found = search_patients.sync(client=client, body=PatientSearch(external_id=mrn))
    if isinstance(found, PatientList) and found.items:
        return found.items[0].id
    if not isinstance(found, PatientList):
        raise unlike(found)
    body = PatientIn(external_id=mrn, id=uuid5(_NUMBERS, f"patient {mrn}"))
    made = create_patient.sync(client=client, body=body)
    if not isinstance(made, PatientOut | WrittenOut):
        raise unlike(made)
    return made.id


class RefusedError(Exception):
    """A line that will not be taken, however often it is sent."""


def unlike(answer: object) -> BaseException:
    """What to raise for an answer that is not what was asked for: the line breaks a rule or differs from what was
    recorded, or it is trouble for now."""
    if isinstance(answer, ProblemOut) and answer.status in (409, 422) and answer.code != "request_in_progress":
        return RefusedError(answer.detail)
    return SystemExit(f"the service could not do it now: {answer}")


def tell(client: AuthenticatedClient, out: Path, wait: int) -> bool:
    """Writes the statuses of those whose relief has changed since. Tells whether there were any changes."""
    kept = out.with_suffix(".position")
    after = int(kept.read_text()) if kept.exists() else UNSET
    page = list_changes.sync(client=client, after=after, limit=200, wait=wait)
    if isinstance(page, ProblemOut) and page.code == "changes_gone":  # more than 90 days, or a restored service
        write(client, out, patients(client))
        kept.unlink()  # what is kept of the feed is told once more
        return True
    if not isinstance(page, ChangeList):
        raise SystemExit(f"the feed was refused: {page}")
    write(client, out, {change.patient_id for change in page.items if change.kind == "relief.changed"})
    keep(kept, str(page.next_after))
    return bool(page.items)


def write(client: AuthenticatedClient, out: Path, patient_ids: Iterable[UUID]) -> None:
    """Writes the statuses of patients, also onto the disk."""
    with out.open("a", encoding="utf-8") as lines:
        for patient_id in patient_ids:
            patient, relief = get_patient.sync(patient_id, client=client), get_relief.sync(patient_id, client=client)
            refused = next((one for one in (patient, relief) if isinstance(one, ProblemOut)), None)
            if refused is not None and refused.code in ("merged", "not_found"):
                continue  # the record goes on in another one, which is told of too
            if not isinstance(patient, PatientOut) or not isinstance(relief, ReliefOut):
                raise SystemExit(f"a patient could not be read: {refused}")
            statuses = {domain.domain: domain.status for domain in relief.domains}
            told = {"mrn": patient.external_id, "as_of": str(relief.as_of), "rule": relief.rule, "relief": statuses}
            lines.write(json.dumps(told) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def patients(client: AuthenticatedClient) -> Iterator[UUID]:
    cursor: str | None = ""
    while cursor is not None:
        page = list_patients.sync(client=client, limit=200, cursor=cursor or UNSET)
        if not isinstance(page, PatientList):
            raise SystemExit(f"the patients were refused: {page}")
        yield from (patient.id for patient in page.items)
        cursor = page.next_cursor


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, httpx.HTTPError) as error:  # no answer, or one of something in between
        raise SystemExit(f"the service could not be reached: {type(error).__name__}") from error
