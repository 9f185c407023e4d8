"""HTTP of signing in: access tokens, refresh tokens, and setting a password with a code."""

import base64
import binascii
from typing import Annotated
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from app import clock
from app.access.dependencies import DOOR_PARTS, GuardedRoute, origin_of
from app.access.models import TokenOut
from app.access.tokens import token_out
from app.api.parts import DATABASE
from app.api.problems import Responses, only, problems
from app.sign_in import granting
from app.sign_in.granting import Granted
from app.sign_in.models import GRANT_TYPES, PasswordIn, RevocationRequest, TokenError, TokenRequest
from app.sign_in.service import Attempt, Refusal

router = APIRouter(tags=["access"], route_class=GuardedRoute)

_NO_GRANT_TYPE = Refusal("invalid_request", "grant_type is required, as application/x-www-form-urlencoded")
_NO_TOKEN = Refusal("invalid_request", "token is required, as application/x-www-form-urlencoded")
_REPEATED = Refusal("invalid_request", "a parameter may be sent only once")
_UNSUPPORTED = Refusal("unsupported_grant_type", f"one of {', '.join(GRANT_TYPES)}")
# What each grant cannot do without; an integration may name itself in a header instead.
_NEEDED = {"password": ("username", "password"), "refresh_token": ("refresh_token",)}
_STATUS = {"invalid_client": 401, "rate_limited": 429}

_ERRORS: Responses = {
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
_TOKEN_ERRORS: Responses = {**_ERRORS, **only("too_large", "headers_too_large", "internal", "busy")}
_REVOKED: Responses = {200: {"description": "It is revoked, or was never known", "content": {}}}
_NO_REVOCATION: Responses = {
    400: {
        "model": TokenError,
        "description": "No token was sent, or a parameter twice: nothing is revoked",
        "content": {
            "application/json": {"example": {"error": _NO_TOKEN.error, "error_description": _NO_TOKEN.description}}
        },
    }
}


@router.post("/oauth/token", summary="Get an access token", response_model=TokenOut, responses=_TOKEN_ERRORS)
async def issue_token(request: Request, form: Annotated[TokenRequest, Form()]) -> Response:
    """RFC 6749. `password` for people, `client_credentials` for integrations, `refresh_token` for people and devices.
    A refresh token rotates: keep the one that comes back. Where a second factor is on, `otp` goes with the password;
    without it the error is `mfa_required`."""
    if await _is_repeated(request):
        return _response(_REPEATED)
    parts, origin = DOOR_PARTS.of(request), origin_of(request)
    missing = [name for name in _NEEDED.get(form.grant_type, ()) if not getattr(form, name)]
    if missing:
        return _response(Refusal("invalid_request", f"{' and '.join(missing)} must be sent"))
    if form.grant_type == "password":
        name = form.username.strip().lower()
        attempt = Attempt(name if name.isprintable() else "", form.otp, origin)
        return _response(await granting.by_password(parts, attempt, form.password))
    if form.grant_type == "refresh_token":
        return _response(await granting.by_refresh_token(parts, form.refresh_token, origin))
    if form.grant_type == "client_credentials":
        named = _basic(request.headers.get("authorization", "")) or (form.client_id, form.client_secret)
        return _response(await granting.by_secret(parts, *named, form.scope, origin))
    return _response(_UNSUPPORTED if form.grant_type else _NO_GRANT_TYPE)


@router.post(
    "/oauth/revoke",
    summary="Revoke a refresh token",
    response_class=Response,
    responses={
        **_REVOKED,
        **_NO_REVOCATION,
        **only("too_large", "rate_limited", "headers_too_large", "internal", "busy"),
    },
)
async def revoke_token(request: Request, form: Annotated[RevocationRequest, Form()]) -> Response:
    """RFC 7009. Revokes a refresh token with its family; an unknown one is no error."""
    if await _is_repeated(request):
        return _response(_REPEATED)
    if not form.token:
        return _response(_NO_TOKEN)
    await granting.ended(DATABASE.of(request), form.token, clock.now())
    return Response(status_code=200)


@router.post(
    "/oauth/password", summary="Set a password with a code", status_code=204, responses=problems("invalid_token")
)
async def set_password(request: Request, body: PasswordIn) -> Response:
    """For a new person, and for one whose password was reset. The code works once; every session before it ends."""
    await granting.password_set(DOOR_PARTS.of(request), body.code, body.password, origin_of(request))
    return Response(status_code=204)


async def _is_repeated(request: Request) -> bool:
    """Whether the form has a parameter twice (RFC 6749, 3.2). Which of them is meant nobody can tell."""
    form = await request.form()
    return len(form.multi_items()) != len(form)


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


def _response(granted: Granted) -> Response:
    headers = {"Cache-Control": "no-store"}
    if not isinstance(granted, Refusal):
        return JSONResponse(token_out(granted).model_dump(exclude_unset=True), headers=headers | {"Pragma": "no-cache"})
    status = _STATUS.get(granted.error, 400)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="holdfast"'
    if granted.retry_after is not None:
        headers["Retry-After"] = str(granted.retry_after)
    return JSONResponse({"error": granted.error, "error_description": granted.description}, status, headers)
