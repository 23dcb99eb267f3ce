"""Read model: what a dataset or a task of it waits for in other datasets, how far that is, and whether it needs a person."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.states import TaskState
from nunatak.core.units import count_text
from nunatak.datasets import store as datasets_store
from nunatak.datasets.plan import Follow
from nunatak.db.statement import Row
from nunatak.tasks import following_store as store
from nunatak.tasks.context import Context
from nunatak.tasks.following_steps import Standing, standing
from nunatak.tasks.looking import look_store

S = TaskState


class Wait(NamedTuple):
    """What one task waits for: `done` of `total` are there; `stuck` says what a person has to do, "" if nothing."""

    task: int
    follow: Follow
    other_task: int
    open: bool
    done: int
    total: int
    stuck: str

    @property
    def text(self) -> str:
        """Say how far it is."""
        if self.open:
            return f"{self.follow} is done"
        what = "jobs here" if self.follow.each else "tasks"
        text = f"it waits for {self.follow}, done for {self.done} of {self.total} {what}"
        return f"{text}; {self.stuck}" if self.stuck else text

    def to_plain(self, context: Context) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "task": context.plan.tasks[self.task].name, "after": str(self.follow), "dataset": self.follow.dataset,
            "open": self.open, "done": self.done, "total": self.total, "stuck": bool(self.stuck), "text": self.text,
        }  # fmt: skip


class Before(NamedTuple):
    """One thing a task comes after in another dataset: where to look at it, whether it is done, and how it is said."""

    address: str
    done: bool
    text: str


def of_dataset(tx: Connection, context: Context) -> list[Wait]:
    """Return what tasks of a dataset wait for, or waited for, in others; costs nothing where nothing does."""
    if not context.plan.follows:
        return []
    return [_wait(tx, context, row) for row in store.OF_DATASET(tx, dataset=context.dataset)]


def _wait(tx: Connection, context: Context, row: Row) -> Wait:
    task, follow = context.plan.follows[row.number]
    of = standing(row)
    done, total = (of.passed, of.total) if of.each else (of.done, of.done + of.left)
    opened = row.opened is not None
    return Wait(task, follow, row.other_task, opened, done, total, "" if opened else _stuck(tx, follow, of))


def _stuck(tx: Connection, follow: Follow, of: Standing) -> str:
    """Say what keeps what is waited for from ever being done by itself."""
    head = datasets_store.DATASET(tx, dataset=follow.dataset)[0]
    if head.cancelled:
        return f"dataset {follow.dataset} was cancelled: `nunatak retry {follow.dataset}` lets it go on"
    if of.needy:
        return f"{of.needy} of that failed or are held and need you: nunatak errors {follow.dataset}"
    if head.held:
        return f"dataset {follow.dataset} is held: `nunatak release {follow.dataset}` lets it go on"
    jobs = datasets_store.FRONTIER(tx, dataset=follow.dataset)[0].total
    if of.each and jobs < of.total:
        last = f"jobs from {jobs} on cannot begin"
        return f"dataset {follow.dataset} has {count_text(jobs, 'job')}: {last} until it has more, or those here are cancelled"
    return ""


def of_task(tx: Connection, context: Context, job: int, task: int) -> list[Before]:
    """Return what a task comes after in other datasets."""
    found = []
    for row in store.OF_DATASET(tx, dataset=context.dataset) if context.plan.tasks[task].follows else ():
        if row.task != task:
            continue
        if not row.each_job:
            wait = _wait(tx, context, row)
            found.append(Before(str(wait.follow.dataset), wait.open, wait.text))
        elif job != ONCE:
            found.append(_like(tx, context, row, job))
    return found


def _like(tx: Connection, context: Context, row: Row, job: int) -> Before:
    """Say how the task is that one of a job waits for."""
    follow = context.plan.follows[row.number][1]
    address = str(Address(follow.dataset, job, follow.task)) if not follow.task.isdigit() else f"{follow.dataset}/{job}"
    if store.ARRIVED(tx, v=[(row.number, job)], dataset=context.dataset):
        return Before(address, True, f"{address} is done")
    if job >= datasets_store.FRONTIER(tx, dataset=row.other)[0].total:
        return Before(
            address, False, f"it waits for {address}, and dataset {row.other} has no such job: nunatak more {row.other}"
        )
    rows = look_store.TASK(tx, dataset=row.other, job=job, task=row.other_task)
    state = rows[0].state if rows else None
    if state == S.DONE:
        return Before(address, False, f"{address} is done: it goes on in a moment")
    said = f"which is {state}" if state else "which has not begun"
    if state in (S.FAILED, S.HELD):
        said += f" and needs you: nunatak why {address}"
    return Before(address, False, f"it waits for {address}, {said}")
