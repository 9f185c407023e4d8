"""What `holdfast demo` prints: a new login, things to try, and the answer for one patient in words."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from app import clock
from app.access import service as access
from app.access.service import Caller
from app.access.tokens import Claims
from app.audit.service import by_operator
from app.clinic import service as clinics
from app.demo.clinic import Filled, fill
from app.people import service as people
from app.relief_answers import service as relief_answers
from app.relief_answers.models import ReliefOut
from app.relief_answers.service import Question
from app.speech import message as _
from app.storage import Database, Transaction, new_id

EMAIL = "demo@holdfast.example"
PATIENTS, DAYS, SEED = 240, 365, 20260101
_CONTACTS = [
    {"label": _("988 Suicide & Crisis Lifeline"), "contact": _("call or text 988")},
    {"label": "Emergency", "contact": "911"},
]
_TELLING = ("fading", "holding", "lost", "partial_response")


@dataclass(frozen=True, slots=True)
class Demo:
    """A filled synthetic clinic, a login for it, a code that signs in once, and the answer for one patient."""

    email: str
    password: str
    code: str
    filled: Filled
    patient_id: UUID
    answer: str


def build(database: Database, count: int = PATIENTS, days: int = DAYS, seed: int = SEED) -> Demo:
    """Makes a new synthetic clinic in an empty database, with a new random password."""
    password, clinic_id, now = secrets.token_urlsafe(9), new_id(), clock.now()
    user_id = database.writing(clinic_id, lambda db: _add_clinic(db, clinic_id, password, now))
    claims = Claims("user", user_id, clinic_id, "", 0)
    caller = database.reading(clinic_id, lambda db: access.caller_of_token(db, claims))
    filled = fill(database, caller, count, days, now, seed)
    patient_id, answer = database.reading(clinic_id, lambda db: _one_answer(db, caller, filled, now))
    code = database.writing(clinic_id, lambda db: people.sign_in_code(db, clinic_id, user_id, now))
    return Demo(EMAIL, password, code, filled, patient_id, answer)


def told(demo: Demo, address: str) -> str:
    """The text that the command prints when the clinic is filled."""
    filled = demo.filled
    token = (
        f"TOKEN=$(curl -s {address}/oauth/token -d grant_type=password -d username={demo.email} "
        f"-d password={demo.password} | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')"
    )
    patient = f"{address}/v1/patients/{demo.patient_id}"
    return f"""
Holdfast demo: a synthetic clinic of {len(filled.patient_ids)} patients, {filled.sessions} sessions and \
{filled.check_ins} check-ins
(nobody real; {filled.repeated} check-ins were sent twice and kept once)

  Open this to look around (it signs you in, once):

      {address}/sign-in/link/{demo.code}

  Address   {address}
  Login     {demo.email}
  Password  {demo.password}   (made for this run)

Is the relief still holding? One patient, in words:

  {demo.answer}

Three things to try, in another terminal:

  1. Get a token, then ask for that patient's whole answer:
     {token}
     curl -s -H "Authorization: Bearer $TOKEN" {patient}/relief | python3 -m json.tool
  2. See which alerts wait for a person:
     curl -s -H "Authorization: Bearer $TOKEN" "{address}/v1/alerts?state=open&limit=5" | python3 -m json.tool
  3. Read the API: {address}/docs

Stop with Ctrl-C.
"""


def fresh_database(path: Path, secret_key: str) -> Database:
    """A new empty database at `path`. An existing one is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)
    return Database(f"sqlite:///{path}", secret_key)


def forget_key(path: Path) -> None:
    """Removes the key of a demo that is not there any more, and a demo that has lost its key."""
    key = path.with_name(path.name + ".key")
    if not key.exists():
        _remove(path)


def put_in_place(filled: Path, path: Path) -> None:
    """Moves a closed database to the path that the demo serves."""
    _remove(path)
    filled.rename(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _add_clinic(db: Transaction, clinic_id: UUID, password: str, now: datetime) -> UUID:
    clinics.add_clinic(db, clinic_id, "Synthetic demo clinic", "America/New_York", _CONTACTS, now, synthetic=True)
    return people.add_user(db, clinic_id, EMAIL, "admin", password, now)


def _one_answer(db: Transaction, caller: Caller, filled: Filled, now: datetime) -> tuple[UUID, str]:
    """The first patient whose mood has an interesting status, and their answer in words."""
    act = by_operator(caller.clinic_id, "demo", now)
    best: tuple[int, UUID, str] | None = None
    for patient_id in filled.patient_ids:
        answer = relief_answers.relief_of(db, Question(caller, act, patient_id)).value
        rank, words = _telling(answer)
        if best is None or rank < best[0]:
            best = (rank, patient_id, words)
        if rank == 0:
            break
    assert best is not None  # a demo has patients
    return best[1], best[2]


def _telling(answer: ReliefOut) -> tuple[int, str]:
    mood = answer.domains[0]
    words = next((track.explanation for track in answer.tracks if track.instrument == mood.instrument), "")
    rank = _TELLING.index(mood.status) if mood.status in _TELLING else len(_TELLING)
    return rank, f"Mood: {mood.status}. {words}"
