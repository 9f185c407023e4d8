"""Integrations: adding them, changing them and rotating their secrets."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import MISSING

from app.access import store
from app.access.models import Client
from app.access.policies import SCOPES, why_scopes_clash
from app.access.tokens import digest
from app.audit.service import Act
from app.clients.models import ClientCreated, ClientIn, ClientOut, ClientPatch, SecretRotation
from app.errors import Fault, Invalid, NotFound
from app.facts import Fact, require_version
from app.storage import Transaction, new_id


def add_client(db: Transaction, clinic_id: UUID, name: str, scope: str, now: datetime) -> tuple[UUID, str]:
    """Adds an integration, for the operator. Returns its id and its secret. Raises Invalid for an unknown scope."""
    unknown = [word for word in scope.split() if word not in SCOPES]
    if unknown or not scope.split():
        raise Invalid(errors=[Fault("parameter", "scope", "must be scopes from: " + " ".join(SCOPES))])
    _check_scopes(scope, Fault("parameter", "scope", ""))
    if store.clinic(db, clinic_id) is None:
        raise NotFound("there is no such clinic")
    client, secret = _add(db, clinic_id, name, " ".join(dict.fromkeys(scope.split())), now)
    return client.id, secret


def create(db: Transaction, act: Act, body: ClientIn) -> Fact[ClientCreated]:
    """Adds an integration and returns it with its secret."""
    _check_scopes(body.scope, Fault("pointer", "/scope", ""))
    client, secret = _add(db, act.clinic_id, body.name, body.scope, act.at)
    return _with_secret(client, secret)


def update(db: Transaction, act: Act, client_id: UUID, expected: int | None, patch: ClientPatch) -> Fact[ClientOut]:
    """Changes an integration and returns it. Raises NotFound, PreconditionFailed."""
    client = _locked(db, act.clinic_id, client_id)
    require_version(expected, client.version)
    if patch.scope is not MISSING:
        _check_scopes(patch.scope, Fault("pointer", "/scope", ""))
    before = client_out(client)
    client.name = client.name if patch.name is MISSING else patch.name
    client.scope = client.scope if patch.scope is MISSING else patch.scope
    if patch.disabled is not MISSING:
        client.disabled_at = (client.disabled_at or act.at) if patch.disabled else None
    if client_out(client) != before:
        client.version += 1
    db.add(client)
    db.flush()
    return Fact(client_out(client), version=client.version, changes_callers=True)


def _check_scopes(scope: str, where: Fault) -> None:
    """Raises Invalid for scopes that no client may hold together."""
    why = why_scopes_clash(scope.split())
    if why is not None:
        raise Invalid(errors=[replace(where, detail=why)])


def rotate(db: Transaction, act: Act, client_id: UUID, body: SecretRotation) -> Fact[ClientCreated]:
    """Gives the integration a new secret. The previous one works for `overlap_hours` more; older ones work until the
    time that they were given before. If the overlap is 0, all previous secrets end now. Raises NotFound."""
    client, secret = _locked(db, act.clinic_id, client_id), secrets.token_urlsafe(32)
    now, until = act.at.timestamp(), (act.at + timedelta(hours=body.overlap_hours)).timestamp()
    overlapping = [(held, expires) for held, expires in client.previous_secrets if expires > now]
    client.previous_secrets = [*overlapping, (client.secret_hash, until)] if body.overlap_hours else []
    client.secret_hash = digest(secret)
    client.version += 1
    db.add(client)
    return _with_secret(client, secret)


def one(db: Transaction, clinic_id: UUID, client_id: UUID) -> Fact[ClientOut]:
    """An integration of this clinic. Raises NotFound."""
    client = store.client(db, clinic_id, client_id)
    if client is None:
        raise NotFound
    return Fact(client_out(client), version=client.version)


def _locked(db: Transaction, clinic_id: UUID, client_id: UUID) -> Client:
    """An integration of this clinic, locked until the transaction ends. Raises NotFound."""
    client = store.client(db, clinic_id, client_id, locked=True)
    if client is None:
        raise NotFound
    return client


def listed(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> list[ClientOut]:
    """One page, newest first. Returns one item more than `limit` if there are more."""
    return [client_out(client) for client in store.clients(db, clinic_id, after, limit)]


def secret_fits(client: Client | None, secret: str, now: datetime) -> bool:
    """Whether the secret is one of the client's. Secrets are random, so a plain hash is enough."""
    given = digest(secret)
    previous = client.previous_secrets if client else []
    held = [client.secret_hash if client else digest("")]
    held += [before for before, expires in previous if expires > now.timestamp()]
    fits = [secrets.compare_digest(one, given) for one in held]
    return any(fits) and client is not None and client.disabled_at is None


def client_out(client: Client) -> ClientOut:
    """The response body of an integration."""
    return ClientOut(
        id=client.id,
        name=client.name,
        scope=client.scope,
        disabled=client.disabled_at is not None,
        previous_secret_expires_at=max((_moment(e) for _, e in client.previous_secrets), default=None),
        created_at=client.created_at,
        version=client.version,
    )


def _with_secret(client: Client, secret: str) -> Fact[ClientCreated]:
    value = ClientCreated(**client_out(client).model_dump(), client_secret=secret)
    return Fact(value, version=client.version, is_new=True, is_secret=True)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _add(db: Transaction, clinic_id: UUID, name: str, scope: str, now: datetime) -> tuple[Client, str]:
    secret = secrets.token_urlsafe(32)
    client = Client(
        clinic_id=clinic_id,
        id=new_id(),
        name=name,
        scope=scope,
        secret_hash=digest(secret),
        created_at=now,
        disabled_at=None,
    )
    db.add(client)
    db.flush()
    return client, secret
