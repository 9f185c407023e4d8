"""create_app(settings) builds the database, includes the routers and wires the parts together. Nothing else is here."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import work
from app.access.dependencies import DOOR_PARTS
from app.access.door import Audited, DoorParts
from app.access.outside import OutsideIssuer
from app.access.policies import OPEN_OPERATIONS, PERMISSIONS, SCOPES
from app.access.service import CallerCache
from app.alert_list.routes import router as alert_list
from app.alerts.mailing import Mail
from app.alerts.routes import MAIL
from app.alerts.routes import router as alerts
from app.api import problems, schema
from app.api.connections import BOUNDS, Bounds
from app.api.documents import OPENAPI
from app.api.documents import router as documents
from app.api.documents import service as about_the_service
from app.api.fields import WITH_RULE
from app.api.limits import LIMITER, RateLimiter
from app.api.middleware import Envelope
from app.api.parts import DATABASE, PUBLIC_URL, SCHEMA_HEAD
from app.api.plain import PlainRequests
from app.api.versions import Constant
from app.audit import recording
from app.audit_log.routes import router as audit_log
from app.catalogue.routes import router as catalogue
from app.changes.routes import router as changes
from app.checkins import service as checkins
from app.checkins.routes import PLAIN as PLAIN_CHECK_INS
from app.checkins.routes import RECORDING, batches
from app.checkins.routes import router as check_ins
from app.clients.routes import router as clients
from app.clinic.routes import router as clinic
from app.cohorts.routes import router as cohorts
from app.devices.routes import open_router as enrolments
from app.devices.routes import router as devices
from app.drawing import Renderer
from app.events.routes import router as events
from app.exchange.routes import files, imports, mappings
from app.exchange.routes import router as exports
from app.instruments import INSTRUMENTS
from app.moves.routes import router as moves
from app.outbox.kinds import KIND_MEANINGS
from app.outlook.routes import router as outlook
from app.patients.routes import router as patients
from app.people.routes import me_router as me
from app.people.routes import router as people
from app.pictures.routes import RENDERER
from app.pictures.routes import cohort_router as cohort_pictures
from app.pictures.routes import router as pictures
from app.plans.routes import clinic_router as clinic_plans
from app.plans.routes import me_router as my_due
from app.plans.routes import router as plans
from app.privacy.routes import router as privacy
from app.relief import EARLIER_VERSIONS, VERSION
from app.relief_answers import service as relief_answers
from app.relief_answers.routes import PLAIN as PLAIN_RELIEF
from app.relief_answers.routes import RELIEF
from app.relief_answers.routes import router as relief
from app.revisions import head
from app.sessions.routes import router as sessions
from app.settings import Settings
from app.sign_in.routes import router as sign_in
from app.storage import Database, Joined
from app.storage.watching import watched
from app.trend.routes import router as trend
from app.web.account.routes import router as account_pages
from app.web.audit.routes import router as audit_page
from app.web.check_in.routes import router as check_in_pages
from app.web.check_in.routes import sending as sent_check_ins
from app.web.clinic.routes import router as clinic_pages
from app.web.cohort.routes import router as cohort_page
from app.web.entry.routes import OUTSIDE
from app.web.entry.routes import returning as returning_pages
from app.web.entry.routes import router as entry_pages
from app.web.importing.routes import router as import_pages
from app.web.pages import nowhere
from app.web.patient.routes import router as patient_pages
from app.web.people.routes import router as people_pages
from app.web.prints.routes import router as prints
from app.web.recording.routes import router as recording_pages
from app.web.reminders.routes import PUSH_HOSTS
from app.web.reminders.routes import asked_by_script as reminding
from app.web.reminders.routes import router as reminder_pages
from app.web.static_files.routes import router as static_files
from app.web.webhooks.routes import router as webhook_pages
from app.web.worklist.routes import router as worklist_pages
from app.webhooks.models import WebhookEvent
from app.webhooks.routes import ALLOWED_HOSTS
from app.webhooks.routes import router as webhooks
from app.wording.routes import router as wording
from app.worklist.routes import router as worklist

_TAKEN_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"]
_GIVEN_HEADERS = [
    "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Replayed", "Retry-After",
    "X-Request-Id",
]  # fmt: skip

# Routes are matched in this order, so the most frequent ones come first.
_ROUTERS = (
    check_ins, batches, relief, trend, worklist, pictures, sign_in, enrolments, me, catalogue, patients, devices,
    sessions, events, outlook, cohorts, cohort_pictures, alert_list, alerts, moves, exports, files, mappings,
    imports, plans, clinic_plans,
    my_due, wording, clinic, people, clients, privacy, audit_log, changes, webhooks,
)  # fmt: skip

# Of two routes with one path the first counts: `/patients/new` is no patient.
_PAGES = (
    static_files, entry_pages, returning_pages, worklist_pages, recording_pages, patient_pages, prints, cohort_page,
    check_in_pages, sent_check_ins, reminder_pages, reminding, account_pages, clinic_pages, people_pages, audit_page,
    webhook_pages, import_pages,
)  # fmt: skip
_TITLE = "Holdfast"
# Where the service is reached unless it is told otherwise.
_HERE = "http://127.0.0.1:8000"
_WHOM = {"users": "For people alone.", "admins": "For administrators alone.", "devices": "For patients' devices alone."}
# Sockets and files that the process needs beside its clients' connections.
_OWN_FILES = 64
_DESCRIPTION = (
    "Records mood, anxiety and pain scores per ketamine infusion session and answers: is the relief still holding? "
    "Answers report measured scores against stated rules; they are no diagnosis, prediction or advice.\n\n"
    "Times are given by RFC 3339 with an offset, to the microsecond at most: cut the nanoseconds that Go and Java send."
)


def create_app(settings: Settings) -> FastAPI:
    """The service on one database."""
    database = Database(settings.database_url, *settings.secrets)
    limiter = RateLimiter(settings.rate_limit)
    mail, renderer, bounds = mail_of(settings), Renderer(), bounds_of(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Bounds]]:
        jobs: list[asyncio.Task[None]] = []
        try:
            async with watched(database):
                if settings.background_jobs:
                    hosts = settings.webhook_host_names
                    jobs.append(asyncio.create_task(work.run(database, mail, public_url_of(settings), hosts)))
                if not database.is_sqlite:  # SQLite serves with one process
                    jobs.append(asyncio.create_task(limiter.share(database)))
                yield {BOUNDS: bounds}
        finally:
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
    _put_parts(app, settings, database, limiter, renderer, bounds)
    app.add_middleware(PlainRequests, lanes={**PLAIN_CHECK_INS, **PLAIN_RELIEF})
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"],
            allow_headers=_TAKEN_HEADERS,
            expose_headers=_GIVEN_HEADERS,
            max_age=600,
        )
    hosts = frozenset(host.strip().lower() for host in settings.allowed_hosts.split(",") if host.strip())
    app.add_middleware(Envelope, is_https=settings.public_url.startswith("https:"), hosts=hosts)
    problems.install(app, (documents, about_the_service, *_ROUTERS, *_PAGES))
    app.include_router(documents)
    app.include_router(about_the_service)
    app.add_exception_handler(404, nowhere)
    for router in (*_ROUTERS, *_PAGES):
        app.include_router(router)
    app.openapi = lambda: schema.document(app, _about(settings))  # type: ignore[method-assign]
    OPENAPI.put(app, cache(lambda: Constant(json.dumps(app.openapi()))))
    return app


def public_url_of(settings: Settings) -> str:
    """Where clients reach the service."""
    return settings.public_url or _HERE


def _about(settings: Settings) -> schema.About:
    """What the OpenAPI document says that the rooms know."""
    needs = {name: [s for s in (p.scope, p.also) if s is not None] for name, p in PERMISSIONS.items()}
    names = {code: instrument.name for code, instrument in INSTRUMENTS.items()}
    values = {
        "InstrumentCode": names,
        "RuledInstrumentCode": {code: names[code] for code in WITH_RULE["enum"]},
        "ChangeKind": KIND_MEANINGS,
        "SentKind": {**KIND_MEANINGS, "test": "somebody asked for a test"},
        "RuleVersion": {VERSION: "the newest rules", **dict.fromkeys(EARLIER_VERSIONS, "earlier rules")},
    }
    whom = {name: _WHOM[p.by] for name, p in PERMISSIONS.items() if p.by is not None}
    whose = (public_url_of(settings), needs, SCOPES, OPEN_OPERATIONS, whom)
    return schema.About(*whose, values, KIND_MEANINGS, [WebhookEvent])


def _put_parts(
    app: FastAPI, settings: Settings, database: Database, limiter: RateLimiter, renderer: Renderer, bounds: Bounds
) -> None:
    """Puts in what requests ask for."""
    outside = outside_of(settings)
    OUTSIDE.put(app, outside)
    events = Joined(database.write, recording.record_many)
    DOOR_PARTS.put(app, DoorParts(database, events, CallerCache(database, outside), lambda: bounds.is_stopping))
    DATABASE.put(app, database)
    PUBLIC_URL.put(app, public_url_of(settings))
    LIMITER.put(app, limiter)
    MAIL.put(app, mail_of(settings))
    RECORDING.put(app, Audited(database.write, checkins.record_many))
    RELIEF.put(app, Audited(database.write_on_snapshot, relief_answers.relief_of_many))
    RENDERER.put(app, renderer)
    ALLOWED_HOSTS.put(app, settings.webhook_host_names)
    PUSH_HOSTS.put(app, ())
    SCHEMA_HEAD.put(app, head())


def bounds_of(settings: Settings) -> Bounds:
    """What clients may take of this process. It never takes more connections than it may have files open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(settings.connections, max(files - _OWN_FILES, files // 2))
    return Bounds(
        most,
        settings.connections_per_address or most // 2,
        settings.header_seconds,
        settings.body_seconds,
        frozenset(proxy.strip() for proxy in settings.trusted_proxies.split(",") if proxy.strip()),
    )


def outside_of(settings: Settings) -> OutsideIssuer | None:
    """The outside issuer in the settings; None if there is none."""
    if not settings.oidc_issuer:
        return None
    client = (settings.oidc_client_id, settings.oidc_client_secret.get_secret_value())
    return OutsideIssuer(settings.oidc_issuer, settings.oidc_audience, client if settings.oidc_client_id else None)


def mail_of(settings: Settings) -> Mail | None:
    """The mail server in the settings; None if there is none."""
    url = settings.smtp_url.get_secret_value()
    return Mail(url, public_url_of(settings)) if url else None
