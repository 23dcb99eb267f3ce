"""The application with its pages: their routes after those of the API, files, error pages, live parts."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import BaseRoute

from nunatak.api import app as api
from nunatak.api.fast import ShortWay
from nunatak.api.services import Services
from nunatak.simulation.aside import Aside
from nunatak.tasks.logs.lines import LogLines
from nunatak.tasks.looking.forecasts import Forecasts
from nunatak.web import errors
from nunatak.web.assets import router as files
from nunatak.web.live import Feeds
from nunatak.web.pages import (
    actions,
    dataset,
    dataset_archive,
    dataset_changes,
    dataset_parts,
    logs,
    new,
    profile,
    recipe_edit,
    session,
    sites,
    task,
    usage,
    what_if,
    work,
)
from nunatak.web.pages import errors as errors_page
from nunatak.web.throttle import Throttle

PAGES = (
    session,
    work,
    new,
    actions,
    profile,
    recipe_edit,
    dataset,
    dataset_parts,
    dataset_archive,
    dataset_changes,
    errors_page,
    sites,
    usage,
    what_if,
    logs,
    task,
)
"""Every module of pages. A new one is listed here, and its routes in `accounts.policy`; those of tasks come last, as a
task done once a dataset may be called like a part of a dataset's page."""


def routes() -> list[BaseRoute]:
    """Return the routes of all pages, and of the files they need."""
    return [*files.routes, *(route for module in PAGES for route in module.pages.router.routes)]


def create_app(services: Services) -> ShortWay:
    """Return the application over these services: API and pages."""

    def add(app: FastAPI) -> None:
        app.router.routes.extend(routes())
        app.state.throttle = Throttle(services.clock)
        app.state.feeds = Feeds(services)
        app.state.forecasts = Forecasts()
        app.state.log_lines = LogLines(services.logs)
        app.state.aside = Aside(services.clock)
        errors.install(app)

    return api.create_app(services, add)
