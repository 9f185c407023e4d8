"""Proving who one is with a password, and with a second factor where one is on."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app import clock
from app.access import factors, store, throttling, tokens
from app.access.models import User
from app.access.tokens import Tokens
from app.audit import service as audit
from app.audit.service import Act


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: the login named, a code where one was sent, and where it came from."""

    email: str
    otp: str
    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no tokens, in the words of RFC 6749."""

    error: str
    description: str


NOT_RIGHT = Refusal("invalid_grant", "the e-mail, the password or the code is not right")
NEEDS_CODE = Refusal("mfa_required", "send a code of the second factor as otp")


def open_session(
    db: Session, key: str, user: User, password_fits: bool, attempt: Attempt, now: datetime
) -> Tokens | Refusal:
    """Tokens for a person whose password fits and whose code, where a second factor is on, does too. Whether a factor
    is on is told only to who knows the password. Audited either way."""
    act = Act(user.clinic_id, "user", user.id, "issue_token", attempt.request_id, now, attempt.address)
    current = store.user(db, user.clinic_id, user.id, locked=True)
    # Disabled, or the password changed while this one was being compared.
    if current is None or current.disabled_at is not None or current.password_hash != user.password_hash:
        password_fits = False
    if not password_fits or current is None:
        audit.record(db, act, [], outcome="denied")
        return NOT_RIGHT
    if current.otp_confirmed_at is not None:
        if not attempt.otp:
            throttling.give_back(db, attempt.email, attempt.address)
            return NEEDS_CODE
        if not factors.accepts(db, current, attempt.otp, now):
            audit.record(db, act, [], outcome="denied")
            return NOT_RIGHT
    throttling.forgive(db, attempt.email, attempt.address)
    audit.record(db, act, [])
    return tokens.open_session(db, key, current, clock.now(), has_factor=current.otp_confirmed_at is not None)
