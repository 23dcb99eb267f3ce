"""Kept counts: how many tasks and jobs are in each state. Moved in the transaction that changes the states."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from nunatak.core.states import CHANGES, Derived, TaskState, derive
from nunatak.datasets import store

LIVE = (TaskState.READY, TaskState.QUEUED, TaskState.RUNNING)


class Moves:
    """Changes of counts, gathered during a transaction and applied at its end, in one order for every transaction.

    The rows of counts are the only ones that all reports of a dataset share; touching them last keeps the wait short, and
    touching them in order keeps transactions from waiting for each other in a circle.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: dict[tuple[int, int, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(store.STATES, 0))
        self._jobs: dict[int, dict[str, int]] = defaultdict(
            lambda: dict.fromkeys(("total", "done", "failed", "held"), 0)
        )
        self._settle: set[int] = set()
        self._flags: dict[int, dict[str, object]] = {}
        self._holds: dict[int, str] = {}
        self._given: set[int] = set()
        self._spent: dict[tuple[int, int, str], list[float]] = {}

    def task(
        self, dataset: int, task: int, shape: int, before: TaskState | None, after: TaskState | None, n: int = 1
    ) -> None:
        """Move `n` tasks from one state to another; None is nowhere (new, or given up).

        Every change of a task passes here: one that the table of `core.states` does not have is a bug of the caller.
        """
        assert before is None or after is None or after in CHANGES[before], f"a task cannot go from {before} to {after}"
        counts = self._tasks[dataset, task, shape]
        if before is not None:
            counts[before] -= n
        if after is not None:
            counts[after] += n

    def job(self, dataset: int, before: Derived | None, after: Derived | None, n: int = 1) -> None:
        """Move `n` jobs from one state to another; None is nowhere."""
        counts = self._jobs[dataset]
        for state, change in ((before, -n), (after, n)):
            if state is not None:
                counts["total"] += change
                if state is not Derived.OPEN:
                    counts[state] += change

    def new_jobs(self, dataset: int, n: int, done: int = 0) -> None:
        """Count `n` new jobs (fewer, if negative), `done` of which have nothing to do."""
        self._jobs[dataset]["total"] += n
        self._jobs[dataset]["done"] += done

    def set_jobs(self, dataset: int, counts: Mapping[str, int]) -> None:
        """Count jobs where there are no kept counts yet."""
        self._jobs[dataset].update(counts)

    def flag(self, dataset: int, flags: Mapping[str, object]) -> None:
        """Set a dataset's flags when all else is written: its row is locked last."""
        self._flags[dataset] = dict(flags)
        self._settle.add(dataset)

    def hold(self, dataset: int, reason: str) -> None:
        """Hold a dataset by itself when all else is written: nothing more is started, what runs may end."""
        self._holds[dataset] = reason
        self._settle.add(dataset)

    def given(self, dataset: int) -> None:
        """Note that a dataset was given places, from which its waiting is counted."""
        self._given.add(dataset)

    def of_tasks(self) -> Mapping[tuple[int, int, int], Mapping[str, int]]:
        """Return the changes gathered so far: by dataset, task and shape, how many more are in each state."""
        return self._tasks

    def datasets_given(self) -> Collection[int]:
        """Return the datasets that were given places."""
        return self._given

    def spend(
        self, key: tuple[int, int, str], attempts: int, amounts: Sequence[float], kept: tuple[int, float, float]
    ) -> None:
        """Add what attempts of (dataset, engine, cause) cost.

        `amounts`: seconds of wall clock and of processors, core-hours, GPU-hours. `kept`: the era, which is one for all of a
        transaction, and the hours as they are kept in it.
        """
        era, core, gpu = kept
        sums = self._spent.setdefault(key, [0, 0.0, 0.0, 0.0, 0.0, era, 0.0, 0.0])
        for place, value in enumerate((attempts, *amounts, 0, core, gpu)):
            sums[place] += value

    def settle(self, dataset: int) -> None:
        """Ask for the dataset's state to be derived anew even if its counts do not suggest it."""
        self._settle.add(dataset)

    def apply(self, tx: Connection, now: float) -> None:
        """Write the changes, and derive anew the state of each dataset in which nothing is live any more, or again.

        `live` (ready, queued or running tasks) is kept in one row a dataset, which the transaction that reaches zero
        holds: no two transactions can each believe that the other goes on.
        """
        if self._spent:
            store.SPEND(tx, v=[(*key, *sums) for key, sums in sorted(self._spent.items())])
        live: dict[int, int] = defaultdict(int)
        rows = []
        for key, counts in sorted(self._tasks.items()):
            if any(counts.values()):
                rows.append((*key, *(counts[state] for state in store.STATES)))
                live[key[0]] += sum(counts[state] for state in LIVE)
        if rows:
            store.MOVE_TASKS(tx, moves=rows)
        settle = set(self._settle)
        moved = sorted(
            {dataset for dataset, n in live.items() if n}
            | {d for d, c in self._jobs.items() if any(c.values())}
            | self._given
        )
        jobs = [
            (dataset, *self._jobs[dataset].values(), live[dataset], now if dataset in self._given else 0.0)
            for dataset in moved
        ]
        for row in store.MOVE_JOBS(tx, moves=jobs) if jobs else ():
            if row.live == 0 or row.live == live[row.dataset]:
                settle.add(row.dataset)
        for dataset in sorted(settle):
            if dataset in self._flags:
                store.SET_FLAGS(tx, dataset=dataset, now=now, **self._flags[dataset])
            if dataset in self._holds:
                _hold(tx, dataset, self._holds[dataset], now)
            settle_state(tx, dataset, now)


def _hold(tx: Connection, dataset: int, reason: str, now: float) -> None:
    if store.HOLD_GENTLY(tx, dataset=dataset, reason=reason, now=now):
        detail = json.dumps({"reason": reason})
        store.ADD_EVENT(tx, dataset=dataset, job=None, task=None, actor="nunatak", verb="hold", detail=detail, now=now)


def settle_state(tx: Connection, dataset: int, now: float) -> Derived:
    """Derive a dataset's state from its counts, under its lock, and keep it for lists."""
    row = store.LOCK_DATASET(tx, dataset=dataset)[0]
    state = dataset_state(sums(tx, dataset), held=bool(row.held))
    if state != row.state:
        ended = now if state is Derived.DONE else None
        store.SET_STATE(tx, dataset=dataset, state=state, ended=ended, now=now)
        store.ADD_EVENT(
            tx, dataset=dataset, job=None, task=None, actor="nunatak", verb=f"is {state}", detail=None, now=now
        )
    return state


def dataset_state(counts: Mapping[str, int], *, held: bool) -> Derived:
    """Derive a dataset's state: a hold on the dataset shows unless all is done."""
    state = derive(counts)
    return Derived.HELD if held and state is not Derived.DONE else state


def sums(tx: Connection, dataset: int) -> dict[str, int]:
    """Return how many tasks of a dataset are in each state."""
    row = store.STATE_SUMS(tx, dataset=dataset)[0]
    return {state: int(getattr(row, state)) for state in store.STATES}


def job_state(failed: int, held: int, sinks: int, of: int) -> Derived:
    """Derive a job's state from its marks: failed and held tasks, and how many of its last tasks are done."""
    if failed:
        return Derived.FAILED
    if held:
        return Derived.HELD
    return Derived.DONE if sinks >= of else Derived.OPEN


def mark_jobs(
    tx: Connection, moves: Moves, marks: Mapping[tuple[int, int], tuple[int, int, int]], last: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Add (sinks, failed, held) to jobs keyed (dataset, job) and move the counts of jobs.

    `last` tells how many last tasks a job of each dataset has. Returns the jobs that became done.
    """
    done = []
    rows = [(*key, *value) for key, value in sorted(marks.items()) if any(value)]
    for row in store.MARK_JOBS(tx, marks=rows) if rows else ():
        sinks, failed, held = marks[row.dataset, row.job]
        of = last[row.dataset]
        before = job_state(row.failed - failed, row.held - held, row.sinks - sinks, of)
        after = job_state(row.failed, row.held, row.sinks, of)
        if before is not after:
            moves.job(row.dataset, before, after)
            if after is Derived.DONE:
                done.append((row.dataset, row.job))
    return done
