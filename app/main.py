"""create_app(settings) builds the database, includes the routers and wires the parts together. Nothing else is here."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import work
from app.access.dependencies import DOOR_PARTS, TOKEN_KEY, bearer
from app.access.door import Audited, DoorParts
from app.access.outside import OutsideIssuer
from app.access.policies import OPEN_OPERATIONS
from app.access.service import CallerCache
from app.alert_list.routes import router as alert_list
from app.alerts.mailing import Mail
from app.alerts.routes import MAIL
from app.alerts.routes import router as alerts
from app.api import problems, schema
from app.api.documents import OPENAPI
from app.api.documents import router as documents
from app.api.encryption import Cipher
from app.api.limits import LIMITER, RateLimiter
from app.api.middleware import Envelope
from app.api.parts import CURSORS, DATABASE, PUBLIC_URL, SCHEMA_HEAD
from app.api.versions import Constant
from app.audit import recording
from app.audit_log.routes import router as audit_log
from app.catalogue.routes import router as catalogue
from app.checkins import service as checkins
from app.checkins.routes import RECORDING, batches
from app.checkins.routes import router as check_ins
from app.clients.routes import router as clients
from app.clinic.routes import router as clinic
from app.cohorts.routes import router as cohorts
from app.devices.routes import open_router as enrolments
from app.devices.routes import router as devices
from app.drawing import Renderer
from app.exchange.routes import router as exports
from app.migrating import head
from app.moves.routes import router as moves
from app.patients.routes import router as patients
from app.people.routes import me_router as me
from app.people.routes import router as people
from app.plans.routes import clinic_router as clinic_plans
from app.plans.routes import me_router as my_due
from app.plans.routes import router as plans
from app.privacy.routes import router as privacy
from app.relief_answers import service as relief_answers
from app.relief_answers.routes import RELIEF
from app.relief_answers.routes import router as relief
from app.sessions.routes import router as sessions
from app.settings import Settings
from app.sign_in.routes import router as sign_in
from app.storage import Database, Joined, derived_key
from app.trend.routes import RENDERER
from app.trend.routes import router as trend
from app.worklist.routes import router as worklist

_TAKEN_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"]
_GIVEN_HEADERS = [
    "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Replayed", "Retry-After",
    "X-Request-Id",
]  # fmt: skip

# Routes are matched in this order, so the most frequent ones come first.
_ROUTERS = (
    check_ins, batches, relief, trend, worklist, sign_in, enrolments, me, catalogue, patients, devices, sessions,
    cohorts, alert_list, alerts, moves, exports, plans, clinic_plans, my_due, clinic, people, clients, privacy,
    audit_log,
)  # fmt: skip

_TITLE = "Holdfast"
_DESCRIPTION = (
    "Records mood, anxiety and pain scores per ketamine infusion session and answers: is the relief still holding? "
    "Answers report measured scores against stated rules; they are no diagnosis, prediction or advice."
)


def create_app(settings: Settings) -> FastAPI:
    """The service on one database."""
    database = Database(settings.database_url, settings.secret)
    limiter = RateLimiter(settings.rate_limit)
    mail, renderer = mail_of(settings), Renderer()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs = [asyncio.create_task(work.run(database, mail))] if settings.background_jobs else []
        if not database.is_sqlite:  # SQLite serves with one process
            jobs.append(asyncio.create_task(limiter.share(database)))
        yield
        for job in jobs:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        await renderer.close()
        database.close()

    app = FastAPI(
        title=_TITLE,
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    _put_parts(app, settings, database, limiter, renderer)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
            allow_headers=_TAKEN_HEADERS,
            expose_headers=_GIVEN_HEADERS,
            max_age=600,
        )
    app.add_middleware(Envelope, is_https=settings.public_url.startswith("https:"))
    problems.install(app)
    app.include_router(documents)
    for router in _ROUTERS:
        app.include_router(router)
    app.openapi = lambda: schema.document(app, bearer, OPEN_OPERATIONS)  # type: ignore[method-assign]
    OPENAPI.put(app, cache(lambda: Constant(json.dumps(app.openapi()))))
    return app


def _put_parts(app: FastAPI, settings: Settings, database: Database, limiter: RateLimiter, renderer: Renderer) -> None:
    """Puts in what requests ask for."""
    key = derived_key(settings.secret, "access tokens").hex()
    outside = OutsideIssuer(settings.oidc_issuer, settings.oidc_audience) if settings.oidc_issuer else None
    events = Joined(database.write, recording.record_many)
    DOOR_PARTS.put(app, DoorParts(database, events, CallerCache(database, key, outside)))
    DATABASE.put(app, database)
    PUBLIC_URL.put(app, settings.public_url)
    TOKEN_KEY.put(app, key)
    CURSORS.put(app, Cipher(derived_key(settings.secret, "cursors")))
    LIMITER.put(app, limiter)
    MAIL.put(app, mail_of(settings))
    RECORDING.put(app, Audited(database.write, checkins.record_many))
    RELIEF.put(app, Audited(database.write_on_snapshot, relief_answers.relief_of_many))
    RENDERER.put(app, renderer)
    SCHEMA_HEAD.put(app, head())


def mail_of(settings: Settings) -> Mail | None:
    """The mail server in the settings; None if there is none."""
    url = settings.smtp_url.get_secret_value()
    return Mail(url, settings.public_url) if url else None
