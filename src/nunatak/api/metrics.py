"""Prometheus metrics: requests by route, status and time, as they pass; tasks and engines, read when asked, a few seconds old."""

from __future__ import annotations

import threading
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nunatak.api.services import Services
from nunatak.datasets.store import STATES
from nunatak.db.statement import Statement
from nunatak.tasks.looking import lists
from nunatak.tasks.sites import held

AGE = 5.0
"""Seconds for which counts of tasks and engines are kept."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOTALS = Statement(
    "SELECT COALESCE(SUM(waiting), 0) AS waiting, COALESCE(SUM(ready), 0) AS ready, COALESCE(SUM(queued), 0) AS queued,"
    " COALESCE(SUM(running), 0) AS running, COALESCE(SUM(done), 0) AS done, COALESCE(SUM(failed), 0) AS failed,"
    " COALESCE(SUM(held), 0) AS held FROM task_counts"
)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        """Register every metric; this is the list of them."""
        self.registry = CollectorRegistry()
        self.requests = Counter("nunatak_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "nunatak_request_seconds", "Seconds to answer.", ("route",), buckets=BUCKETS, registry=self.registry
        )
        self.tasks = Gauge("nunatak_tasks", "Tasks by state.", ("state",), registry=self.registry)
        self.engines = Gauge("nunatak_engines", "Engines, alive or silent.", ("alive",), registry=self.registry)
        self.leased = Gauge(
            "nunatak_engine_tasks", "Attempts an engine holds.", ("engine", "state"), registry=self.registry
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._lock = threading.Lock()
        self._read = float("-inf")

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        pair = self._children.get((route, status))
        if pair is None:
            pair = self.requests.labels(route, str(status)), self.seconds.labels(route)
            self._children[route, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def text(self, services: Services) -> bytes:
        """Return all metrics as Prometheus reads them."""
        with self._lock:
            now = time.monotonic()
            if now - self._read >= AGE:
                self._look(services)
                self._read = now
        return generate_latest(self.registry)

    def _look(self, services: Services) -> None:
        with services.database.read() as tx:
            row = TOTALS(tx)[0]
            now = services.clock()
            engines = lists.engines(tx, now, held(tx, services.contexts.kept, now))
        for state in STATES:
            self.tasks.labels(state).set(int(getattr(row, state)))
        self.engines.labels("true").set(sum(engine["alive"] for engine in engines))
        self.engines.labels("false").set(sum(not engine["alive"] for engine in engines))
        self.leased.clear()
        for engine in engines:
            for state in ("queued", "running"):
                self.leased.labels(engine["name"], state).set(engine[state])

    def described(self) -> list[tuple[str, str, str]]:
        """Return every metric: name, kind, meaning."""
        return [(metric.name, metric.type, metric.documentation) for metric in self.registry.collect()]


class Measure:
    """Counts and times every answer. Pure ASGI."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application."""
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = scope.get("route")
            name = getattr(route, "name", "none")
            self.metrics.observe(name, status, time.perf_counter() - begun)
