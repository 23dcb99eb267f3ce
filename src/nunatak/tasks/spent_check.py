"""What was kept of time spent, compared with the ledger of attempts, and made anew from it."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from nunatak.datasets.progress import Moves
from nunatak.db.statement import Statement
from nunatak.tasks.context import Contexts
from nunatak.tasks.health.causes import cost_to
from nunatak.tasks.sharing.usage import occupied
from nunatak.tasks.spending import Spending, seconds_of

KEPT = Statement("SELECT cause, SUM(attempts) AS n FROM spent WHERE dataset = :dataset GROUP BY cause")
ENDED = Statement(
    "SELECT verdict, COUNT(*) AS n, COUNT(started) AS began FROM attempts WHERE dataset = :dataset GROUP BY verdict"
)
DROP = Statement("DELETE FROM spent WHERE dataset = :dataset")
LEDGER = Statement(
    "SELECT engine, shape, verdict, claimed, started, ended, wall, cpu FROM attempts WHERE dataset = :dataset"
    " ORDER BY job, task, attempt"
)


def differences(tx: Connection, dataset: int) -> list[tuple[str, dict[str, int], dict[str, int]]]:
    """Return where the attempts that time was counted for are not those that ended: (what, kept, counted)."""
    kept = {row.cause: int(row.n) for row in KEPT(tx, dataset=dataset) if row.n}
    real: Counter[str] = Counter()
    for row in ENDED(tx, dataset=dataset):
        real[cost_to(row.verdict, began=True)] += row.began
        real[cost_to(row.verdict, began=False)] += row.n - row.began
    found = {str(cause): n for cause, n in real.items() if n}
    return [] if kept == found else [("attempts that time was spent on", kept, found)]


def restore(tx: Connection, contexts: Contexts, dataset: int, moves: Moves, now: float) -> None:
    """Add up the ledger anew: what was used counts as it would by now, had it been kept all along."""
    DROP(tx, dataset=dataset)
    rows = LEDGER(tx, dataset=dataset)
    shapes = contexts.book.shapes(tx, {row.shape for row in rows})
    spending = Spending(shapes, now)
    for row in rows:
        seconds = seconds_of(row.claimed, row.started, row.ended, row.wall, row.ended)
        amount = occupied(shapes[row.shape], seconds)
        counts = contexts.decay.now(contexts.decay.entry(amount, min(row.ended, now)), now)
        cause = cost_to(row.verdict, began=row.started is not None)
        spending.add((dataset, row.engine, cause), seconds, row.cpu or 0.0, amount, counts)
    spending.hand_over(contexts, moves)
