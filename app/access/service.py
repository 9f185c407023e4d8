"""The caller that a token belongs to, in their current state."""

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
    """A caller. `patient_id` is set only for a patient's device. `is_unfinished`: the clinic requires a second factor
    that this person has not shown, so they may only set one up. `issued_at`: of the token, in seconds since 1970."""

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
        """The caller's name in idempotency keys, rate limits and cursors."""
        return f"{self.kind}:{self.id}"


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
    return Caller(kind, found.id, clinic.id, role, scopes, patient_id, zone, clinic, is_unfinished)
