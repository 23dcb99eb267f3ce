"""What follows from a plan's graph: who starts, who waits for what, who ends a job. Pure; computed once a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from nunatak.core.address import ONCE
from nunatak.datasets.plan import Plan


@dataclass(frozen=True)
class Graph:
    """The dependencies of a plan, sorted by kind.

    Parents of a task of a job are of the same job (`local`) or done once a dataset (`gates`: they open the task in all jobs).
    Parents of a task done once are done once themselves or gathered over all jobs (`gathers`). What a task comes after in
    another dataset has a number of its own (`Plan.follows`): of the same job (`each`), or a gate, written -number.
    """

    plan: Plan

    @cached_property
    def once(self) -> tuple[int, ...]:
        """Return the tasks done once a dataset."""
        return tuple(number for number, task in enumerate(self.plan.tasks) if task.once)

    @cached_property
    def local(self) -> tuple[tuple[int, ...], ...]:
        """Return for each task the parents of its own kind: of the same job, or once for once."""
        tasks = self.plan.tasks
        return tuple(
            tuple(parent for parent in self.plan.parents[number] if tasks[parent].once == task.once)
            for number, task in enumerate(tasks)
        )

    @cached_property
    def gates(self) -> tuple[tuple[int, ...], ...]:
        """Return for each task of a job the once-tasks that must be done before it may start in any job.

        Another dataset is as -number in `Plan.follows`.
        """
        tasks = self.plan.tasks
        return tuple(
            ()
            if task.once
            else (
                *(parent for parent in self.plan.parents[number] if tasks[parent].once),
                *self._outside(number, False),
            )
            for number, task in enumerate(tasks)
        )

    @cached_property
    def each(self) -> tuple[tuple[int, ...], ...]:
        """Return for each task what it comes after in the same job of other datasets, as numbers in `Plan.follows`."""
        return tuple(tuple(-gate for gate in self._outside(number, True)) for number in range(len(self.plan.tasks)))

    @cached_property
    def awaits(self) -> tuple[tuple[int, ...], ...]:
        """Return for each once-task the other datasets that it waits for, as numbers in `Plan.follows`."""
        return tuple(
            tuple(-gate for gate in self._outside(number, False)) if task.once else ()
            for number, task in enumerate(self.plan.tasks)
        )

    def _outside(self, task: int, each: bool) -> Iterable[int]:
        return (-number for number, (of, follow) in self.plan.follows.items() if of == task and follow.each is each)

    @cached_property
    def gathers(self) -> tuple[tuple[int, ...], ...]:
        """Return for each once-task the tasks of jobs that must be done in every job."""
        tasks = self.plan.tasks
        return tuple(
            tuple(parent for parent in self.plan.parents[number] if not tasks[parent].once) if task.once else ()
            for number, task in enumerate(tasks)
        )

    @cached_property
    def gathered(self) -> frozenset[int]:
        """Return the tasks of jobs that some once-task waits for."""
        return frozenset(parent for parents in self.gathers for parent in parents)

    @cached_property
    def per_job(self) -> tuple[int, ...]:
        """Return the tasks of a job."""
        return tuple(number for number, task in enumerate(self.plan.tasks) if not task.once)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """Return the tasks of a job that wait for no other task of the job, nor for the same job of another dataset."""
        return tuple(number for number in self.per_job if not self.local[number] and not self.each[number])

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """Return the tasks of a job that no other task of the job waits for: when they are done, the job is."""
        return tuple(n for n in self.per_job if not any(n in self.local[child] for child in self.per_job))

    @cached_property
    def local_children(self) -> tuple[tuple[int, ...], ...]:
        """Return for each task the children of its own kind."""
        return tuple(
            tuple(child for child in self.plan.children[n] if n in self.local[child])
            for n in range(len(self.plan.tasks))
        )

    @cached_property
    def gathering_children(self) -> tuple[tuple[int, ...], ...]:
        """Return for each task of a job the once-tasks that gather it."""
        return tuple(
            tuple(child for child in self.plan.children[n] if n in self.gathers[child])
            for n in range(len(self.plan.tasks))
        )

    @cached_property
    def opens(self) -> tuple[tuple[int, ...], ...]:
        """Return for each once-task the tasks of jobs that it gates."""
        return tuple(
            tuple(child for child in self.plan.children[n] if n in self.gates[child])
            for n in range(len(self.plan.tasks))
        )

    @cached_property
    def gated(self) -> bool:
        """Tell whether any task of a job waits for a once-task, or for another dataset."""
        return any(self.gates)

    def open_tasks(self, once_done: frozenset[int]) -> frozenset[int]:
        """Return the tasks of a job whose gates are open, given what is done: once-tasks, and -number of what it follows."""
        return frozenset(number for number in self.per_job if once_done.issuperset(self.gates[number]))

    def pending(self, task: int) -> int:
        """Return how many parents an untouched task of a job waits for, gates not counted."""
        return len(self.local[task]) + len(self.each[task])

    def pending_once(self, task: int, jobs: int) -> int:
        """Return how many parents an untouched once-task waits for."""
        return len(self.local[task]) + jobs * len(self.gathers[task]) + len(self.awaits[task])

    def released(self, done: Iterable[tuple[int, int]]) -> Counter[tuple[int, int]]:
        """Return how many parents each child loses when these (job, task) are done; gates are not counted."""
        freed: Counter[tuple[int, int]] = Counter()
        for job, task in done:
            for child in self.local_children[task]:
                freed[job, child] += 1
            for child in self.gathering_children[task]:
                freed[ONCE, child] += 1
        return freed
