"""create_app(settings): builds the engine and mounts the rooms. Nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import work
from app.access.dependencies import Honoured, bearer
from app.access.managing import audit_router, clients_router, users_router
from app.access.my import router as mine
from app.access.outside import OutsideIssuer
from app.access.policies import OPEN_OPERATIONS
from app.access.routes import router as access
from app.alerts.mailing import Mail
from app.alerts.routes import router as alerts
from app.api import problems, schema
from app.api.documents import router as documents
from app.api.limits import RateLimiter
from app.api.middleware import Envelope
from app.api.sealing import Sealer
from app.audit import service as audit
from app.catalogue.routes import router as catalogue
from app.checkins import service as checkins
from app.checkins.routes import batches
from app.checkins.routes import router as check_ins
from app.clinic.routes import router as clinic
from app.cohorts.routes import router as cohorts
from app.drawing import Renderer
from app.exchange.routes import router as exports
from app.migrating import head
from app.outcomes import service as relief
from app.outcomes.routes import router as outcomes
from app.outcomes.routes import worklists
from app.patients.routes import router as patients
from app.plans.routes import clinic_router as clinic_plans
from app.plans.routes import my_router as my_due
from app.plans.routes import router as plans
from app.privacy.routes import router as privacy
from app.sessions.routes import router as sessions
from app.settings import Settings
from app.storage import Database, Joined, derived_key

_TAKEN_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"]
_GIVEN_HEADERS = [
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Replayed",
    "Retry-After",
    "X-Request-Id",
]

_TITLE = "Holdfast"
_DESCRIPTION = (
    "Records mood, anxiety and pain scores per ketamine infusion session and answers: is the relief still holding? "
    "Answers report measured scores against stated rules; they are no diagnosis, prediction or advice."
)


def create_app(settings: Settings) -> FastAPI:
    """The service on one database. Its parts hang on `app.state`."""
    database = Database(settings.database_url, settings.secret)
    limiter = RateLimiter(settings.rate_limit)
    mail = mail_of(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs = [asyncio.create_task(work.run(database, mail))] if settings.background_jobs else []
        if not database.is_sqlite:  # which serves with one process
            jobs.append(asyncio.create_task(limiter.share(database)))
        yield
        for job in jobs:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        await app.state.renderer.close()
        database.close()

    app = FastAPI(
        title=_TITLE,
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.database = database
    app.state.public_url = settings.public_url
    app.state.key = derived_key(settings.secret, "access tokens").hex()
    app.state.cursors = Sealer(derived_key(settings.secret, "cursors"))
    outside = OutsideIssuer(settings.oidc_issuer, settings.oidc_audience) if settings.oidc_issuer else None
    app.state.honoured = Honoured(database, app.state.key, outside)
    app.state.limiter = limiter
    app.state.mail = mail
    app.state.recording = Joined(database.write, checkins.record_many)
    app.state.reads = Joined(database.write, audit.record_many)
    app.state.reliefs = Joined(database.write_on_snapshot, relief.show_many)
    app.state.renderer = Renderer()
    app.state.schema_head = head()
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
    # Routes are tried in this order: what is asked for most often comes first.
    for router in (
        check_ins,
        batches,
        outcomes,
        worklists,
        access,
        mine,
        catalogue,
        patients,
        sessions,
        cohorts,
        alerts,
        exports,
        plans,
        clinic_plans,
        my_due,
        clinic,
        users_router,
        clients_router,
        privacy,
        audit_router,
    ):
        app.include_router(router)
    app.openapi = lambda: schema.document(app, bearer, OPEN_OPERATIONS)  # type: ignore[method-assign]
    return app


def mail_of(settings: Settings) -> Mail | None:
    """The mail server that the settings name."""
    url = settings.smtp_url.get_secret_value()
    return Mail(url, settings.public_url) if url else None
