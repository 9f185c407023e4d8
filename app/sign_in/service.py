"""Use cases of signing in: a password with a second factor where one is on, and a client's secret."""

from dataclasses import dataclass

from app import clock
from app.access import store, throttling, tokens
from app.access.models import Client, User
from app.access.tokens import Tokens
from app.audit.service import Act, Origin
from app.facts import Fact
from app.people import factors
from app.storage import Transaction


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: the login named, a code where one was sent, where it came from, and whether for a session in a
    browser."""

    email: str
    otp: str
    origin: Origin
    in_browser: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no tokens are issued, as an error of RFC 6749, and after how many seconds to try again."""

    error: str
    description: str
    retry_after: int | None = None


NOT_RIGHT = Refusal("invalid_grant", "the e-mail, the password or the code is not right")
NEEDS_CODE = Refusal("mfa_required", "send a code of the second factor as otp")

Proof = tuple[Act | None, Fact[Tokens | Refusal]]


def sign_in(db: Transaction, user: User, password_fits: bool, attempt: Attempt, *, is_only: bool) -> Proof:
    """Tokens for a person whose password fits and whose code, where a second factor is on, does too. Whether a factor
    is on is told only to a caller who knows the password; then no act is recorded yet. `is_only`: no other clinic has a
    login of this e-mail. Where one has, a success does not make earlier attempts forgotten, which may have been meant
    for that one."""
    act, address = attempt.origin.act(user.clinic_id, "user", user.id, "issue_token"), attempt.origin.address
    current = store.user(db, user.clinic_id, user.id, locked=True)
    # The user was disabled or the password was changed while the given password was being checked.
    if current is None or current.disabled_at is not None or current.password_hash != user.password_hash:
        password_fits = False
    if not password_fits or current is None:
        return act, Fact(NOT_RIGHT, outcome="denied")
    if current.otp_confirmed_at is not None:
        if not attempt.otp:
            throttling.give_back(db, attempt.email, address)
            return None, Fact(NEEDS_CODE)
        if not factors.accepts(db, current, attempt.otp, attempt.origin.at):
            return act, Fact(NOT_RIGHT, outcome="denied")
    now = clock.now()
    if current.signed_out_at is not None and current.signed_out_at > now:  # a clock was ahead then
        current.signed_out_at = now
        db.add(current)
    (throttling.forgive if is_only else throttling.give_back)(db, attempt.email, address)
    has_factor = current.otp_confirmed_at is not None
    granted = tokens.sign_in(db, current, clock.now(), has_factor=has_factor, in_browser=attempt.in_browser)
    return act, Fact(granted, is_new=True, is_secret=True)


def outside_sign_in(db: Transaction, user: User, has_factor: bool, origin: Origin) -> Proof:
    """Tokens for a person who has signed in at the outside issuer."""
    act = origin.act(user.clinic_id, "user", user.id, "issue_token")
    current = store.user(db, user.clinic_id, user.id, locked=True)
    if current is None or current.disabled_at is not None:
        return act, Fact(NOT_RIGHT, outcome="denied")
    granted = tokens.sign_in(db, current, clock.now(), has_factor=has_factor, in_browser=True)
    return act, Fact(granted, is_new=True, is_secret=True)


def client_sign_in(client: Client, granted: Tokens | Refusal, origin: Origin) -> Proof:
    """An integration's try, and what came of it."""
    act = origin.act(client.clinic_id, "client", client.id, "issue_token")
    if isinstance(granted, Refusal):
        return act, Fact(granted, outcome="denied")
    return act, Fact(granted, is_new=True, is_secret=True)
