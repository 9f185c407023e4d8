"""HTTP of access before a caller is known: tokens, enrolment codes, setting a password."""

import base64
import binascii
from typing import Annotated
from urllib.parse import unquote_plus
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from app import clock
from app.access import clients, devices, login, people, proving, store, tokens
from app.access.dependencies import DatabaseOf, GuardedRoute, address_of
from app.access.faces import (
    DeviceTokenOut,
    PasswordIn,
    RedeemIn,
    TokenOut,
)
from app.access.login import Attempt, Refusal
from app.access.tokens import ACCESS_TOKEN_SECONDS, Tokens
from app.api.fields import Answer
from app.api.problems import Responses, problems
from app.audit import service as audit
from app.audit.service import Act
from app.errors import InvalidToken
from app.storage import NO_CLINIC, Database

router = APIRouter(tags=["access"], route_class=GuardedRoute)


class TokenError(Answer):
    """An error of the token endpoint (RFC 6749, 5.2)."""

    error: str
    error_description: str


_TOKEN_ERRORS: Responses = {
    status: {
        "model": TokenError,
        "description": description,
        "content": {"application/json": {"example": {"error": error, "error_description": description}}},
    }
    for status, error, description in (
        (400, "invalid_grant", "The request or grant was not accepted; mfa_required where a code is to be sent too"),
        (401, "invalid_client", "The client was not recognised"),
        (429, "rate_limited", "Too many attempts: Retry-After says when to come back"),
    )
}


@router.post(
    "/oauth/token",
    operation_id="issue_token",
    summary="Get an access token",
    response_model=TokenOut,
    responses=_TOKEN_ERRORS,
)
async def issue_token(
    request: Request,
    database: DatabaseOf,
    grant_type: Annotated[
        str, Form(description="password, refresh_token or client_credentials", examples=["password"])
    ] = "",
    username: Annotated[str, Form(examples=["you@example.org"])] = "",
    password: Annotated[str, Form()] = "",
    otp: Annotated[str, Form(description="A code of the second factor, or a recovery code")] = "",
    refresh_token: Annotated[str, Form()] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "",
) -> Response:
    """RFC 6749. `password` for people, `client_credentials` for integrations, `refresh_token` for people and devices.
    A refresh token rotates: keep the one that comes back. Where a second factor is on, `otp` goes with the password;
    without it the error is `mfa_required`."""
    if grant_type == "password":
        return await _password(request, database, username, password, otp)
    if grant_type == "refresh_token":
        return await _refresh(request, database, refresh_token)
    if grant_type == "client_credentials":
        basic = _basic(request.headers.get("authorization", ""))
        return await _client(request, database, *(basic or (client_id, client_secret)), scope)
    if not grant_type:
        return _refused("invalid_request", "grant_type is required, as application/x-www-form-urlencoded")
    return _refused("unsupported_grant_type", "one of password, refresh_token, client_credentials")


@router.post("/oauth/revoke", operation_id="revoke_token", summary="Revoke a refresh token")
async def revoke_token(database: DatabaseOf, token: Annotated[str, Form()] = "") -> Response:
    """RFC 7009. Revokes a refresh token with its family; an unknown one is no error."""
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    if clinic_id is not None:
        await database.write(clinic_id, lambda db: tokens.revoke(db, clinic_id, token, clock.now()))
    return Response(status_code=200)


@router.post(
    "/oauth/password",
    operation_id="set_password",
    summary="Set a password with a code",
    status_code=204,
    responses=problems("invalid_token"),
)
async def set_password(request: Request, database: DatabaseOf, body: PasswordIn) -> Response:
    """For a new person, and for one whose password was reset. The code works once; every session before it ends."""
    await proving.admit(database, "", address_of(request))
    clinic_id = await database.read(NO_CLINIC, lambda db: store.password_code_clinic(db, tokens.digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    password_hash, now, request_id = await proving.hashed(body.password), clock.now(), request.scope["request_id"]
    await database.write(
        clinic_id, lambda db: people.set_password(db, clinic_id, body.code, password_hash, request_id, now)
    )
    await proving.forgive(database, "", address_of(request))
    request.app.state.honoured.forget()
    return Response(status_code=204)


@router.post(
    "/v1/enrolments/redeem",
    operation_id="redeem_enrolment",
    summary="Make this device a patient's own",
    response_model=DeviceTokenOut,
    responses=problems("invalid_token"),
)
async def redeem_enrolment(request: Request, database: DatabaseOf, body: RedeemIn) -> DeviceTokenOut:
    """Single use. The refresh token lives 400 days from its last use."""
    key: str = request.app.state.key
    await proving.admit(database, "", address_of(request))
    clinic_id = await database.read(NO_CLINIC, lambda db: store.enrolment_clinic(db, tokens.digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    now, request_id = clock.now(), request.scope["request_id"]
    granted = await database.write(
        clinic_id, lambda db: devices.redeem(db, key, body.code, body.device_name, request_id, now)
    )
    await proving.forgive(database, "", address_of(request))
    return DeviceTokenOut(**_token_answer(granted).model_dump(exclude_unset=True), patient_id=granted.patient_id)


async def _password(request: Request, database: Database, email: str, password: str, otp: str) -> Response:
    key: str = request.app.state.key
    name = email.strip().lower()
    name = name if name.isprintable() else ""
    attempt = Attempt(name, otp, address_of(request), request.scope["request_id"])
    wait = await proving.seconds_to_wait(database, name, attempt.address)
    if wait is not None:
        return _too_many(wait)
    user = await database.read(NO_CLINIC, lambda db: store.user_by_email(db, name))
    stored = user.password_hash if user else None
    fits = await proving.fits(stored, password)
    if user is None:
        return _refused(login.NOT_RIGHT.error, login.NOT_RIGHT.description)
    now = clock.now()
    opened = await database.write(user.clinic_id, lambda db: login.open_session(db, key, user, fits, attempt, now))
    return _refused(opened.error, opened.description) if isinstance(opened, Refusal) else _granted(opened)


async def _refresh(request: Request, database: Database, token: str) -> Response:
    key: str = request.app.state.key
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    granted = None
    if clinic_id is not None:
        now = clock.now()
        granted = await database.write(clinic_id, lambda db: tokens.refresh(db, key, clinic_id, token, now))
    if granted is None:
        return _refused("invalid_grant", "the refresh token is unknown, expired, used or revoked")
    return _granted(granted)


async def _client(request: Request, database: Database, client_id: str, secret: str, scope: str) -> Response:
    key: str = request.app.state.key
    address, now = address_of(request), clock.now()
    wait = await proving.seconds_to_wait(database, client_id[:100], address)
    if wait is not None:
        return _too_many(wait)
    try:
        identifier = UUID(client_id)
    except ValueError:
        return _refused("invalid_client", "the client or its secret is not right", 401)
    client = await database.read(NO_CLINIC, lambda db: store.client_by_id(db, identifier))
    if not clients.secret_fits(client, secret, now) or client is None:
        if client is not None:
            act = Act(client.clinic_id, "client", client.id, "issue_token", request.scope["request_id"], now, address)
            await database.write(client.clinic_id, lambda db: audit.record(db, act, [], outcome="denied"))
        return _refused("invalid_client", "the client or its secret is not right", 401)
    await proving.forgive(database, client_id[:100], address)
    granted = tokens.client_token(key, client, scope or None, now)
    if granted is None:
        return _refused("invalid_scope", "the client may not have that scope")
    act = Act(client.clinic_id, "client", client.id, "issue_token", request.scope["request_id"], now, address)
    await database.write(client.clinic_id, lambda db: audit.record(db, act, []))
    return _granted(granted)


def _basic(header: str) -> tuple[str, str] | None:
    """Client credentials from HTTP Basic (RFC 6749, 2.3.1)."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(name), unquote_plus(secret)


def _token_answer(granted: Tokens) -> TokenOut:
    answer = TokenOut(
        access_token=granted.access_token, token_type="bearer", expires_in=ACCESS_TOKEN_SECONDS, scope=granted.scope
    )
    if granted.refresh_token is not None:
        answer.refresh_token = granted.refresh_token
    return answer


def _granted(granted: Tokens) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return JSONResponse(_token_answer(granted).model_dump(exclude_unset=True), headers=headers)


def _too_many(seconds: int) -> Response:
    body = {"error": "rate_limited", "error_description": "too many attempts"}
    return JSONResponse(body, 429, {"Cache-Control": "no-store", "Retry-After": str(seconds)})


def _refused(error: str, description: str, status: int = 400) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="holdfast"'
    return JSONResponse({"error": error, "error_description": description}, status, headers)
