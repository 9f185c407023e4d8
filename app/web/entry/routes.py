"""Routes of signing in and out."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app import clock
from app.access import attempts, store, tokens
from app.access.cookies import PERSON
from app.access.dependencies import DOOR_PARTS, origin_of
from app.access.door import prove
from app.access.outside import OutsideIssuer
from app.access.tokens import Tokens
from app.api.encryption import Cipher
from app.api.parts import DATABASE, PUBLIC_URL, Part
from app.errors import Invalid, InvalidToken, NotFound
from app.people import service as people
from app.sign_in import granting
from app.sign_in.models import PasswordIn
from app.sign_in.service import NEEDS_CODE, Attempt, Refusal
from app.speech.languages import LANGUAGES
from app.storage import NO_CLINIC
from app.web.forms import body_of, form_of
from app.web.pages import PageRoute, is_of_here, keep, keep_language, page, see_other, sign_off

# The issuer at which people may sign in, where one is set.
OUTSIDE: Part[OutsideIssuer | None] = Part("outside")
_OUTSIDE, _OUTSIDE_SECONDS = "holdfast-outside", 600


class ReturningRoute(PageRoute):
    """The route to which the issuer leads back: it may add parameters (RFC 9207 `iss`, `session_state`)."""

    takes_any_query = True


returning = APIRouter(include_in_schema=False, route_class=ReturningRoute)
router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/sign-in")
async def sign_in_page(request: Request, next_path: str = Query("/", alias="next", max_length=2_000)) -> Response:
    """The form with which people sign in."""
    return _sign_in_form(request, 200, next_path=next_path)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Signs a person in with their password and, where a second factor is on, a code of it or a recovery code."""
    form, raw = await form_of(request), await request.form()
    email, password = form.get("email", "").lower(), str(raw.get("password", ""))
    next_path = form.get("next", "/")
    attempt = Attempt(email if email.isprintable() else "", form.get("otp", ""), origin_of(request), in_browser=True)
    granted = await granting.by_password(DOOR_PARTS.of(request), attempt, password)
    if isinstance(granted, Tokens):
        response = see_other(next_path if is_of_here(next_path) else "/")
        keep(response, request, granted, PERSON)
        return response
    status = 429 if granted.retry_after is not None else 200 if granted == NEEDS_CODE else 403
    headers = {"Retry-After": str(granted.retry_after)} if granted.retry_after is not None else {}
    needs_code = granted == NEEDS_CODE or bool(attempt.otp)
    refusal = None if granted == NEEDS_CODE else granted
    response = _sign_in_form(request, status, next_path=next_path, email=email, needs_code=needs_code, refusal=refusal)
    response.headers.update(headers)
    return response


@router.get("/sign-in/outside", name="sign_in_outside")
async def sign_in_outside(request: Request, next_path: str = Query("/", alias="next", max_length=2_000)) -> Response:
    """Leads to the outside issuer, to sign in there. What must come back with the answer is kept in a cookie."""
    issuer = OUTSIDE.of(request)
    if issuer is None or not issuer.takes_people:
        raise NotFound
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    try:
        address = await issuer.address_of_sign_in(_returning(request), state, nonce, challenge)
    except InvalidToken:  # the issuer does not answer
        return _sign_in_form(request, 503, next_path=next_path, failed_outside=True)
    response = see_other(address)
    until = clock.now().timestamp() + _OUTSIDE_SECONDS
    kept = {"state": state, "nonce": nonce, "verifier": verifier, "next": next_path, "until": until}
    response.set_cookie(
        _OUTSIDE, _outside_cipher(request).encrypt(kept), _OUTSIDE_SECONDS, path="/sign-in/outside", httponly=True,
        samesite="lax", secure=PUBLIC_URL.of(request).startswith("https:"),
    )  # fmt: skip
    return response


@returning.get("/sign-in/outside/return", name="return_from_outside")
async def return_from_outside(
    request: Request,
    code: Annotated[str, Query(max_length=4_000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Signs in whom the outside issuer vouches for, if it is this browser that was led there."""
    issuer, kept = OUTSIDE.of(request), _outside_cipher(request).decrypt(request.cookies.get(_OUTSIDE, ""))
    if issuer is None or not isinstance(kept, dict) or kept["until"] < clock.now().timestamp():
        return see_other("/sign-in")
    if code and secrets.compare_digest(state, kept["state"]):
        with suppress(InvalidToken):
            person = await issuer.redeemed(code, _returning(request), kept["nonce"], kept["verifier"])
            granted = await granting.by_outside_issuer(DOOR_PARTS.of(request), person, origin_of(request))
            if isinstance(granted, Tokens):
                response = see_other(kept["next"] if is_of_here(kept["next"]) else "/")
                response.delete_cookie(_OUTSIDE, path="/sign-in/outside")
                keep(response, request, granted, PERSON)
                return response
    return _sign_in_form(request, 403, next_path=kept["next"], failed_outside=True)


@router.get("/sign-in/link/{code}")
async def follow_sign_in_link(request: Request, code: str) -> Response:
    """Signs in to a synthetic clinic by a link that works once."""
    database, origin = DATABASE.of(request), origin_of(request)
    await attempts.count(database, "", origin.address)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.password_code_clinic(db, tokens.digest(code)))
    if clinic_id is None:
        return see_other("/sign-in")
    try:
        granted = await prove(
            DOOR_PARTS.of(request), clinic_id, lambda db: people.sign_in_to_synthetic(db, clinic_id, code, origin)
        )
    except InvalidToken:
        return see_other("/sign-in")
    await attempts.forgive(database, "", origin.address)
    response = see_other("/")
    keep(response, request, granted, PERSON)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Ends this browser's session."""
    response = see_other("/sign-in")
    await sign_off(response, request, PERSON)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/language")
async def choose_language(request: Request) -> Response:
    """Keeps the language that somebody chose for the pages."""
    form = await form_of(request)
    response = see_other(form.get("next", "/") if is_of_here(form.get("next", "/")) else "/")
    if form.get("language") in LANGUAGES:
        keep_language(response, form["language"])
    return response


@router.get("/password")
async def password_page(request: Request) -> Response:
    """The form with which a person sets a password by the code they were given."""
    return page(request, "password.html", problem=None)


@router.post("/password")
async def set_password_by_form(request: Request) -> Response:
    """Sets a password by a code that works once."""
    sent = await request.form()
    try:
        body = body_of(PasswordIn, {"code": str(sent.get("code", "")).strip(), "password": str(sent.get("password"))})
        await granting.password_set(DOOR_PARTS.of(request), body.code, body.password, origin_of(request))
    except (Invalid, InvalidToken) as problem:
        return page(request, "password.html", 422, problem=problem)
    return see_other("/sign-in")


def _sign_in_form(
    request: Request,
    status: int,
    *,
    next_path: str = "/",
    email: str = "",
    needs_code: bool = False,
    refusal: Refusal | None = None,
    failed_outside: bool = False,
) -> Response:
    issuer = OUTSIDE.of(request)
    return page(
        request,
        "sign_in.html",
        status,
        next=next_path,
        email=email,
        needs_code=needs_code,
        refusal=refusal,
        failed_outside=failed_outside,
        has_outside=issuer is not None and issuer.takes_people,
    )


def _returning(request: Request) -> str:
    return f"{PUBLIC_URL.of(request).rstrip('/')}/sign-in/outside/return"


def _outside_cipher(request: Request) -> Cipher:
    return Cipher(DATABASE.of(request).keyring.keys("outside sign-in"))
