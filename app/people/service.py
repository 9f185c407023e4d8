"""People with a login: adding them, changing them, and their passwords."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import MISSING

from app import clock
from app.access import store, tokens
from app.access.models import LONGEST_PASSWORD, SHORTEST_PASSWORD, CrisisContact, PasswordCode, User
from app.access.service import NOTICE, Caller
from app.access.tokens import ACCESS_TOKEN_SECONDS, digest
from app.api.fields import is_address
from app.audit.service import Act, Origin
from app.errors import Fault, Invalid, InvalidToken, NotFound, Problem
from app.facts import Fact, require_version
from app.people import factors, passwords
from app.people.models import (
    MeOut,
    MyClinicOut,
    PasswordCodeOut,
    SecondFactorConfirmed,
    SecondFactorOut,
    UserCreated,
    UserIn,
    UserOut,
    UserPatch,
)
from app.people.passwords import NewPassword
from app.people.policies import why_guessable
from app.storage import Transaction, new_id

_CODE_LIVES = timedelta(hours=72)


class EmailTaken(Problem):
    """The clinic has a login with this e-mail already. Other clinics' logins are not looked at."""

    code, status, title = "email_taken", 409, "The e-mail is in use"


class LastAdministrator(Problem):
    """A clinic keeps at least one administrator who can log in. Make somebody else one first."""

    code, status, title = "last_administrator", 409, "The clinic's last administrator"


def add_user(db: Transaction, clinic_id: UUID, email: str, role: str, password: str, now: datetime) -> UUID:
    """Adds a person, for the operator. Raises Invalid for an unknown role, or an unusable e-mail or password."""
    if role not in ("admin", "clinician"):
        raise Invalid(errors=[Fault("parameter", "role", "must be admin or clinician")])
    if not is_address(email.strip()):
        raise Invalid(errors=[Fault("parameter", "email", "must be an e-mail address")])
    clinic = store.clinic(db, clinic_id)
    if clinic is None:
        raise NotFound("there is no such clinic")
    _check_password(password)
    _check_guessable(password, email.strip(), clinic.name, Fault("parameter", "password", ""))
    try:
        return _add(db, clinic_id, email.strip().lower(), role, passwords.hashed_now(password), now).id
    except EmailTaken:
        raise Invalid(errors=[Fault("parameter", "email", "is in use")]) from None


def _check_password(password: str) -> None:
    """Raises Invalid for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        rule = f"must have at least {SHORTEST_PASSWORD} characters, at most {LONGEST_PASSWORD}"
        raise Invalid(errors=[Fault("parameter", "password", rule)])


def _check_guessable(password: str, email: str, clinic: str, where: Fault) -> None:
    """Raises Invalid for a password that anybody would try first."""
    why = why_guessable(password, email, clinic)
    if why is not None:
        raise Invalid(errors=[replace(where, detail=why)])


def me(db: Transaction, caller: Caller) -> Fact[MeOut]:
    """The caller, what it may do, and its clinic. Raises NotFound for a person who is gone."""
    clinic = caller.clinic
    value = MeOut(
        kind=caller.kind,
        id=caller.id,
        role=caller.role,
        scopes=sorted(caller.scopes),
        clinic=MyClinicOut(
            id=clinic.id,
            name=clinic.name,
            time_zone=clinic.time_zone,
            synthetic=clinic.synthetic,
            notice=NOTICE,
            crisis_contacts=[CrisisContact(**contact) for contact in clinic.crisis_contacts],
        ),
    )
    if caller.patient_id is not None:
        value.patient_id = caller.patient_id
    if caller.kind == "user":
        user = find(db, caller.clinic_id, caller.id)
        value.second_factor = "on" if user.otp_confirmed_at else "required" if caller.is_unfinished else "off"
    return Fact(value, () if caller.patient_id is None else (caller.patient_id,))


def create(db: Transaction, act: Act, body: UserIn) -> Fact[UserCreated]:
    """Adds a person without a password and makes a code with which they set one. Raises EmailTaken."""
    user = _add(db, act.clinic_id, body.email, body.role, None, act.at)
    code = password_code(db, user, act.at)
    value = UserCreated(**user_out(user).model_dump(), password_code=code)
    return Fact(value, version=user.version, is_new=True, is_secret=True)


def update(db: Transaction, act: Act, user_id: UUID, expected: int | None, patch: UserPatch) -> Fact[UserOut]:
    """Changes a person and returns them. Raises NotFound, PreconditionFailed, LastAdministrator."""
    user = _locked(db, act.clinic_id, user_id)
    require_version(expected, user.version)
    disabled_at = user.disabled_at
    if patch.disabled is not MISSING:
        disabled_at = (user.disabled_at or act.at) if patch.disabled else None
    role = user.role if patch.role is MISSING else patch.role
    if (role, disabled_at) == (user.role, user.disabled_at):
        return Fact(user_out(user), version=user.version)
    if (role != "admin" or disabled_at is not None) and _is_last(db, user):
        raise LastAdministrator
    if disabled_at is not None:
        _sign_out_everywhere(db, user)
    user.role, user.disabled_at, user.version = role, disabled_at, user.version + 1
    db.add(user)
    db.flush()
    return Fact(user_out(user), version=user.version, changes_callers=True)


def one(db: Transaction, clinic_id: UUID, user_id: UUID) -> Fact[UserOut]:
    """A person of this clinic. Raises NotFound."""
    user = find(db, clinic_id, user_id)
    return Fact(user_out(user), version=user.version)


def find(db: Transaction, clinic_id: UUID, user_id: UUID) -> User:
    """The row of a person of this clinic. Raises NotFound."""
    user = store.user(db, clinic_id, user_id)
    if user is None:
        raise NotFound
    return user


def _locked(db: Transaction, clinic_id: UUID, user_id: UUID) -> User:
    """A person of this clinic, locked until the transaction ends. Raises NotFound."""
    user = store.user(db, clinic_id, user_id, locked=True)
    if user is None:
        raise NotFound
    return user


def listed(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> list[UserOut]:
    """One page, newest first. Returns one item more than `limit` if there are more."""
    return [user_out(user) for user in store.users(db, clinic_id, after, limit)]


def reset_password(db: Transaction, act: Act, user_id: UUID) -> Fact[PasswordCodeOut]:
    """Makes a code to set a new password. The old one and all sessions end now. Raises NotFound."""
    user = _locked(db, act.clinic_id, user_id)
    user.password_hash = None
    _sign_out_everywhere(db, user)
    return Fact(password_code(db, user, act.at), is_new=True, is_secret=True, changes_callers=True)


def remove_second_factor(db: Transaction, act: Act, user_id: UUID) -> Fact[None]:
    """Removes the second factor of a person who lost it, and ends their sessions. Raises NotFound."""
    user = _locked(db, act.clinic_id, user_id)
    factors.remove(db, user)
    _sign_out_everywhere(db, user)
    return Fact(None, changes_callers=True)


def password_code(db: Transaction, user: User, now: datetime) -> PasswordCodeOut:
    """Makes a single-use code that is valid for 72 hours. Earlier codes of the person stop working."""
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


def set_password(
    db: Transaction, clinic_id: UUID, code: str, password: NewPassword, origin: Origin
) -> tuple[Act, Fact[None]]:
    """Sets a password by its code, and signs the person out everywhere. Raises InvalidToken for an unusable code, and
    Invalid for a password that anybody would try first; the code can then be used again."""
    held = store.password_code(db, digest(code))
    user = None if held is None else store.user(db, clinic_id, held.user_id, locked=True)
    if held is None or user is None or held.used_at is not None or held.expires_at <= origin.at or user.disabled_at:
        raise InvalidToken("the code is unknown, used or expired")
    held.used_at = origin.at
    db.add(held)
    _set(db, user, password, origin.at)
    return origin.act(clinic_id, "user", user.id, "set_password"), Fact(None, changes_callers=True)


def change_password(db: Transaction, caller: Caller, act: Act, checked: str, password: NewPassword) -> Fact[None]:
    """Sets the caller's own password, and signs them out everywhere. `checked` is the hash that the current password
    was found to fit. Raises InvalidToken for a caller who was signed out, Invalid where that hash has changed."""
    _set(db, _own(db, caller, checked), password, act.at)
    return Fact(None, changes_callers=True)


def sign_out_everywhere(db: Transaction, caller: Caller) -> Fact[None]:
    """Ends every session of the caller, this one too. Raises InvalidToken for one that has ended."""
    _sign_out_everywhere(db, _own(db, caller))
    return Fact(None, changes_callers=True)


def sign_in_code(db: Transaction, clinic_id: UUID, user_id: UUID, now: datetime) -> str:
    """A code with which `sign_in_to_synthetic` signs a person in, once. Raises NotFound."""
    return password_code(db, _locked(db, clinic_id, user_id), now).code


def sign_in_to_synthetic(
    db: Transaction, clinic_id: UUID, code: str, origin: Origin
) -> tuple[Act, Fact[tokens.Tokens]]:
    """Tokens for a person of a clinic in which nobody is real, by a code that works once. Raises InvalidToken."""
    held, clinic = store.password_code(db, digest(code)), store.clinic(db, clinic_id)
    user = None if held is None else store.user(db, clinic_id, held.user_id, locked=True)
    if held is None or user is None or clinic is None or not clinic.synthetic:
        raise InvalidToken
    if held.used_at is not None or held.expires_at <= origin.at or user.disabled_at:
        raise InvalidToken
    held.used_at = origin.at
    db.add(held)
    granted = tokens.sign_in(db, user, clock.now(), in_browser=True)
    return origin.act(clinic_id, "user", user.id, "follow_sign_in_link"), Fact(granted, is_new=True, is_secret=True)


def start_second_factor(db: Transaction, caller: Caller, act: Act, checked: str, code: str) -> Fact[SecondFactorOut]:
    """Makes a secret for the caller's authenticator. Raises what `change_password` raises, and Invalid if a second
    factor is on and `code` is not one of its codes."""
    user = _own(db, caller, checked)
    if user.otp_confirmed_at is not None and not factors.accepts(db, user, code, act.at):
        raise Invalid(errors=[Fault("pointer", "/otp", "must be a code of the second factor that is on")])
    secret = factors.start(db, user)
    value = SecondFactorOut(secret=secret, uri=factors.uri(secret, user.email, caller.clinic.name))
    return Fact(value, is_new=True, is_secret=True)


def confirm_second_factor(
    db: Transaction, caller: Caller, act: Act, code: str, *, in_browser: bool = False
) -> Fact[SecondFactorConfirmed]:
    """Turns the caller's second factor on. Returns recovery codes, and the tokens of a new session with it; other
    sessions can no longer be refreshed. Raises InvalidToken if the session has ended, Invalid for a wrong code."""
    user = _own(db, caller)
    codes = factors.confirm(db, user, code, act.at)
    if codes is None:
        raise Invalid(errors=[Fault("pointer", "/otp", "must be a current code of the secret that was begun")])
    store.revoke_tokens(db, act.clinic_id, "user", user.id, act.at)
    granted = tokens.sign_in(db, user, clock.now(), has_factor=True, in_browser=in_browser)
    value = SecondFactorConfirmed(
        recovery_codes=codes,
        access_token=granted.access_token,
        token_type="bearer",
        expires_in=ACCESS_TOKEN_SECONDS,
        refresh_token=granted.refresh_token,
        scope=granted.scope,
    )
    return Fact(value, is_secret=True, changes_callers=True)


def user_out(user: User) -> UserOut:
    """The response body of a person."""
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


def _set(db: Transaction, user: User, password: NewPassword, now: datetime) -> None:
    clinic = store.clinic(db, user.clinic_id)
    _check_guessable(password.text, user.email, clinic.name if clinic else "", Fault("pointer", "/password", ""))
    user.password_hash = password.hash
    _sign_out_everywhere(db, user)
    store.expire_password_codes(db, user.clinic_id, user.id, now)


def _own(db: Transaction, caller: Caller, checked: str | None = None) -> User:
    """The caller's own row, locked until the transaction ends. Raises InvalidToken if the session has ended since the
    token was checked, and Invalid if the password is no longer the one that was checked."""
    user = _locked(db, caller.clinic_id, caller.id)
    ended_at = user.signed_out_at
    if user.disabled_at is not None or (ended_at is not None and caller.issued_at < ended_at.timestamp()):
        raise InvalidToken
    if checked is not None and user.password_hash != checked:
        raise Invalid("the password has been changed meanwhile")
    return user


def _sign_out_everywhere(db: Transaction, user: User) -> None:
    """Ends every sign-in up to now, which is read under the person's lock and not when the request came in. A second
    factor that was begun and not confirmed is given up."""
    user.signed_out_at = clock.now()
    user.otp_pending = None
    db.add(user)
    store.revoke_tokens(db, user.clinic_id, "user", user.id, user.signed_out_at)


def _add(db: Transaction, clinic_id: UUID, email: str, role: str, password_hash: str | None, now: datetime) -> User:
    user = User(
        clinic_id=clinic_id,
        id=new_id(),
        email=email,
        role=role,
        password_hash=password_hash,
        created_at=now,
        disabled_at=None,
    )
    if not store.add_user(db, user):
        raise EmailTaken(errors=[Fault("pointer", "/email", "is in use")])
    return user


def _is_last(db: Transaction, user: User) -> bool:
    admins = store.administrators(db, user.clinic_id)
    return user.id in admins and len(admins) == 1
