"""Who is calling: the caller that a token speaks for, as they stand now."""

from dataclasses import dataclass, replace
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access import store
from app.access.models import Client, Clinic, Device, User
from app.access.policies import ROLE_SCOPES
from app.access.tokens import Claims
from app.errors import InvalidToken
from app.storage import Transaction

NOTICE = "Answers are not watched in real time. If you or someone else is in danger, use the contacts given here now."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `patient_id` is set for a patient's device alone. `is_unfinished`: the clinic requires a second
    factor that this person has not shown, so that they may only set one up. `issued_at` is when the token was, in
    seconds since 1970."""

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

    @property
    def name(self) -> str:
        """What the caller is called in keys and cursors."""
        return f"{self.kind}:{self.id}"


def caller_of_token(db: Transaction, claims: Claims) -> Caller:
    """The caller a token speaks for, as they stand now. Raises InvalidToken for one who is disabled or gone."""
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
    """A person whom an outside issuer speaks for; `has_factor` where it says that they showed more than a password.
    Raises InvalidToken for one who is disabled or gone."""
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
    return Caller(kind, found.id, clinic.id, role, scopes, patient_id, zone, clinic, is_unfinished)
