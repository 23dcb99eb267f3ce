"""The batch system as the engine sees it: its commands, what it has, and whether it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import structlog

from nunatak.core.clock import Clock
from nunatak.core.work import Shape
from nunatak.engines.batch import fits
from nunatak.engines.batch.dialect import Ask, Dialect, T
from nunatak.engines.batch.model import Cluster
from nunatak.engines.batch.run import Run, ask

LONGEST = 60.0
"""Seconds between two questions while it does not answer, at most."""
log = structlog.get_logger("nunatak.engine")

Ours = Callable[[], Counter[tuple[str, str]]]
"""Counts what our own running jobs take of each node."""


class System:
    """One batch system; asked every `interval` seconds, less often while it does not answer."""

    def __init__(
        self, dialect: Dialect, run: Run, terms: fits.Terms, interval: float, ours: Ours, monotonic: Clock
    ) -> None:
        """Ask nothing yet."""
        self.dialect, self.terms, self.interval = dialect, terms, interval
        self._run, self._ours, self._monotonic = run, ours, monotonic
        self.cluster: Cluster | None = None  # as it was when it was looked at
        self._cluster_at, self._taken = float("-inf"), ours()
        self.away = ""  # why it could not be asked
        self.due = float("-inf")
        self._pause = interval

    @property
    def name(self) -> str:
        """Return what it is called."""
        return self.dialect.name

    def ask(self, question: Ask[T]) -> T:
        """Ask it. Raises `Unavailable`."""
        return ask(self._run, question)

    # ---- what it has

    def known(self) -> Cluster:
        """Return what it has. Raises `Unavailable` if it has not answered since the start."""
        return self.cluster or self._read()

    def now(self) -> Cluster:
        """Return what it has, with what our jobs took since it was looked at. Raises `Unavailable` like `known`."""
        return fits.since(self.known(), self._taken, self._ours())

    def look_again(self, now: float) -> None:
        """Look at what it has if that was a while ago. Raises `Unavailable`."""
        if now - self._cluster_at >= 6 * self.interval:
            self._read()
            self._cluster_at = now

    def _read(self) -> Cluster:
        self.cluster, self._taken = self.ask(self.dialect.cluster()), self._ours()
        return self.cluster

    def queues(self, shape: Shape, cluster: Cluster) -> tuple[str, ...]:
        """Return the queues in which an attempt of this shape could start some day."""
        if not shape.fits(fits.largest(cluster, self.terms)):
            return ()
        return fits.queues_for(self.terms.request(shape), cluster, self.terms)

    # ---- whether it answers

    def be_due(self, now: float = float("-inf")) -> None:
        """Have it asked soon."""
        self.due = min(self.due, now)

    def asked(self, now: float) -> None:
        """Note that it is asked now."""
        self.due = now + self._pause

    def be_away(self, why: str) -> None:
        """Ask less and less often while it does not answer."""
        if not self.away:
            log.warning("the batch system does not go along", system=self.name, error=why)
        self.away = why or "it does not answer"
        self.due = self._monotonic() + self._pause
        self._pause = min(2 * self._pause, max(LONGEST, self.interval))

    def back(self) -> None:
        """It answers."""
        if self.away:
            log.info("the batch system answers again", system=self.name)
        self.away, self._pause = "", self.interval
