"""The ASGI application: routers, errors, and the layers every request passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import BoundedSemaphore

from fastapi import FastAPI

from nunatak import __version__
from nunatak.api import (
    actions,
    addresses,
    blobs,
    codes,
    datasets,
    document,
    engines,
    errors,
    imports,
    meta,
    nodes,
    problems,
    recipe_files,
    revisions,
    shares,
    tokens,
    usage,
)
from nunatak.api.demand import DemandMemory
from nunatak.api.events import Poller
from nunatak.api.fast import ShortWay
from nunatak.api.headers import SecureHeaders
from nunatak.api.iceprod import app as iceprod
from nunatak.api.limits import BodyLimit
from nunatak.api.metrics import Measure, Metrics
from nunatak.api.services import Services
from nunatak.api.shared import Shared
from nunatak.tasks.choosing import Chooser

ROUTERS = (
    datasets,
    recipe_files,
    revisions,
    errors,
    addresses,
    actions,
    blobs,
    engines,
    nodes,
    shares,
    tokens,
    codes,
    usage,
    meta,
    imports,
)


def create_app(services: Services, more: Callable[[FastAPI], None] | None = None) -> ShortWay:
    """Return the application over these services; `more` may add routes to it."""
    app = bare_app()
    if more is not None:
        more(app)
    state = app.state
    state.services = services
    state.metrics = Metrics()
    state.demand = DemandMemory(Chooser(services.rules), services.limits.demand)
    state.uploads = BoundedSemaphore(blobs.UPLOADS)
    state.shared = Shared(services, state.demand)
    iceprod.mount(app)
    app.add_middleware(BodyLimit, limit=services.limits.body, blob_limit=services.limits.blob)
    app.add_middleware(SecureHeaders)
    app.add_middleware(Measure, metrics=state.metrics)
    return ShortWay(app, state.metrics, services.limits.body)


def bare_app() -> FastAPI:
    """Return the routes alone, for the document and for tests of what is open to whom."""
    app = FastAPI(
        title="Nunatak",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    routes = [route for module in ROUTERS for route in module.router.routes]
    app.router.routes.extend(routes)  # flat: included routers cost each request a search in each
    problems.install(app)
    app.openapi = lambda: document.describe(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    pollers: dict[int, Poller] = {}
    app.state.pollers = pollers
    yield
    for poller in list(pollers.values()):
        await poller.stop()
