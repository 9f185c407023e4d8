"""The caller that a token belongs to, in their current state."""

import time
from dataclasses import dataclass, replace
from uuid import UUID
from zoneinfo import ZoneInfo

from app import clock
from app.access import store
from app.access.models import Client, Clinic, Device, User
from app.access.outside import OutsideIssuer
from app.access.policies import ROLE_SCOPES
from app.access.tokens import Claims, read_token
from app.errors import InvalidToken
from app.storage import NO_CLINIC, Database, Transaction

_REMEMBERED_SECONDS = 25.0
_MOST_REMEMBERED = 10_000
NOTICE = "Answers are not watched in real time. If you or someone else is in danger, use the contacts given here now."


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller. `patient_id` is set only for a patient's device. `is_unfinished`: the clinic requires a second factor
    that this person has not shown, so they may only set one up. `issued_at`: of the token, in seconds since 1970.
    `former_patient_ids`: the records that were merged into a device's patient's since it was enrolled."""

    kind: str
    id: UUID
    clinic_id: UUID
    role: str
    scopes: frozenset[str]
    patient_id: UUID | None
    time_zone: ZoneInfo
    clinic: Clinic
    is_unfinished: bool = False
    issued_at: float = float("inf")
    former_patient_ids: tuple[UUID, ...] = ()

    @property
    def knows_merges(self) -> bool:
        """Whether the caller may be told in which record a merged one goes on: who may read patients, and a device."""
        return self.patient_id is not None or "patients:read" in self.scopes

    def whose(self, patient_id: UUID) -> UUID:
        """The patient that is meant by an address: for a device, also by that of a record merged into its patient's."""
        return self.patient_id if self.patient_id is not None and patient_id in self.former_patient_ids else patient_id

    @property
    def name(self) -> str:
        """The caller's name in idempotency keys, rate limits and cursors."""
        return f"{self.kind}:{self.id}"


class CallerCache:
    """Caches callers by token for 25 seconds after the token was verified. So a disabled caller is refused within that
    time, and a busy caller costs no query per request. Tokens are ours, or those of an outside issuer."""

    def __init__(self, database: Database, outside: OutsideIssuer | None) -> None:
        self._database = database
        self._outside = outside
        self._known: dict[str, tuple[float, Caller]] = {}

    def remembered(self, token: str) -> Caller | None:
        """The caller that a token belongs to, if it is cached."""
        known = self._known.get(token)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    async def caller(self, token: str) -> Caller:
        """The caller that a token belongs to. Raises InvalidToken."""
        known = self.remembered(token)
        if known is not None:
            return known
        if self._outside is not None and self._outside.issued(token):
            caller, expires_at = await self._verified(self._outside, token)
        else:
            claims = read_token(self._database.keyring, token)
            caller = await self._database.read(claims.clinic_id, lambda db: caller_of_token(db, claims))
            expires_at = claims.expires_at
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        left = expires_at - clock.now().timestamp()
        self._known[token] = (time.monotonic() + min(_REMEMBERED_SECONDS, left), caller)
        return caller

    def clear(self) -> None:
        """Forgets every caller, so that what has changed for one counts at once in this process."""
        self._known.clear()

    async def _verified(self, outside: OutsideIssuer, token: str) -> tuple[Caller, float]:
        person = await outside.verified(token)
        logins = await self._database.read(NO_CLINIC, lambda db: store.users_by_email(db, person.email))
        user = next((login for login in logins if login.disabled_at is None), None)
        if user is None:
            raise InvalidToken
        caller = await self._database.read(
            user.clinic_id,
            lambda db: caller_of_person(db, user.clinic_id, user.id, has_factor=person.has_factor),
        )
        return caller, person.expires_at


def caller_of_token(db: Transaction, claims: Claims) -> Caller:
    """The caller that the token belongs to, as they are now. Raises InvalidToken if disabled or deleted."""
    found = store.caller(db, claims.clinic_id, claims.kind, claims.id) if claims.kind in store.CALLERS else None
    clinic = store.clinic(db, claims.clinic_id)
    if clinic is None or found is None or found.disabled_at is not None:
        raise InvalidToken
    if isinstance(found, User):
        ended_at = found.signed_out_at
        if ended_at is not None and claims.issued_at < ended_at.timestamp():
            raise InvalidToken
        return _person(clinic, found, has_factor=claims.has_factor, issued_at=claims.issued_at)
    if isinstance(found, Device):
        scopes = ROLE_SCOPES["patient"]
        return _caller(clinic, found, "device", "patient", scopes)
    scopes = frozenset(claims.scope.split()) & frozenset(found.scope.split())
    return _caller(clinic, found, "client", "integration", scopes)


def caller_of_person(db: Transaction, clinic_id: UUID, user_id: UUID, *, has_factor: bool) -> Caller:
    """The caller for a person whom an outside issuer names. `has_factor` says that, according to the issuer, they
    showed more than one kind of proof. Raises InvalidToken if they are disabled or deleted."""
    clinic, user = store.clinic(db, clinic_id), store.user(db, clinic_id, user_id)
    if clinic is None or user is None or user.disabled_at is not None:
        raise InvalidToken
    return _person(clinic, user, has_factor=has_factor)


def _person(clinic: Clinic, user: User, *, has_factor: bool, issued_at: float = float("inf")) -> Caller:
    unfinished = clinic.second_factor == "required" and not has_factor
    scopes = frozenset() if unfinished else ROLE_SCOPES[user.role]
    caller = _caller(clinic, user, "user", user.role, scopes, is_unfinished=unfinished)
    return replace(caller, issued_at=issued_at)


def _caller(
    clinic: Clinic, found: User | Client | Device, kind: str, role: str, scopes: frozenset[str], *,
    is_unfinished: bool = False,
) -> Caller:  # fmt: skip
    patient_id = found.patient_id if isinstance(found, Device) else None
    zone = ZoneInfo(clinic.time_zone)
    caller = Caller(kind, found.id, clinic.id, role, scopes, patient_id, zone, clinic, is_unfinished)
    former = found.former_patient_ids if isinstance(found, Device) else []
    return replace(caller, former_patient_ids=tuple(map(UUID, former))) if former else caller
