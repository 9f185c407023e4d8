"""create_app(settings): builds the engine and mounts the rooms. Nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import Depends, FastAPI

from app import work
from app.access.dependencies import Honoured, bearer
from app.access.policies import OPEN_OPERATIONS
from app.access.routes import audit_router
from app.access.routes import router as access
from app.alerts.routes import router as alerts
from app.api import problems, schema
from app.api.documents import router as documents
from app.api.middleware import Envelope
from app.api.sealing import Sealer, derived_key
from app.audit import service as audit
from app.catalogue.routes import router as catalogue
from app.checkins import service as checkins
from app.checkins.routes import batches
from app.checkins.routes import router as check_ins
from app.cohorts.routes import router as cohorts
from app.drawing import Renderer
from app.migrating import head
from app.outcomes.routes import router as outcomes
from app.outcomes.routes import worklists
from app.patients.routes import router as patients
from app.sessions.routes import router as sessions
from app.settings import Settings
from app.storage import Database, GroupCommit

_TITLE = "Holdfast"
_DESCRIPTION = (
    "Records mood, anxiety and pain scores per ketamine infusion session and answers: is the relief still holding? "
    "Answers report measured scores against stated rules; they are no diagnosis, prediction or advice."
)


def create_app(settings: Settings) -> FastAPI:
    """The service on one database. Its parts hang on `app.state`."""
    database = Database(settings.database_url)
    secret = settings.secret_key.get_secret_value()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs = asyncio.create_task(work.run(database)) if settings.background_jobs else None
        yield
        if jobs is not None:
            jobs.cancel()
            with suppress(asyncio.CancelledError):
                await jobs
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
    app.state.key = derived_key(secret, "access tokens").hex()
    app.state.cursors = Sealer(secret, "cursors")
    app.state.honoured = Honoured(database, app.state.key)
    app.state.recording = GroupCommit(database, checkins.record_many)
    app.state.reads = GroupCommit(database, audit.record_many)
    app.state.renderer = Renderer()
    app.state.schema_head = head()
    app.add_middleware(Envelope)
    problems.install(app)
    app.include_router(documents)
    for router in (
        access,
        catalogue,
        patients,
        sessions,
        check_ins,
        batches,
        outcomes,
        worklists,
        cohorts,
        alerts,
        audit_router,
    ):
        app.include_router(router, dependencies=[Depends(bearer)])
    app.openapi = lambda: schema.document(app, OPEN_OPERATIONS)  # type: ignore[method-assign]
    return app
