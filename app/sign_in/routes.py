"""HTTP of signing in: access tokens, refresh tokens, and setting a password with a code."""

import base64
import binascii
from typing import Annotated
from urllib.parse import unquote_plus
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from app import clock
from app.access import attempts, store, tokens
from app.access.dependencies import DOOR_PARTS, TOKEN_KEY, GuardedRoute, origin_of
from app.access.door import prove
from app.access.models import Client, TokenOut
from app.access.tokens import Tokens, token_out
from app.api.parts import DATABASE
from app.api.problems import Responses, problems
from app.clients.service import secret_fits
from app.errors import InvalidToken
from app.people import passwords
from app.people import service as people
from app.sign_in import service
from app.sign_in.models import PasswordIn, TokenError
from app.sign_in.service import Attempt, Refusal
from app.storage import NO_CLINIC, Database

router = APIRouter(tags=["access"], route_class=GuardedRoute)


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


@router.post("/oauth/token", summary="Get an access token", response_model=TokenOut, responses=_TOKEN_ERRORS)
async def issue_token(
    request: Request,
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
        return await _password(request, username, password, otp)
    if grant_type == "refresh_token":
        return await _refresh(request, refresh_token)
    if grant_type == "client_credentials":
        basic = _basic(request.headers.get("authorization", ""))
        return await _client(request, *(basic or (client_id, client_secret)), scope)
    if not grant_type:
        return _refused("invalid_request", "grant_type is required, as application/x-www-form-urlencoded")
    return _refused("unsupported_grant_type", "one of password, refresh_token, client_credentials")


@router.post("/oauth/revoke", summary="Revoke a refresh token")
async def revoke_token(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """RFC 7009. Revokes a refresh token with its family; an unknown one is no error."""
    database = DATABASE.of(request)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    if clinic_id is not None:
        await database.write(clinic_id, lambda db: tokens.revoke(db, clinic_id, token, clock.now()))
    return Response(status_code=200)


@router.post(
    "/oauth/password", summary="Set a password with a code", status_code=204, responses=problems("invalid_token")
)
async def set_password(request: Request, body: PasswordIn) -> Response:
    """For a new person, and for one whose password was reset. The code works once; every session before it ends."""
    database, origin = DATABASE.of(request), origin_of(request)
    await attempts.count(database, "", origin.address)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.password_code_clinic(db, tokens.digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    password_hash, parts = await passwords.hashed(body.password), DOOR_PARTS.of(request)
    await prove(parts, clinic_id, lambda db: people.set_password(db, clinic_id, body.code, password_hash, origin))
    await attempts.forgive(database, "", origin.address)
    return Response(status_code=204)


async def _password(request: Request, email: str, password: str, otp: str) -> Response:
    database, key = DATABASE.of(request), TOKEN_KEY.of(request)
    name = email.strip().lower()
    name = name if name.isprintable() else ""
    attempt = Attempt(name, otp, origin_of(request))
    wait = await attempts.seconds_to_wait(database, name, attempt.origin.address)
    if wait is not None:
        return _too_many(wait)
    user = await database.read(NO_CLINIC, lambda db: store.user_by_email(db, name))
    fits = await passwords.fits(user.password_hash if user else None, password)
    if user is None:
        return _refused(service.NOT_RIGHT.error, service.NOT_RIGHT.description)
    parts = DOOR_PARTS.of(request)
    granted = await prove(parts, user.clinic_id, lambda db: service.sign_in(db, key, user, fits, attempt))
    return _refused(granted.error, granted.description) if isinstance(granted, Refusal) else _granted(granted)


async def _refresh(request: Request, token: str) -> Response:
    database, key = DATABASE.of(request), TOKEN_KEY.of(request)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    granted = None
    if clinic_id is not None:
        now = clock.now()
        granted = await database.write(clinic_id, lambda db: tokens.refresh(db, key, clinic_id, token, now))
    if granted is None:
        return _refused("invalid_grant", "the refresh token is unknown, expired, used or revoked")
    return _granted(granted)


async def _client(request: Request, client_id: str, secret: str, scope: str) -> Response:
    database, origin = DATABASE.of(request), origin_of(request)
    wait = await attempts.seconds_to_wait(database, client_id[:100], origin.address)
    if wait is not None:
        return _too_many(wait)
    client = await _client_named(database, client_id)
    fits = secret_fits(client, secret, origin.at)
    if client is None:
        return _refused("invalid_client", "the client or its secret is not right", 401)
    if fits:
        await attempts.forgive(database, client_id[:100], origin.address)
    granted = tokens.client_token(TOKEN_KEY.of(request), client, scope or None, origin.at) if fits else None
    await prove(DOOR_PARTS.of(request), client.clinic_id, lambda _: service.client_sign_in(client, granted, origin))
    if fits and granted is None:
        return _refused("invalid_scope", "the client may not have that scope")
    if granted is None:
        return _refused("invalid_client", "the client or its secret is not right", 401)
    return _granted(granted)


async def _client_named(database: Database, client_id: str) -> Client | None:
    try:
        identifier = UUID(client_id)
    except ValueError:
        return None
    return await database.read(NO_CLINIC, lambda db: store.client_by_id(db, identifier))


def _basic(header: str) -> tuple[str, str] | None:
    """The client id and secret from an HTTP Basic header (RFC 6749, 2.3.1); None if the header is not valid."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(name), unquote_plus(secret)


def _granted(granted: Tokens) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return JSONResponse(token_out(granted).model_dump(exclude_unset=True), headers=headers)


def _too_many(seconds: int) -> Response:
    body = {"error": "rate_limited", "error_description": "too many attempts"}
    return JSONResponse(body, 429, {"Cache-Control": "no-store", "Retry-After": str(seconds)})


def _refused(error: str, description: str, status: int = 400) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="holdfast"'
    return JSONResponse({"error": error, "error_description": description}, status, headers)
