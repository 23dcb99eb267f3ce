"""What tasks are seen to use: evidence kept in one row a task of a dataset, from every report that ends attempts.

What they ask for follows from it, and is kept beside it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.work import Outcome, Usage
from nunatak.datasets import store as datasets_store
from nunatak.db.statement import Row
from nunatak.tasks import asking, store
from nunatak.tasks.asking import Learnt
from nunatak.tasks.context import Contexts
from nunatak.tasks.judging import Judged, Key, pool_of
from nunatak.tasks.learning.evidence import End, Evidence, Observed, Quantity
from nunatak.tasks.learning.needs import LARGEST, Needs
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import BADPUT_ONLY

ENOUGH = 50
"""Attempts of a task after which a sample will do: what is known then grows as the root of how many there were."""
OFFERS_AGE = 10.0
"""Seconds for which it is remembered what engines have at most."""
RAN_OUT = {
    Kind.OUT_OF_MEMORY: Quantity.MEMORY,
    Kind.OVER_DISK: Quantity.DISK,
    Kind.OVER_TIME: Quantity.TIME,
}

Task = tuple[int, int]  # dataset, number in the plan


class Kept(NamedTuple):
    """What is known of a task, by its number in the plan, and what it asks for since."""

    task: int
    evidence: str | None
    needs: str | None


class Known(NamedTuple):
    """How many attempts of a task are known, and the most that one used: bytes, bytes, seconds."""

    ended: int = 0
    memory: float = 0.0
    disk: float = 0.0
    time: float = 0.0


NOTHING = Known()


class Lessons:
    """Decides what is written down: all of the first attempts of a task, then a sample, so that the cost stays small.

    What ran out of something, or used more than any that is known, always is. Remembers how much is known, and for a
    moment what engines have at most; forgetting it costs a few more rows written.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        """Begin with nothing known; `chance` returns random numbers from 0 to 1."""
        self._chance = chance
        self._known: dict[Task, Known] = {}
        self._offers: tuple[Offer, ...] = ()
        self._looked = float("-inf")

    def wanted(self, task: Task) -> bool:
        """Tell whether what a transaction says of a task is written down."""
        known = self._known.get(task, NOTHING).ended
        return known < ENOUGH or self._chance() * known < ENOUGH

    def stands_out(self, task: Task, usage: Usage) -> bool:
        """Tell whether an attempt used so much more than any that is known that it changes what is asked for."""
        known, beyond = self._known.get(task, NOTHING), 1 + LARGEST
        return (
            (usage.memory or 0) > known.memory * beyond
            or (usage.disk or 0) > known.disk * beyond
            or (usage.wall or 0) > known.time * beyond
        )

    def remember(self, task: Task, evidence: Evidence) -> None:
        """Note how much is known of a task."""
        if len(self._known) > 100_000:
            self._known.clear()
        self._known[task] = Known(evidence.ended, evidence.memory.most, evidence.disk.most, evidence.time.most)

    def offers(self, tx: Connection, now: float) -> tuple[Offer, ...]:
        """Return what engines have at most, as of a few seconds ago."""
        if not 0 <= now - self._looked < OFFERS_AGE:
            self._offers = tuple({Offer(place.shape, place.site): None for place in pool_of(tx, now).places})
            self._looked = now
        return self._offers


def note(
    tx: Connection,
    contexts: Contexts,
    lessons: Lessons,
    judged: Judged,
    closed: Mapping[Key, Row],
    ended: Mapping[Key, Outcome],
    now: float,
) -> None:
    """Write down what the attempts that were closed used, and what their tasks ask for from now on.

    The rows are locked in order, shortly before the counts.
    """
    tasks = {(key[0], key[2]) for key in closed}
    chosen = {task for task in tasks if lessons.wanted(task)}
    asked = {
        key: int(row.asked)
        for key, row in closed.items()
        if (key[0], key[2]) in chosen
        or judged.verdicts[key].kind in RAN_OUT
        or (judged.verdicts[key].kind is Kind.OK and lessons.stands_out((key[0], key[2]), ended[key].usage))
    }
    if not asked:
        return
    seen: dict[Task, list[Observed]] = defaultdict(list)
    shapes = contexts.book.shapes(tx, asked.values())
    for key, shape in asked.items():
        kind, outcome = judged.verdicts[key].kind, ended[key]
        # What goes on from its checkpoint did not run out, and how long its parts are says nothing.
        end = End.WRONG if outcome.saved > 0 and kind is not Kind.OK else _end(kind)
        seen[key[0], key[2]].append(Observed(end, outcome.usage, shapes[shape], RAN_OUT.get(kind)))
    before = {(row.dataset, row.task): row for row in store.LESSONS(tx, v=sorted(seen))}
    known = contexts.of(tx, {dataset for dataset, _ in seen})
    offers = lessons.offers(tx, now)
    rows, changes = [], []
    for task, observed in sorted(seen.items()):
        row, plan = before.get(task), known[task[0]].plan.tasks[task[1]]
        evidence = Evidence.from_text(row.evidence if row is not None else None).add(observed)
        lessons.remember(task, evidence)
        learnt, evidence, change = asking.learn(plan, learnt_of(row), evidence, offers)
        rows.append((*task, evidence.to_text(), learnt.to_text() if learnt else None))
        if change:
            changes.append((task[0], plan.name, change))
    contexts.book.enter(tx, [change.shape for _, _, change in changes])
    store.SET_LESSONS(tx, v=rows)
    for dataset, name, change in changes:
        _say(tx, dataset, name, change, now)


def learnt_of(row: Row | None) -> Learnt | None:
    """Return what holds for a task as of a row of lessons."""
    return Learnt.from_text(row.needs) if row is not None and row.needs else None


def _say(tx: Connection, dataset: int, name: str, change: Needs, now: float) -> None:
    """Write into the history that other needs are asked for, and why."""
    detail = json.dumps({"reason": change.text})
    datasets_store.ADD_EVENT(
        tx, dataset=dataset, job=None, task=name, actor="nunatak", verb="needs", detail=detail, now=now
    )


def _end(kind: Kind) -> End:
    if kind is Kind.OK:
        return End.FINISHED
    if kind in RAN_OUT:
        return End.RAN_OUT
    return End.STOPPED if kind in BADPUT_ONLY else End.WRONG


def of_dataset(tx: Connection, dataset: int) -> dict[int, tuple[Evidence, Learnt | None]]:
    """Return what is known of each task of a dataset, and what it asks for since."""
    rows = store.LESSONS_OF(tx, dataset=dataset)
    return {row.task: (seen_in(row.evidence), learnt_of(row)) for row in rows}


seen_in = lru_cache(maxsize=4000)(Evidence.from_text)
"""Reads what was seen of a task, for those who look: most of it is as it was at the last look."""


def evidence_of(tx: Connection, dataset: int) -> dict[int, Evidence]:
    """Return what was seen of each task of a dataset."""
    return {task: seen for task, (seen, _) in of_dataset(tx, dataset).items()}


def of_task(tx: Connection, dataset: int, task: int) -> Learnt | None:
    """Return what one task of a dataset asks for since something was learnt; None if nothing is learnt of it."""
    return next((learnt_of(row) for row in store.LESSONS_OF(tx, dataset=dataset) if row.task == task), None)


def kept(tx: Connection, dataset: int) -> dict[int, Kept]:
    """Return what is known of each task of a dataset, as it is written."""
    return {row.task: Kept(row.task, row.evidence, row.needs) for row in store.LESSONS_OF(tx, dataset=dataset)}


def locked(tx: Connection, dataset: int, tasks: Sequence[int]) -> dict[int, Row]:
    """Return the rows of some tasks of a dataset, locked in order."""
    return {row.task: row for row in store.LESSONS(tx, v=[(dataset, task) for task in sorted(tasks)])}


def put(tx: Connection, dataset: int, known: Sequence[Kept]) -> None:
    """Take over what is known of tasks elsewhere."""
    store.SET_LESSONS(tx, v=[(dataset, *item) for item in sorted(known, key=lambda item: item.task)])
