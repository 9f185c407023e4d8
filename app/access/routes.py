"""HTTP of access: tokens, enrolment codes and who am I."""

import asyncio
import base64
import binascii
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from urllib.parse import unquote_plus
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from app import clock
from app.access import service, store, tokens
from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, showed
from app.access.models import ClinicOut, CrisisContact, DeviceTokenOut, MeOut, RedeemIn, TokenOut
from app.access.service import NOTICE
from app.access.tokens import ACCESS_TOKEN_SECONDS, Tokens
from app.api import paging
from app.api.fields import Answer
from app.api.paging import Cursor, Limit
from app.api.problems import Responses, problems
from app.audit import service as audit
from app.audit.models import AuditEventList
from app.errors import InvalidToken
from app.storage import NO_CLINIC

router = APIRouter(tags=["access"], route_class=GuardedRoute)
audit_router = APIRouter(tags=["audit"], route_class=GuardedRoute)

# Argon2 is slow on purpose and takes 64 MiB a time: two at once, and never on the event loop.
_slow = ThreadPoolExecutor(2, "holdfast-argon2")


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
        (400, "invalid_grant", "The request or grant was not accepted"),
        (401, "invalid_client", "The client was not recognised"),
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
    refresh_token: Annotated[str, Form()] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "",
) -> Response:
    """RFC 6749. `password` for people, `client_credentials` for integrations, `refresh_token` for people and devices.
    A refresh token rotates: keep the one that comes back."""
    key: str = request.app.state.key
    if grant_type == "password":
        return await _password(database, key, username, password)
    if grant_type == "refresh_token":
        return await _refresh(database, key, refresh_token)
    if grant_type == "client_credentials":
        basic = _basic(request.headers.get("authorization", ""))
        return await _client(database, key, *(basic or (client_id, client_secret)), scope)
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
    "/v1/enrolments/redeem",
    operation_id="redeem_enrolment",
    summary="Make this device a patient's own",
    response_model=DeviceTokenOut,
    responses=problems("invalid_token"),
)
async def redeem_enrolment(request: Request, database: DatabaseOf, body: RedeemIn) -> DeviceTokenOut:
    """Single use. The refresh token lives 400 days from its last use."""
    key: str = request.app.state.key
    clinic_id = await database.read(NO_CLINIC, lambda db: store.enrolment_clinic(db, tokens.digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    now, request_id = clock.now(), request.scope["request_id"]
    granted = await database.write(
        clinic_id, lambda db: service.redeem(db, key, body.code, body.device_name, request_id, now)
    )
    return DeviceTokenOut(**_token_answer(granted).model_dump(), patient_id=granted.patient_id)


@router.get(
    "/v1/me",
    operation_id="get_me",
    summary="Who am I, and in which clinic",
    response_model=MeOut,
    response_model_exclude_unset=True,
    responses=problems(),
)
async def get_me(caller: CallerOf) -> MeOut:
    """The caller, what it may do, and the clinic's name, zone, notice and crisis contacts."""
    clinic = caller.clinic
    answer = MeOut(
        kind=caller.kind,
        id=caller.id,
        role=caller.role,
        scopes=sorted(caller.scopes),
        clinic=ClinicOut(
            id=clinic.id,
            name=clinic.name,
            time_zone=clinic.time_zone,
            synthetic=clinic.synthetic,
            notice=NOTICE,
            crisis_contacts=[CrisisContact(**contact) for contact in clinic.crisis_contacts],
        ),
    )
    if caller.patient_id is not None:
        answer.patient_id = caller.patient_id
    return answer


@audit_router.get(
    "/v1/audit-events",
    operation_id="list_audit_events",
    summary="Who read or wrote whose data",
    response_model=AuditEventList,
    responses=problems("invalid_cursor"),
)
async def list_audit_events(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID | None = None,
    actor: UUID | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditEventList:
    """Newest first. One event per request, with the patients it showed."""
    after = paging.after(request, caller.name, cursor)
    found = await database.read(
        caller.clinic_id, lambda db: audit.events_of(db, caller.clinic_id, patient_id, actor, after, limit)
    )
    items, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda e: [e.at.isoformat(), str(e.id)]
    )
    await showed(request, act, [identifier for event in items for identifier in event.patient_ids])
    return AuditEventList(items=items, next_cursor=next_cursor)


async def _password(database: DatabaseOf, key: str, email: str, password: str) -> Response:
    name = email.strip().lower()
    name = name if name.isprintable() else ""
    user = await database.read(NO_CLINIC, lambda db: store.user_by_email(db, name))
    fits = await asyncio.get_running_loop().run_in_executor(_slow, service.password_fits, user, password)
    if not fits or user is None:
        return _refused("invalid_grant", "the e-mail or the password is not right")
    now = clock.now()
    return _granted(await database.write(user.clinic_id, lambda db: tokens.open_session(db, key, user, now)))


async def _refresh(database: DatabaseOf, key: str, token: str) -> Response:
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    granted = None
    if clinic_id is not None:
        now = clock.now()
        granted = await database.write(clinic_id, lambda db: tokens.refresh(db, key, clinic_id, token, now))
    if granted is None:
        return _refused("invalid_grant", "the refresh token is unknown, expired, used or revoked")
    return _granted(granted)


async def _client(database: DatabaseOf, key: str, client_id: str, secret: str, scope: str) -> Response:
    try:
        identifier = UUID(client_id)
    except ValueError:
        return _refused("invalid_client", "the client or its secret is not right", 401)
    client = await database.read(NO_CLINIC, lambda db: store.client_by_id(db, identifier))
    if not service.secret_fits(client, secret) or client is None:
        return _refused("invalid_client", "the client or its secret is not right", 401)
    granted = tokens.client_token(key, client, scope or None, clock.now())
    if granted is None:
        return _refused("invalid_scope", "the client may not have that scope")
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


def _refused(error: str, description: str, status: int = 400) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="holdfast"'
    return JSONResponse({"error": error, "error_description": description}, status, headers)
