"""Datasets that follow others: what is checked and written when they come, grow, and when what they wait for is done.

What waits is let go on by a loop (see `following_steps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from nunatak.core.errors import Conflict, NotFound, Problem
from nunatak.core.spelling import nearest
from nunatak.core.units import count_text
from nunatak.datasets import store as datasets_store
from nunatak.datasets.plan import Follow, Plan
from nunatak.datasets.yaml_source import failure, parse
from nunatak.tasks import following_store as store
from nunatak.tasks.context import Context, Contexts

WHOLE = -1
"""The number that stands for all tasks of another dataset."""
AGE = 3.0
"""Seconds for which it is remembered which datasets are followed; what was missed meanwhile is found by the counts."""

Entry = tuple[int, int, int, int, int]  # number, task, other dataset, its task or WHOLE, whether for each job


def check(
    tx: Connection, contexts: Contexts, plan: Plan, *, source: str, filename: str, before: int | None = None
) -> list[Entry]:
    """Return what a plan follows, by numbers. Raises `Invalid` with all that is not there, each at its place.

    Only datasets numbered below `before` can be followed: so nothing ever waits for itself.
    """
    found: list[Entry] = []
    problems: list[Problem] = []
    for number, (task, follow) in plan.follows.items():
        try:
            other = _found(tx, contexts, follow, plan.jobs, before)
            found.append((number, task, follow.dataset, other, int(follow.each)))
        except NotFound as error:
            path = ("tasks", plan.tasks[task].name, "after")
            line, column = parse(source, filename).place(path) if source else (0, 0)
            problems.append(Problem(error.message, ".".join(path), error.hint, filename, line, column))
    if problems:
        raise failure(problems, filename)
    return found


def _found(tx: Connection, contexts: Contexts, follow: Follow, jobs: int, before: int | None) -> int:
    """Return the number of the task that is followed. Raises `NotFound`."""
    dataset = follow.dataset
    if before is not None and dataset >= before:
        raise NotFound(f"there is no dataset {dataset} yet", hint="only what was submitted before can be followed")
    context = contexts.one(tx, dataset)
    if not follow.task:
        return WHOLE
    tasks = context.plan.tasks
    number = int(follow.task) if follow.task.isdigit() else context.plan.index.get(follow.task)
    if number is None or number >= len(tasks):
        names = [task.name for task in tasks]
        raise NotFound(f"dataset {dataset} has no task {follow.task!r}", hint=nearest(follow.task, names))
    if follow.each and tasks[number].once:
        raise NotFound(
            f"{follow}: {tasks[number].name} is done once in dataset {dataset}",
            hint=f"write {dataset}/{tasks[number].name}",
        )
    total = datasets_store.FRONTIER(tx, dataset=dataset)[0].total
    if follow.each and jobs > total:
        raise NotFound(
            f"{follow}: dataset {dataset} has {count_text(total, 'job')}, and this one {jobs}",
            hint=f"nunatak more {dataset} adds jobs there; write {dataset}/{tasks[number].name} to wait for all jobs",
        )
    return number


def begin(tx: Connection, contexts: Contexts, dataset: int, plan: Plan, *, source: str, filename: str) -> None:
    """Write what a new dataset follows. Raises `Invalid` if that is not there."""
    if plan.follows:
        found = check(tx, contexts, plan, source=source, filename=filename, before=dataset)
        store.ADD(tx, v=[(dataset, *entry) for entry in found])


def more(tx: Connection, context: Context, total: int, jobs: int) -> None:
    """Let `jobs` new jobs after the first `total` follow as well, under the lock of the frontier.

    Raises `Conflict` if another dataset has not so many.
    """
    for number, (_, follow) in context.plan.follows.items():
        if not follow.each:
            continue
        other = datasets_store.FRONTIER(tx, dataset=follow.dataset)[0].total
        if total + jobs > other:
            raise Conflict(
                f"dataset {context.dataset} comes after {follow}, and dataset {follow.dataset} has {count_text(other, 'job')}",
                code="follows", hint=f"nunatak more {follow.dataset} first",
            )  # fmt: skip
        of = {"dataset": context.dataset, "number": number}
        again = store.AGAIN(tx, **of, first=total, last=total + jobs)
        store.REOPEN(tx, **of, seen=len(again))


def arrived(tx: Connection, context: Context, jobs: Iterable[int]) -> frozenset[tuple[int, int]]:
    """Return (job, number of what it follows in other datasets) for what jobs have been let go on from."""
    numbers = [number for of in context.graph.each for number in of]
    keys = [(number, job) for job in jobs for number in numbers] if numbers else []
    rows = store.ARRIVED(tx, v=keys, dataset=context.dataset) if keys else ()
    return frozenset((row.job, row.number) for row in rows)


def note(tx: Connection, contexts: Contexts, done: Sequence[tuple[int, int, int]], now: float) -> None:
    """Tell those that follow that (dataset, job, task) are done: one statement if any do, else none."""
    if not done:
        return
    followed = contexts.kept.of("followed", _followed, tx, now, late=False)
    news = sorted(key for key in done if key[0] in followed and key[1] >= 0)
    if news:
        store.NOTE(tx, v=news)


def _followed(tx: Connection) -> tuple[frozenset[int], float]:
    """Return the datasets that are followed job by job, and for how many seconds that is taken to be so."""
    return frozenset(row.other for row in store.FOLLOWED(tx)), AGE


def check_division(tx: Connection, context: Context) -> None:
    """Raise `Conflict` if jobs of a dataset go with those of another by their number, and so cannot be divided."""
    each = [str(follow) for _, follow in context.plan.follows.values() if follow.each]
    if each:
        raise Conflict(
            f"its jobs go with those of another dataset: {', '.join(each)}", code="follows",
            hint="submit the recipe with smaller jobs for both",
        )  # fmt: skip
    followers = [str(row.dataset) for row in store.FOLLOWERS(tx, other=context.dataset)]
    if followers:
        raise Conflict(
            f"jobs of dataset {', '.join(followers)} go with its jobs", code="followed",
            hint="submit both recipes anew with smaller jobs",
        )  # fmt: skip
