"""HTTP of people: those of a clinic, and a caller's own password and second factor."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access import attempts
from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.parts import DATABASE
from app.api.problems import problems
from app.api.rendering import Rendered, as_json, created, no_content
from app.api.versions import IfMatch, expected_version, tagged
from app.facts import Fact
from app.people import passwords, service
from app.people.models import (
    MeOut,
    PasswordChange,
    PasswordCodeOut,
    SecondFactorConfirm,
    SecondFactorConfirmed,
    SecondFactorOut,
    SecondFactorStart,
    UserCreated,
    UserIn,
    UserList,
    UserOut,
    UserPatch,
)

router = APIRouter(prefix="/v1/users", tags=["access"], route_class=GuardedRoute)
me_router = APIRouter(prefix="/v1/me", tags=["access"], route_class=GuardedRoute)


@router.post(
    "",
    summary="Add a person",
    status_code=201,
    response_model=UserCreated,
    responses=problems("email_taken", "already_done"),
)
async def create_user(door: DoorOf, body: UserIn, keyed: KeyOf) -> Response:
    """They set their own password with the code, which is shown once and valid for 72 hours."""
    return (await door.write(lambda db: service.create(db, door.act, body), _created, keyed)).response()


@router.get("", summary="List people", responses=problems("invalid_cursor"))
async def list_users(door: DoorOf, page: PageOf) -> UserList:
    """Newest first, disabled ones too."""
    found = await door.read(
        lambda db: page.cut(service.listed(db, door.act.clinic_id, page.after, page.limit), _position)
    )
    return UserList(items=found.value, next_cursor=page.next_cursor)


@router.get("/{user_id}", summary="One person", responses=problems("not_found"))
async def get_user(response: Response, door: DoorOf, user_id: UUID) -> UserOut:
    """With the ETag that a change must name."""
    return tagged(response, await door.read(lambda db: service.one(db, door.act.clinic_id, user_id)))


@router.patch(
    "/{user_id}",
    summary="Change a person's role, or disable them",
    response_model=UserOut,
    responses=problems("not_found", "precondition_failed", "precondition_required", "last_administrator"),
)
async def update_user(door: DoorOf, user_id: UUID, body: UserPatch, if_match: IfMatch = None) -> Response:
    """A disabled person's sessions end: they are refused everywhere within 30 seconds."""
    expected = expected_version(if_match)
    return (await door.write(lambda db: service.update(db, door.act, user_id, expected, body), as_json)).response()


@router.post(
    "/{user_id}/password-reset",
    summary="Reset a person's password",
    status_code=201,
    response_model=PasswordCodeOut,
    responses=problems("not_found", "already_done"),
)
async def reset_password(door: DoorOf, user_id: UUID, keyed: KeyOf) -> Response:
    """The password and every session of theirs end now. The code to set a new one is shown once; hand it over in
    person or by a way you trust."""
    return (await door.write(lambda db: service.reset_password(db, door.act, user_id), created, keyed)).response()


@router.delete(
    "/{user_id}/second-factor",
    summary="Take a person's second factor off",
    status_code=204,
    responses=problems("not_found"),
)
async def remove_second_factor(door: DoorOf, user_id: UUID) -> Response:
    """For one who lost it and their recovery codes. Where the clinic requires one, they must set up another first."""
    return (await door.write(lambda db: service.remove_second_factor(db, door.act, user_id), no_content)).response()


@me_router.get("", summary="Who am I, and in which clinic", response_model_exclude_unset=True, responses=problems())
async def get_me(door: DoorOf) -> MeOut:
    """The caller, what it may do, and the clinic's name, zone, notice and crisis contacts."""
    return (await door.read(lambda db: service.me(db, door.caller))).value


@me_router.post("/password", summary="Change my password", status_code=204, responses=problems())
async def change_password(request: Request, door: DoorOf, body: PasswordChange) -> Response:
    """Ends every session of mine: get a token anew."""
    database = DATABASE.of(request)
    async with attempts.counted(database, door):
        checked = await passwords.checked_hash(database, door.act, body.current_password, "/current_password")
        new = await passwords.hashed(body.password)
        done = await door.write(lambda db: service.change_password(db, door.caller, door.act, checked, new), no_content)
    return done.response()


@me_router.post("/sign-out", summary="Sign me out everywhere", status_code=204, responses=problems())
async def sign_out_everywhere(door: DoorOf) -> Response:
    """Ends every session of mine, this one too. Access tokens are refused everywhere within 30 seconds."""
    return (await door.write(lambda db: service.sign_out_everywhere(db, door.caller), no_content)).response()


@me_router.post(
    "/second-factor",
    summary="Begin to set up my second factor",
    status_code=201,
    response_model=SecondFactorOut,
    responses=problems("already_done"),
)
async def start_second_factor(request: Request, door: DoorOf, body: SecondFactorStart, keyed: KeyOf) -> Response:
    """Add the secret to an authenticator, then confirm with a code. One that is on counts until then."""
    database = DATABASE.of(request)
    async with attempts.counted(database, door):
        checked = await passwords.checked_hash(database, door.act, body.password, "/password")
        done = await door.write(
            lambda db: service.start_second_factor(db, door.caller, door.act, checked, body.otp or ""), created, keyed
        )
    return done.response()


@me_router.post(
    "/second-factor/confirmation",
    summary="Turn my second factor on",
    response_model=SecondFactorConfirmed,
    responses=problems("already_done"),
)
async def confirm_second_factor(request: Request, door: DoorOf, body: SecondFactorConfirm, keyed: KeyOf) -> Response:
    """With a code of the authenticator. From now on each login needs one. Recovery codes and the tokens to go on with
    are shown once; sessions before this one cannot be refreshed any more."""
    async with attempts.counted(DATABASE.of(request), door):
        done = await door.write(
            lambda db: service.confirm_second_factor(db, door.caller, door.act, body.otp), as_json, keyed
        )
    return done.response()


def _position(user: UserOut) -> list[object]:
    return [user.created_at.isoformat(), str(user.id)]


def _created(fact: Fact[UserCreated]) -> Rendered:
    return created(fact, f"/v1/users/{fact.value.id}")
