"""Second factors: time-based codes (RFC 6238), each accepted once, and recovery codes."""

import secrets
from datetime import datetime

import pyotp

from app.access.models import User
from app.access.tokens import digest
from app.api.encryption import Cipher
from app.storage import Transaction, key_id, keys_for

_STEP_SECONDS = 30
# A code of the step before or after is accepted too, because clocks differ.
_DRIFT_STEPS = 1
_RECOVERY_CODES = 10
# A last step further ahead than this was taken by a clock that was wrong: it bars no code.
_AHEAD_STEPS = 4


def start(db: Transaction, user: User) -> str:
    """Makes a new secret for the authenticator. The previous one stays in use until it is confirmed."""
    secret = pyotp.random_base32()
    user.otp_pending = _cipher(db).encrypt(secret)
    user.key_id = key_id(db)
    db.add(user)
    return secret


def uri(secret: str, email: str, clinic: str) -> str:
    """The secret as an `otpauth` URI, which authenticators read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"Holdfast {clinic}".strip())


def confirm(db: Transaction, user: User, code: str, now: datetime) -> list[str] | None:
    """Turns the pending secret on if `code` is one of its codes. Returns new recovery codes; None if it is not."""
    secret = _cipher(db).decrypt(user.otp_pending) if user.otp_pending else None
    step = _step(secret, code, now) if secret else None
    if step is None:
        return None
    codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _ in range(_RECOVERY_CODES)]
    user.otp_secret, user.otp_pending = user.otp_pending, None
    user.otp_confirmed_at, user.otp_last_step = now, step
    user.recovery_hashes = [digest(code) for code in codes]
    db.add(user)
    return codes


def accepts(db: Transaction, user: User, code: str, now: datetime) -> bool:
    """Whether `code` is a current or recovery code. Each works once, so the caller must hold the person's lock."""
    if user.otp_secret is None:
        return False
    hashes = [h for h in user.recovery_hashes if not secrets.compare_digest(h, digest(code.strip().lower()))]
    if len(hashes) < len(user.recovery_hashes):
        user.recovery_hashes = hashes
        db.add(user)
        return True
    step = _step(str(_cipher(db).decrypt(user.otp_secret)), code, now)
    last = user.otp_last_step
    if step is None or (last is not None and step <= last <= step + _AHEAD_STEPS):
        return False
    user.otp_last_step = step
    db.add(user)
    return True


def reseal(db: Transaction, user: User) -> None:
    """Encrypts a person's secrets anew, under the service's secret of now."""
    cipher = _cipher(db)
    for name in ("otp_secret", "otp_pending"):
        sealed = getattr(user, name)
        secret = None if sealed is None else cipher.decrypt(sealed)
        if secret is not None:
            setattr(user, name, cipher.encrypt(secret))
    user.key_id = key_id(db)
    db.add(user)


def remove(db: Transaction, user: User) -> None:
    """Removes a person's second factor."""
    user.otp_secret = user.otp_pending = user.otp_confirmed_at = user.otp_last_step = None
    user.recovery_hashes = []
    db.add(user)


def _step(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to, among the steps near now; None if it belongs to none of them."""
    totp = pyotp.TOTP(secret)
    digits = code.replace(" ", "")
    current = int(now.timestamp()) // _STEP_SECONDS
    near = range(current - _DRIFT_STEPS, current + _DRIFT_STEPS + 1)
    fitting = (
        [step for step in near if secrets.compare_digest(totp.generate_otp(step), digits)] if digits.isascii() else []
    )
    return max(fitting, default=None)


def _cipher(db: Transaction) -> Cipher:
    return Cipher(keys_for(db, "second factors"))
