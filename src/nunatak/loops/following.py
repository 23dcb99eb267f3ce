"""The loop that lets go on what waits for other datasets: tasks whose like is done there, and datasets that follow a whole one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import Clock
from nunatak.db.database import Database
from nunatak.db.statement import Row
from nunatak.tasks import following_steps as steps
from nunatak.tasks.context import Contexts
from nunatak.tasks.following_steps import Step

REST = 30.0
"""Seconds after looking through a whole dataset in vain until that is done again, if its counts stay as they are."""
MOST = 10_000
Key = tuple[int, int]


class Following:
    """Looks at a page of what is waited for; nothing is written while nothing of it has come.

    It remembers only how far it is in looking through a dataset: another process begins that anew.
    """

    def __init__(self, database: Database, contexts: Contexts, clock: Clock) -> None:
        """Begin with the first dataset."""
        self.database, self.contexts, self.clock = database, contexts, clock
        self._after: Key = (0, 0)
        self._sweeps: dict[Key, tuple[int, int]] = {}  # the next job, and how many were found so far
        self._rests: dict[Key, tuple[float, tuple[Any, ...]]] = {}

    def tick(self) -> bool:
        """Do what there is to do for a page; tells whether more is left."""
        with self.database.read() as tx:
            page = steps.closed(tx, self._after)
        more = [self._do(row, what) for row in page for what in steps.steps(steps.standing(row))]
        self._after = (page[-1].dataset, page[-1].number) if len(page) == steps.PAGE else (0, 0)
        return any(more) or len(page) == steps.PAGE

    def _do(self, row: Row, what: Step) -> bool:
        """Take one step; tells whether there is another at once."""
        if what is Step.TAKE:
            return self.database.run(lambda tx: steps.take(tx, self.contexts, row, self.clock())) >= steps.TAKEN
        if what is Step.SWEEP:
            return self._sweep(row)
        if what is Step.ASK and (self._resting(row) or not self._given_up(row)):
            return False
        self.database.run(lambda tx: steps.open_(tx, self.contexts, row, self.clock()))
        return False

    def _given_up(self, row: Row) -> bool:
        with self.database.read() as tx:
            found = steps.given_up(tx, row)
        if not found:
            self._rest(row)
        return found

    def _resting(self, row: Row) -> bool:
        """Tell whether it was just looked at in vain, and the counts are what they were then."""
        until, seen = self._rests.get((row.dataset, row.number), (0.0, None))
        return seen == tuple(row) and 0 < until - self.clock() <= REST

    def _rest(self, row: Row) -> None:
        if len(self._rests) > MOST:
            self._rests.clear()
        self._rests[row.dataset, row.number] = (self.clock() + REST, tuple(row))

    def _sweep(self, row: Row) -> bool:
        key = (row.dataset, row.number)
        if self._resting(row):
            return False
        first, before = self._sweeps.pop(key, (0, 0))

        def work(tx: Connection) -> tuple[int, int]:
            return steps.sweep(tx, row, first)

        found, following = self.database.run(work)
        if following:
            self._sweeps[key] = (following, before + found)
        elif not before + found:
            self._rest(row)
        return bool(following or found)
