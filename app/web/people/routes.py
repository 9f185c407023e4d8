"""Routes of people and integrations. What is secret is shown once."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf, PageOf
from app.access.door import Door
from app.access.policies import SCOPES
from app.clients import service as clients
from app.clients.models import ClientIn, ClientOut, ClientPatch, SecretRotation
from app.errors import Problem
from app.facts import Fact
from app.people import service as people
from app.people.models import UserIn, UserOut, UserPatch
from app.storage import Transaction
from app.web.forms import Form, body_of, form_of, version_of
from app.web.pages import PageRoute, page, see_other, shown_once, tried

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=PageRoute)


@router.get("/people", name="list_users")
async def people_page(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Everybody with a login."""
    return await _people(request, door, found)


@router.post("/people", name="create_user")
async def create_user(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Adds a person, and shows the code with which they set their password, once."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(UserIn, {"email": form.get("email", ""), "role": form.get("role")})
        made = (await door.do(lambda db: people.create(db, door.act, body))).value
        return shown_once(request, made.email, made.password_code.code, "/admin/people", is_password=True)

    return await tried(request, door, work, lambda problem: _people(request, door, found, problem, form))


@router.post("/people/{user_id}", name="update_user")
async def update_user(request: Request, door: DoorOf, found: PageOf, user_id: UUID) -> Response:
    """Changes a person's role, or disables them."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(UserPatch, {"role": form.get("role"), "disabled": form.get("disabled") == "yes"})
        await door.do(lambda db: people.update(db, door.act, user_id, version_of(form), body))
        return see_other("/admin/people")

    return await tried(request, door, work, lambda problem: _people(request, door, found, problem))


@router.post("/people/{user_id}/password-reset", name="reset_password")
async def reset_password(request: Request, door: DoorOf, user_id: UUID) -> Response:
    """Ends a person's password and sessions, and shows the code for a new one, once."""
    made = (await door.do(lambda db: people.reset_password(db, door.act, user_id))).value
    return shown_once(request, "", made.code, "/admin/people", is_password=True)


@router.post("/people/{user_id}/second-factor-removal", name="remove_second_factor")
async def remove_second_factor(door: DoorOf, user_id: UUID) -> Response:
    """Takes a person's second factor off, where they have lost it."""
    await door.do(lambda db: people.remove_second_factor(db, door.act, user_id))
    return see_other("/admin/people")


@router.get("/integrations", name="list_clients")
async def integrations_page(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Every integration with its scopes."""
    return await _integrations(request, door, found)


@router.post("/integrations", name="create_client")
async def create_client(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Adds an integration, and shows its secret once."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(ClientIn, {"name": form.get("name", ""), "scope": " ".join(form.every("scope"))})
        made = (await door.do(lambda db: clients.create(db, door.act, body))).value
        return shown_once(request, str(made.id), made.client_secret, "/admin/integrations")

    return await tried(request, door, work, lambda problem: _integrations(request, door, found, problem, form))


@router.post("/integrations/{client_id}", name="update_client")
async def update_client(request: Request, door: DoorOf, found: PageOf, client_id: UUID) -> Response:
    """Disables an integration, or lets it in again."""
    form = await form_of(request)

    async def work() -> Response:
        body = body_of(ClientPatch, {"disabled": form.get("disabled") == "yes"})
        await door.do(lambda db: clients.update(db, door.act, client_id, version_of(form), body))
        return see_other("/admin/integrations")

    return await tried(request, door, work, lambda problem: _integrations(request, door, found, problem))


@router.post("/integrations/{client_id}/secrets", name="rotate_client_secret")
async def rotate_client_secret(request: Request, door: DoorOf, client_id: UUID) -> Response:
    """Gives an integration a new secret, shown once. The one before works for a day more."""
    made = (await door.do(lambda db: clients.rotate(db, door.act, client_id, SecretRotation()))).value
    return shown_once(request, str(made.id), made.client_secret, "/admin/integrations")


async def _people(
    request: Request, door: Door, found: PageOf, problem: Problem | None = None, form: Form | None = None
) -> Response:
    def work(db: Transaction) -> Fact[list[UserOut]]:
        rows = people.listed(db, door.act.clinic_id, found.after, found.limit)
        return found.cut(rows, lambda user: [user.created_at.isoformat(), str(user.id)])

    users = (await door.read(work)).value
    return page(
        request, "admin_people.html", users=users, next_cursor=found.next_cursor, problem=problem, form=form or Form([])
    )


async def _integrations(
    request: Request, door: Door, found: PageOf, problem: Problem | None = None, form: Form | None = None
) -> Response:
    def work(db: Transaction) -> Fact[list[ClientOut]]:
        rows = clients.listed(db, door.act.clinic_id, found.after, found.limit)
        return found.cut(rows, lambda client: [client.created_at.isoformat(), str(client.id)])

    shown = (await door.read(work)).value
    return page(
        request, "admin_integrations.html", clients=shown, next_cursor=found.next_cursor, scopes=SCOPES,
        problem=problem, form=form or Form([]),
    )  # fmt: skip
