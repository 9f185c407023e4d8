"""HTTP of a caller's own: who am I, my password, my second factor."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.access import people, proving
from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, keep
from app.access.faces import (
    CrisisContact,
    MeOut,
    MyClinicOut,
    PasswordChange,
    SecondFactorConfirm,
    SecondFactorConfirmed,
    SecondFactorOut,
    SecondFactorStart,
)
from app.access.service import NOTICE
from app.api.idempotency import IdempotencyKey
from app.api.problems import problems

router = APIRouter(tags=["access"], route_class=GuardedRoute)


@router.get(
    "/v1/me",
    operation_id="get_me",
    summary="Who am I, and in which clinic",
    response_model=MeOut,
    response_model_exclude_unset=True,
    responses=problems(),
)
async def get_me(caller: CallerOf, database: DatabaseOf) -> MeOut:
    """The caller, what it may do, and the clinic's name, zone, notice and crisis contacts."""
    clinic = caller.clinic
    answer = MeOut(
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
        answer.patient_id = caller.patient_id
    if caller.kind == "user":
        user = await database.read(caller.clinic_id, lambda db: people.one(db, caller.clinic_id, caller.id))
        answer.second_factor = "on" if user.otp_confirmed_at else "required" if caller.is_unfinished else "off"
    return answer


@router.post(
    "/v1/me/password",
    operation_id="change_password",
    summary="Change my password",
    status_code=204,
    responses=problems(),
)
async def change_password(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, body: PasswordChange
) -> Response:
    """Ends every session of mine: get a token anew."""
    async with proving.attempt(database, act):
        checked = await proving.checked_hash(database, act, body.current_password, "/current_password")
        password_hash = await proving.hashed(body.password)
        await database.write(
            caller.clinic_id, lambda db: people.change_password(db, caller, act, checked, password_hash)
        )
    request.app.state.honoured.forget()
    return Response(status_code=204)


@router.post(
    "/v1/me/second-factor",
    operation_id="start_second_factor",
    summary="Begin to set up my second factor",
    status_code=201,
    response_model=SecondFactorOut,
    responses=problems("already_done", "request_in_progress"),
)
async def start_second_factor(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    body: SecondFactorStart,
    key: IdempotencyKey = None,
) -> Response:
    """Add the secret to an authenticator, then confirm with a code. One that is on counts until then."""
    async with proving.attempt(database, act):
        checked = await proving.checked_hash(database, act, body.password, "/password")
        return await keep(
            request, caller, act, key, lambda db: people.start_second_factor(db, caller, act, checked, body.otp or "")
        )


@router.post(
    "/v1/me/second-factor/confirmation",
    operation_id="confirm_second_factor",
    summary="Turn my second factor on",
    response_model=SecondFactorConfirmed,
    responses=problems("already_done", "request_in_progress"),
)
async def confirm_second_factor(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    body: SecondFactorConfirm,
    key: IdempotencyKey = None,
) -> Response:
    """With a code of the authenticator. From now on each login needs one. Recovery codes and the tokens to go on with
    are shown once; sessions before this one cannot be refreshed any more."""
    signing: str = request.app.state.key
    async with proving.attempt(database, act):
        answer = await keep(
            request, caller, act, key, lambda db: people.confirm_second_factor(db, signing, caller, act, body.otp)
        )
    request.app.state.honoured.forget()
    return answer
