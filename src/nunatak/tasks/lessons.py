"""What tasks are seen to use: evidence kept in one row a task of a dataset, from every report that ends attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from nunatak.core.work import Outcome
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.context import Contexts
from nunatak.tasks.judging import Judged, Key
from nunatak.tasks.learning.evidence import End, Evidence, Observed, Quantity
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import BADPUT_ONLY

ENOUGH = 1000
"""Attempts of a task after which a sample will do: another thousandth changes no quantile."""
RAN_OUT = {
    Kind.OUT_OF_MEMORY: Quantity.MEMORY,
    Kind.OVER_DISK: Quantity.DISK,
    Kind.OVER_TIME: Quantity.TIME,
}

Task = tuple[int, int]  # dataset, number in the plan


class Lessons:
    """Decides what is written down: all of the first attempts of a task, then a sample, so that the cost stays small.

    What ran out of something always is. Remembers how much is known; forgetting it costs a few more rows written.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        """Begin with nothing known; `chance` returns random numbers from 0 to 1."""
        self._chance = chance
        self._known: dict[Task, int] = {}

    def wanted(self, task: Task) -> bool:
        """Tell whether what a transaction says of a task is written down."""
        known = self._known.get(task, 0)
        return known < ENOUGH or self._chance() * known < ENOUGH

    def remember(self, task: Task, known: int) -> None:
        """Note how many attempts of a task are known."""
        if len(self._known) > 100_000:
            self._known.clear()
        self._known[task] = known


def note(
    tx: Connection,
    contexts: Contexts,
    lessons: Lessons,
    judged: Judged,
    closed: Mapping[Key, Row],
    ended: Mapping[Key, Outcome],
) -> None:
    """Write down what the attempts that were closed used. The rows are locked in order, shortly before the counts."""
    tasks = {(key[0], key[2]) for key in closed}
    chosen = {task for task in tasks if lessons.wanted(task)}
    asked = {
        key: int(row.asked)
        for key, row in closed.items()
        if (key[0], key[2]) in chosen or judged.verdicts[key].kind in RAN_OUT
    }
    if not asked:
        return
    seen: dict[Task, list[Observed]] = defaultdict(list)
    shapes = contexts.book.shapes(tx, asked.values())
    for key, shape in asked.items():
        kind = judged.verdicts[key].kind
        seen[key[0], key[2]].append(Observed(_end(kind), ended[key].usage, shapes[shape], RAN_OUT.get(kind)))
    before = {(row.dataset, row.task): row.evidence for row in store.LESSONS(tx, v=sorted(seen))}
    rows = []
    for task, observed in sorted(seen.items()):
        evidence = Evidence.from_text(before.get(task)).add(observed)
        lessons.remember(task, evidence.ended)
        rows.append((*task, evidence.to_text()))
    store.SET_LESSONS(tx, v=rows)


def _end(kind: Kind) -> End:
    if kind is Kind.OK:
        return End.FINISHED
    if kind in RAN_OUT:
        return End.RAN_OUT
    return End.STOPPED if kind in BADPUT_ONLY else End.WRONG


def of_dataset(tx: Connection, dataset: int) -> dict[int, Evidence]:
    """Return what is known of each task of a dataset."""
    return {row.task: Evidence.from_text(row.evidence) for row in store.LESSONS_OF(tx, dataset=dataset)}
