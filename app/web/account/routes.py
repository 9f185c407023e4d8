"""Routes of one's own account."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from app.access import attempts
from app.access.cookies import PERSON
from app.access.dependencies import DoorOf
from app.access.door import Door
from app.access.tokens import Tokens
from app.api.parts import DATABASE
from app.errors import Problem
from app.people import passwords
from app.people import service as people
from app.people.models import PasswordChange, SecondFactorConfirm, SecondFactorStart
from app.web.codes import qr
from app.web.forms import body_of, form_of
from app.web.pages import PageRoute, forget, page, see_other, tried

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/account", name="get_me")
async def account_page(request: Request, door: DoorOf) -> Response:
    """Who is signed in, and how they keep others out."""
    return await _account(request, door)


@router.post("/account/password", name="change_password")
async def change_password_by_form(request: Request, door: DoorOf) -> Response:
    """Changes the password, and signs out everywhere."""
    sent, database = await request.form(), DATABASE.of(request)
    given = {name: str(sent.get(name, "")) for name in ("current_password", "password")}

    async def work() -> Response:
        body = body_of(PasswordChange, given)
        async with attempts.counted(database, door):
            checked = await passwords.checked_hash(database, door.act, body.current_password, "/current_password")
            new = await passwords.hashed(body.password)
            await door.do(lambda db: people.change_password(db, door.caller, door.act, checked, new))
        response = see_other("/sign-in")
        forget(response, request, PERSON)
        return response

    again = lambda problem: _account(request, door, _as_wrong(problem, "/current_password"))  # noqa: E731
    return await tried(request, door, work, again)


@router.post("/account/sign-out-everywhere", name="sign_out_everywhere")
async def sign_out_everywhere_by_form(request: Request, door: DoorOf) -> Response:
    """Ends every session of the person, in this browser and in others."""
    await door.do(lambda db: people.sign_out_everywhere(db, door.caller))
    response = see_other("/sign-in")
    forget(response, request, PERSON)
    return response


@router.get("/account/second-factor", name="get_me")
async def second_factor_page(request: Request, door: DoorOf) -> Response:
    """The form with which a person begins to set up a second factor."""
    return await _factor(request, door)


@router.post("/account/second-factor", name="start_second_factor")
async def start_second_factor_by_form(request: Request, door: DoorOf) -> Response:
    """Makes a secret for the authenticator, shown once, also as a QR code."""
    form, sent, database = await form_of(request), await request.form(), DATABASE.of(request)

    async def work() -> Response:
        body = body_of(SecondFactorStart, {"password": str(sent.get("password", "")), "otp": form.get("otp")})
        async with attempts.counted(database, door):
            checked = await passwords.checked_hash(database, door.act, body.password, "/password")
            done = await door.do(
                lambda db: people.start_second_factor(db, door.caller, door.act, checked, body.otp or "")
            )
        return _factor_page(request, begun=done.value, picture=qr(done.value.uri))

    return await tried(request, door, work, lambda problem: _factor(request, door, _as_wrong(problem, "/password")))


@router.post("/account/second-factor/confirmation", name="confirm_second_factor")
async def confirm_second_factor_by_form(request: Request, door: DoorOf) -> Response:
    """Turns the second factor on, and shows the recovery codes once."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(SecondFactorConfirm, {"otp": form.get("otp", "")})
        async with attempts.counted(DATABASE.of(request), door):
            done = await door.do(
                lambda db: people.confirm_second_factor(db, door.caller, door.act, body.otp, in_browser=True)
            )
        value = done.value
        request.state.granted = Tokens(value.access_token, value.refresh_token, value.scope)
        return _factor_page(request, codes=value.recovery_codes)

    return await tried(request, door, work, lambda problem: _factor(request, door, problem, is_begun=True))


def _as_wrong(problem: Problem, name: str) -> Problem:
    """The refusal of a form in which today's password is `name`: one that can be no password is a wrong one."""
    problem.errors = tuple(
        replace(fault, detail="must be your password") if fault.name == name else fault for fault in problem.errors
    )
    return problem


async def _account(request: Request, door: Door, problem: Problem | None = None) -> Response:
    found = await door.read(lambda db: people.me(db, door.caller))
    return page(request, "account.html", me=found.value, problem=problem)


async def _factor(request: Request, door: Door, problem: Problem | None = None, *, is_begun: bool = False) -> Response:
    found = await door.read(lambda db: people.me(db, door.caller))
    return _factor_page(request, me=found.value, problem=problem, is_begun=is_begun)


def _factor_page(request: Request, **values: Any) -> Response:
    """The page of the second factor, at one of its steps: `values` are what that step shows."""
    nothing = {"me": None, "begun": None, "picture": None, "codes": None, "problem": None, "is_begun": False}
    return page(request, "second_factor.html", **{**nothing, **values})
