"""An outbox for check-ins: what a phone has recorded is kept in a file until the service has acknowledged it.

    outbox = Outbox(Path("outbox.db"), "https://holdfast.example", patient_id)
    outbox.sign_in(access_token, refresh_token)
    outbox.put(CheckInIn(taken_at=..., responses=[...]))
    outbox.deliver()

Every check-in has an id of its own before it is first sent, so that a repeat is known as one. Its `sent_at` is written
anew at each try. They are sent in the order in which they were put; what cannot be sent now holds back the rest. A
check-in that the service refuses is set aside with the reason, and holds back nothing.

The file is as private as the phone keeps it. It is deleted with `sign_out`.
"""

import json
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from holdfast_client.models import CheckInIn
from holdfast_client.types import UNSET

# Refusals after which the same request may succeed later: another try of it is under way, the service is busy, the
# network was too slow, or something in between names a wrong host.
_LATER = frozenset({"request_in_progress", "rate_limited", "busy", "request_timeout", "bad_request"})
_FIRST = "select id, body from waiting order by place limit 1"
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 300.0
# Of something in between, that names the far future.
_LONGEST_ASKED = 3_600.0
_TABLES = """
create table if not exists waiting (place integer primary key autoincrement, id text unique, body text not null);
create table if not exists refused (id text primary key, body text not null, problem text not null);
create table if not exists tokens (one integer primary key check (one = 1), access text, refresh text);
create table if not exists owner (one integer primary key check (one = 1), patient text not null);
"""


class SignedOutError(Exception):
    """The tokens no longer work. What waits stays in the outbox until somebody signs in again."""


class RepeatedIdError(Exception):
    """The id of this check-in is that of another one that waits."""


class OtherPatientError(Exception):
    """The file is the outbox of another patient. Sign that one out first, or take another file."""


class _TryLater(Exception):
    """The service could not say. `after`: its Retry-After."""

    def __init__(self, after: str | None) -> None:
        super().__init__("try again later")
        self.after = after


@dataclass(frozen=True, slots=True)
class Refused:
    """A check-in that the service will not take, as it was put, and the service's problem (RFC 9457)."""

    id: UUID
    body: dict[str, Any]
    problem: dict[str, Any]


class Outbox:
    """The outbox of one patient's device. One process at a time may send from a file."""

    def __init__(
        self,
        file: Path,
        url: str,
        patient_id: UUID,
        *,
        http: httpx.Client | None = None,
        on_receipt: Callable[[dict[str, Any]], None] = lambda _: None,
        on_refused: Callable[[Refused], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`on_receipt` is told of each receipt (`CheckInReceipt`), also of one that was recorded at an earlier try;
        `on_refused` of each refusal. Both can hold a `notice`: whom to call now, which is to be shown at once. Both are
        told once: what they raise comes out of `send`, and the receipt does not come again. Raises
        OtherPatientError."""
        self._url, self._patient_id = url.rstrip("/"), patient_id
        self._http = http or httpx.Client(timeout=30)
        self._on_receipt, self._on_refused, self._now, self._sleep = on_receipt, on_refused, now, sleep
        file.touch(mode=0o600)  # it holds tokens and answers
        self._file = sqlite3.connect(file, isolation_level=None)
        self._file.execute("pragma synchronous = full")
        self._file.executescript(_TABLES)
        self._claim()
        if self._file.execute("select patient from owner").fetchone()[0] != str(patient_id):
            raise OtherPatientError
        self._tries = 0

    def sign_in(self, access_token: str, refresh_token: str) -> None:
        """Keeps the tokens. The refresh token is stored before it is used: an answer that is lost costs nothing, since
        the service takes the one before it as well."""
        self._claim()
        self._file.execute("insert or replace into tokens values (1, ?, ?)", (access_token, refresh_token))

    def access_token(self, refused: str | None = None) -> str:
        """An access token for other requests: the one that is kept, or a new one where that was `refused`. Without a
        network it is the old one. Raises SignedOutError."""
        access, refresh = self._tokens()
        if access == refused:
            with suppress(httpx.TransportError, _TryLater):
                if not self._refresh(refresh):
                    raise SignedOutError
        return self._tokens()[0]

    def sign_out(self) -> None:
        """Forgets the tokens, whose outbox it is, and everything that waits or was refused."""
        for table in ("tokens", "waiting", "refused", "owner"):
            self._file.execute(f"delete from {table}")  # noqa: S608 - of a fixed list
        self._file.execute("vacuum")

    def put(self, check_in: CheckInIn) -> UUID:
        """Keeps a check-in, on the disk when this returns. Gives its id. Raises ValueError for a `taken_at` without an
        offset, which the service would refuse, and RepeatedIdError."""
        if check_in.taken_at.utcoffset() is None:
            raise ValueError("taken_at must have an offset")
        body = check_in.to_dict()
        body.pop("sent_at", None)
        chosen = body.get("id") if check_in.id is not UNSET else None
        body["id"] = chosen or str(uuid4())
        self._claim()
        try:
            self._file.execute("insert into waiting (id, body) values (?, ?)", (body["id"], json.dumps(body)))
        except sqlite3.IntegrityError:
            raise RepeatedIdError from None
        return UUID(body["id"])

    @property
    def waiting(self) -> int:
        """How many check-ins are not acknowledged yet."""
        found: int = self._file.execute("select count(*) from waiting").fetchone()[0]
        return found

    @property
    def refused(self) -> list[Refused]:
        """The check-ins that were refused, for a person to look at."""
        rows = self._file.execute("select id, body, problem from refused order by rowid")
        return [Refused(UUID(key), json.loads(body), json.loads(problem)) for key, body, problem in rows]

    def deliver(self) -> None:
        """Sends everything that waits, however long it takes. Raises SignedOutError."""
        while (wait := self.send()) is not None:
            self._sleep(wait)

    def send(self) -> float | None:
        """Sends what waits, oldest first, as far as it goes now. Gives the seconds after which to try again; None where
        nothing waits. Raises SignedOutError."""
        while (found := self._first()) is not None:
            key, body = found
            try:
                answer = self._post(json.loads(body))
            except _TryLater as error:
                return self._wait(error.after)
            except httpx.TransportError:
                return self._wait(None)
            said = _json(answer)
            if answer.is_success and "id" in said:
                try:
                    self._on_receipt(said)
                finally:  # what it raises must not hold back the rest
                    self._file.execute("delete from waiting where id = ?", (key,))
            elif 400 <= answer.status_code < 500 and "code" in said and said["code"] not in _LATER:
                self._set_aside(key, body, said)
            else:  # of something in between, or of a service in trouble
                return self._wait(answer.headers.get("Retry-After"))
            self._tries = 0
        return None

    def _claim(self) -> None:
        self._file.execute("insert or ignore into owner values (1, ?)", (str(self._patient_id),))

    def _first(self) -> tuple[str, str] | None:
        found: tuple[str, str] | None = self._file.execute(_FIRST).fetchone()
        return found

    def _set_aside(self, key: str, body: str, problem: dict[str, Any]) -> None:
        try:
            self._on_refused(Refused(UUID(key), json.loads(body), problem))
        finally:
            self._file.execute("begin immediate")
            self._file.execute("insert or replace into refused values (?, ?, ?)", (key, body, json.dumps(problem)))
            self._file.execute("delete from waiting where id = ?", (key,))
            self._file.execute("commit")

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        address = f"{self._url}/v1/patients/{self._patient_id}/check-ins"
        for is_last in (False, True):
            access, refresh = self._tokens()
            sent = {**body, "sent_at": self._now().isoformat()}
            answer = self._http.post(address, json=sent, headers={"Authorization": f"Bearer {access}"})
            if answer.status_code != 401:
                return answer
            if is_last or not self._refresh(refresh):
                raise SignedOutError
        raise AssertionError("unreachable")

    def _tokens(self) -> tuple[str, str]:
        found = self._file.execute("select access, refresh from tokens").fetchone()
        if found is None:
            raise SignedOutError
        access, refresh = found
        return access, refresh

    def _refresh(self, token: str) -> bool:
        """Gets new tokens. False: they are over. Raises TransportError, or _TryLater, where that is not known now."""
        data = {"grant_type": "refresh_token", "refresh_token": token}
        answer = self._http.post(f"{self._url}/oauth/token", data=data)
        found = _json(answer)
        if answer.is_success and "refresh_token" in found:
            self.sign_in(found["access_token"], found["refresh_token"])
            return True
        if answer.status_code in (400, 401) and "error" in found:  # RFC 6749, 5.2
            return self._tokens()[1] != token  # another request has renewed them meanwhile
        raise _TryLater(answer.headers.get("Retry-After"))

    def _wait(self, retry_after: str | None) -> float:
        """Seconds until the next try: longer with each, drawn at chance so that phones do not come all at once."""
        self._tries += 1
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._tries, 10))
        asked = float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
        return max(min(asked, _LONGEST_ASKED), random.uniform(0, longest))  # noqa: S311 - no secret


def _json(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; empty for anything else."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
