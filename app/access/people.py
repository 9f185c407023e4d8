"""People with a login: adding, changing, passwords."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import MISSING
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app import clock
from app.access import factors, passwords, store, tokens
from app.access.faces import (
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    PasswordCodeOut,
    SecondFactorConfirmed,
    SecondFactorOut,
    UserCreated,
    UserIn,
    UserOut,
    UserPatch,
    is_address,
)
from app.access.models import PasswordCode, User
from app.access.service import Caller
from app.access.tokens import ACCESS_TOKEN_SECONDS, digest
from app.api.idempotency import Reply
from app.api.versions import require_version
from app.audit import service as audit
from app.audit.service import Act
from app.errors import Fault, Invalid, InvalidToken, NotFound, Problem
from app.storage import new_id

_CODE_LIVES = timedelta(hours=72)


class EmailTaken(Problem):
    """There is a login with this e-mail. One e-mail is one login in one clinic."""

    code, status, title = "email_taken", 409, "The e-mail is in use"


class LastAdministrator(Problem):
    """A clinic keeps at least one administrator who can log in. Make somebody else one first."""

    code, status, title = "last_administrator", 409, "The clinic's last administrator"


def add_user(db: Session, clinic_id: UUID, email: str, role: str, password: str, now: datetime) -> UUID:
    """A person's login with a password, as the operator adds it. Raises Invalid for a role, an e-mail or a password
    that will not do, or an e-mail in use."""
    if role not in ("admin", "clinician"):
        raise Invalid(errors=[Fault("parameter", "role", "must be admin or clinician")])
    if not is_address(email.strip()):
        raise Invalid(errors=[Fault("parameter", "email", "must be an e-mail address")])
    _check_password(password)
    if store.clinic(db, clinic_id) is None:
        raise NotFound("there is no such clinic")
    try:
        return _add(db, clinic_id, email.strip().lower(), role, passwords.hashed(password), now).id
    except EmailTaken:
        raise Invalid(errors=[Fault("parameter", "email", "is in use")]) from None


def _check_password(password: str) -> None:
    """Raises Invalid for one that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        rule = f"must have at least {SHORTEST_PASSWORD} characters, at most {LONGEST_PASSWORD}"
        raise Invalid(errors=[Fault("parameter", "password", rule)])


def create(db: Session, act: Act, body: UserIn) -> Reply[UserCreated]:
    """A new person without a password, and the code with which they set one. Raises EmailTaken."""
    user = _add(db, act.clinic_id, body.email, body.role, None, act.at)
    code = password_code(db, user, act.at)
    audit.record(db, act, [])
    headers = {"Location": f"/v1/users/{user.id}", "ETag": f'"{user.version}"'}
    return Reply(UserCreated(**answer(user).model_dump(), password_code=code), 201, headers, secret=True)


def update(db: Session, act: Act, user_id: UUID, expected: int | None, patch: UserPatch) -> UserOut:
    """A changed person. Raises NotFound, PreconditionFailed, LastAdministrator."""
    user = _locked(db, act.clinic_id, user_id)
    require_version(expected, user.version)
    disabled_at = user.disabled_at
    if patch.disabled is not MISSING:
        disabled_at = (user.disabled_at or act.at) if patch.disabled else None
    role = user.role if patch.role is MISSING else patch.role
    audit.record(db, act, [])
    if (role, disabled_at) == (user.role, user.disabled_at):
        return answer(user)
    if (role != "admin" or disabled_at is not None) and _is_last(db, user):
        raise LastAdministrator
    if disabled_at is not None:
        _end_sessions(db, user)
    user.role, user.disabled_at, user.version = role, disabled_at, user.version + 1
    db.add(user)
    db.flush()
    return answer(user)


def one(db: Session, clinic_id: UUID, user_id: UUID) -> User:
    """A person of this clinic. Raises NotFound."""
    user = store.user(db, clinic_id, user_id)
    if user is None:
        raise NotFound
    return user


def _locked(db: Session, clinic_id: UUID, user_id: UUID) -> User:
    """A person of this clinic, until the transaction ends. Raises NotFound."""
    user = store.user(db, clinic_id, user_id, locked=True)
    if user is None:
        raise NotFound
    return user


def listed(db: Session, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> list[UserOut]:
    """A page, newest first, one more than `limit` where there is more."""
    return [answer(user) for user in store.users(db, clinic_id, after, limit)]


def reset_password(db: Session, act: Act, user_id: UUID) -> Reply[PasswordCodeOut]:
    """A code with which a person sets a new password; the old one and every token end now. Raises NotFound."""
    user = _locked(db, act.clinic_id, user_id)
    user.password_hash = None
    _end_sessions(db, user)
    audit.record(db, act, [])
    return Reply(password_code(db, user, act.at), 201, secret=True)


def remove_second_factor(db: Session, act: Act, user_id: UUID) -> None:
    """Takes a person's second factor off, for one who lost it. Raises NotFound."""
    user = _locked(db, act.clinic_id, user_id)
    factors.remove(db, user)
    _end_sessions(db, user)
    audit.record(db, act, [])


def password_code(db: Session, user: User, now: datetime) -> PasswordCodeOut:
    """A single-use code, valid for 72 hours; codes before it no longer work."""
    store.expire_password_codes(db, user.clinic_id, user.id, now)
    code, expires_at = secrets.token_urlsafe(16), now + _CODE_LIVES
    db.add(
        PasswordCode(
            clinic_id=user.clinic_id,
            id=new_id(),
            user_id=user.id,
            code_hash=digest(code),
            expires_at=expires_at,
            used_at=None,
        )
    )
    db.flush()
    return PasswordCodeOut(code=code, expires_at=expires_at)


def set_password(db: Session, clinic_id: UUID, code: str, password_hash: str, request_id: str, now: datetime) -> None:
    """Sets the password of whom the code was made for, and ends their sessions. Raises InvalidToken for a code that is
    unknown, used or expired."""
    held = store.password_code(db, digest(code))
    user = None if held is None else store.user(db, clinic_id, held.user_id, locked=True)
    if held is None or user is None or held.used_at is not None or held.expires_at <= now or user.disabled_at:
        raise InvalidToken("the code is unknown, used or expired")
    held.used_at = now
    db.add(held)
    _set(db, user, password_hash, now)
    audit.record(db, Act(clinic_id, "user", user.id, "set_password", request_id, now), [])


def change_password(db: Session, caller: Caller, act: Act, checked: str, password_hash: str) -> None:
    """Sets the caller's own password, and ends their sessions. `checked` is the hash that their password was found to
    fit. Raises InvalidToken and Invalid where either no longer stands."""
    _set(db, _own(db, caller, checked), password_hash, act.at)
    audit.record(db, act, [])


def start_second_factor(db: Session, caller: Caller, act: Act, checked: str, code: str) -> Reply[SecondFactorOut]:
    """A secret for the caller's authenticator. Raises as `change_password`, and Invalid where a second factor is on and
    `code` is not of it."""
    user = _own(db, caller, checked)
    if user.otp_confirmed_at is not None and not factors.accepts(db, user, code, act.at):
        raise Invalid(errors=[Fault("pointer", "/otp", "must be a code of the second factor that is on")])
    secret = factors.start(db, user)
    audit.record(db, act, [])
    answer = SecondFactorOut(secret=secret, uri=factors.uri(secret, user.email, caller.clinic.name))
    return Reply(answer, 201, secret=True)


def confirm_second_factor(db: Session, key: str, caller: Caller, act: Act, code: str) -> Reply[SecondFactorConfirmed]:
    """Turns the caller's second factor on: recovery codes, and tokens of a session that has shown it. No other session
    can be refreshed any more. Raises InvalidToken where the caller's session has ended, and Invalid for a code that
    does not fit."""
    user = _own(db, caller)
    codes = factors.confirm(db, user, code, act.at)
    if codes is None:
        raise Invalid(errors=[Fault("pointer", "/otp", "must be a current code of the secret that was begun")])
    store.revoke_tokens(db, act.clinic_id, "user", user.id, act.at)
    granted = tokens.open_session(db, key, user, clock.now(), has_factor=True)
    audit.record(db, act, [])
    answer = SecondFactorConfirmed(
        recovery_codes=codes,
        access_token=granted.access_token,
        token_type="bearer",
        expires_in=ACCESS_TOKEN_SECONDS,
        refresh_token=granted.refresh_token,
        scope=granted.scope,
    )
    return Reply(answer, secret=True)


def answer(user: User) -> UserOut:
    """A person as the service shows them."""
    return UserOut(
        id=user.id,
        email=user.email,
        role=user.role,
        disabled=user.disabled_at is not None,
        has_password=user.password_hash is not None,
        second_factor=user.otp_confirmed_at is not None,
        created_at=user.created_at,
        version=user.version,
    )


def _set(db: Session, user: User, password_hash: str, now: datetime) -> None:
    user.password_hash = password_hash
    _end_sessions(db, user)
    store.expire_password_codes(db, user.clinic_id, user.id, now)


def _own(db: Session, caller: Caller, checked: str | None = None) -> User:
    """The caller's own login, until the transaction ends. Raises InvalidToken where their session has ended since they
    were looked at, and Invalid where their password is no longer the one that was checked."""
    user = _locked(db, caller.clinic_id, caller.id)
    ended_at = user.sessions_ended_at
    if user.disabled_at is not None or (ended_at is not None and caller.issued_at < ended_at.timestamp()):
        raise InvalidToken
    if checked is not None and user.password_hash != checked:
        raise Invalid("the password has been changed meanwhile")
    return user


def _end_sessions(db: Session, user: User) -> None:
    """Ends every session that was opened before now: not before the request came in, under the person's lock. A second
    factor that one of them began is not confirmed any more."""
    user.sessions_ended_at = clock.now()
    user.otp_pending = None
    db.add(user)
    store.revoke_tokens(db, user.clinic_id, "user", user.id, user.sessions_ended_at)


def _add(db: Session, clinic_id: UUID, email: str, role: str, password_hash: str | None, now: datetime) -> User:
    user = User(
        clinic_id=clinic_id,
        id=new_id(),
        email=email,
        role=role,
        password_hash=password_hash,
        created_at=now,
        disabled_at=None,
    )
    try:
        with db.begin_nested():
            db.add(user)
    except IntegrityError:
        raise EmailTaken(errors=[Fault("pointer", "/email", "is in use")]) from None
    return user


def _is_last(db: Session, user: User) -> bool:
    admins = store.administrators(db, user.clinic_id)
    return user.id in admins and len(admins) == 1
