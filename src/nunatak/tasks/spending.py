"""What ended attempts cost: added up over a transaction, and handed to its `Moves`, which write it beside the counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from nunatak.core.work import Outcome, Shape
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks.context import Contexts
from nunatak.tasks.health.causes import cost_to
from nunatak.tasks.health.events import Cause
from nunatak.tasks.sharing.usage import Amount, occupied
from nunatak.tasks.verdicts.kinds import Kind


def seconds_of(claimed: float, started: float | None, ended: float, measured: float | None, now: float) -> float:
    """Return for how long an attempt had its slot, in seconds; 0 for one that never began.

    Times of nodes are believed as far as they are possible: nothing lasted longer than since it was claimed, unless the
    worker measured so. A node whose clock jumps would otherwise cost its user the share of weeks.
    """
    wall = _possible(measured)
    if started is None:
        return wall
    return max(wall, min(_possible(ended - started), _possible(now - claimed)))


def _possible(value: float | None) -> float:
    return value if value is not None and 0.0 <= value < float("inf") else 0.0


class Spending:
    """Adds up attempts by dataset, engine and cause."""

    def __init__(self, shapes: Mapping[int, Shape], now: float) -> None:
        """Begin with nothing; `shapes` has those that the attempts had asked for."""
        self._shapes, self._now = shapes, now
        self._sums: dict[tuple[int, int, Cause], list[float]] = defaultdict(lambda: [0, *(0.0,) * 6])
        self._alike: dict[tuple[int, int, Cause, int], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def ended(self, row: Row, kind: Kind, outcome: Outcome) -> None:
        """Add an attempt that was open as `row` says, and whose end an engine reported."""
        started = outcome.started if outcome.started is not None else row.started
        ended = outcome.ended if outcome.ended is not None else self._now
        seconds = seconds_of(row.claimed, started, ended, outcome.usage.wall, self._now)
        self._add(row, cost_to(kind, began=started is not None), seconds, _possible(outcome.usage.cpu))

    def stopped(self, row: Row, kind: Kind) -> None:
        """Add an open attempt that we end ourselves, now."""
        seconds = seconds_of(row.claimed, row.started, self._now, None, self._now)
        self._add(row, cost_to(kind, began=row.started is not None), seconds, 0.0)

    def _add(self, row: Row, cause: Cause, seconds: float, cpu: float) -> None:
        """Add an attempt to those that asked for the same: what they occupied follows from their seconds."""
        sums = self._alike[row.dataset, row.engine, cause, row.asked]
        sums[0] += 1
        sums[1] += seconds
        sums[2] += cpu

    def add(
        self, key: tuple[int, int, Cause], seconds: float, cpu: float, amount: Amount, counts: Amount, attempts: int = 1
    ) -> None:
        """Add attempts: seconds of wall clock and of processors, what they occupied, and what that counts now."""
        sums = self._sums[key]
        sums[0] += attempts
        sums[1] += seconds
        sums[2] += cpu
        sums[3] += amount[0]
        sums[4] += amount[1]
        sums[5] += counts[0]
        sums[6] += counts[1]

    def hand_over(self, contexts: Contexts, moves: Moves) -> None:
        """Let the sums be written with the counts of the transaction."""
        for (dataset, engine, cause, asked), (n, seconds, cpu) in self._alike.items():
            amount = occupied(self._shapes[asked], seconds)
            self.add((dataset, engine, cause), seconds, cpu, amount, amount, int(n))
        self._alike.clear()
        for key, (attempts, *amounts, core, gpu) in self._sums.items():
            moves.spend(key, int(attempts), amounts, contexts.decay.entry(Amount(core, gpu), self._now))


def stopped(tx: Connection, contexts: Contexts, rows: Iterable[Row], kind: Kind, moves: Moves, now: float) -> None:
    """Take down open attempts that we end ourselves."""
    rows = list(rows)
    spending = Spending(contexts.book.shapes(tx, {row.asked for row in rows}), now)
    for row in rows:
        spending.stopped(row, kind)
    spending.hand_over(contexts, moves)
